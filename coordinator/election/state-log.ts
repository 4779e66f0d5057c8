// State log: how a leader changes the cluster state (C1, V5). One change at a time; each has its own ballot (epoch, k); a change
// that was proposed is retried, same ballot and same state, until the place of agreement accepted it or this leader is out-promised.
// Nothing acts on a state that is not accepted.
import { assertState, type ClusterState } from "../../shared/cluster-state.ts";
import type { OwnerId } from "../../shared/ids.ts";
import { Future, wait, type Script } from "../../shared/script.ts";
import type { Ballot } from "../../shared/version.ts";
import type { Agreement, Agreed } from "./agreement.ts";

export interface StateLogHost {
  readonly agreement: Agreement;
  readonly owner: OwnerId;
  /** Whether this leader still leads. */
  readonly active: () => boolean;
  /** A higher epoch was seen: give up (C10). */
  readonly outPromised: (epoch: number) => void;
  /** Nothing more will be accepted in this epoch: win another one. */
  readonly renew: () => void;
  /** A state was accepted. */
  readonly accepted: (state: ClusterState) => void;
}

export class StateLog {
  readonly #host: StateLogHost;
  #ballot: Ballot;
  #state: ClusterState;
  /** Tail of the queue of changes. */
  #turn: Future<void>;

  constructor(host: StateLogHost, won: Agreed) {
    this.#host = host;
    this.#ballot = won.ballot;
    this.#state = won.state;
    this.#turn = new Future();
    this.#turn.resolve();
  }

  /** The newest accepted state. */
  get state(): ClusterState {
    return this.#state;
  }

  get ballot(): Ballot {
    return this.#ballot;
  }

  /**
   * Changes the state. `change` sees the newest accepted state when its turn comes; it may return it unchanged.
   * @returns false when this leader gave up before the change was accepted: it may still be accepted later, by another leader
   */
  *propose(change: (state: ClusterState) => ClusterState): Script<boolean> {
    const before = this.#turn;
    const done = new Future<void>();
    this.#turn = done;
    yield* wait(before);
    try {
      if (!this.#host.active()) return false;
      const next = change(this.#state);
      if (next === this.#state) return true;
      assertState(next);
      return yield* this.#accept(next);
    } finally {
      done.resolve();
    }
  }

  *#accept(next: ClusterState): Script<boolean> {
    const { agreement, owner, active, outPromised, renew } = this.#host;
    const ballot: Ballot = [this.#ballot[0], this.#ballot[1] + 1];
    const before = this.#state;
    if (!(yield* agreement.accept({ owner, ballot, before, next }, { active, outPromised, renew }))) return false;
    this.#ballot = ballot;
    this.#state = next;
    this.#host.accepted(next);
    return true;
  }
}
