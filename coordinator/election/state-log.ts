// State log: how a leader changes the cluster state (C1, V5). One change at a time; each has its own ballot (epoch, k); a change
// that was proposed is retried, same ballot and same state, until the majorities of the old and of the new voter set accepted it or
// this leader is out-promised. Nothing acts on a state that is not accepted.
import {
  assertState,
  encodeState,
  votesNeeded,
  type ClusterState,
  type VoterSeat,
} from "../../shared/cluster-state.ts";
import type { OwnerId } from "../../shared/ids.ts";
import { Future, gather, sleep, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import type { Ballot } from "../../shared/version.ts";
import type { Answer } from "../links/link.ts";
import { isOk, type Won } from "./campaign.ts";
import { VOTE_TIMEOUT_MS, type Voters } from "./voters.ts";

const RETRY_MS = 100;

export interface StateLogHost {
  readonly timers: Timers;
  readonly voters: Voters;
  readonly owner: OwnerId;
  /** Whether this leader still leads. */
  readonly active: () => boolean;
  /** A voter promised itself to a higher epoch: give up (C10). */
  readonly outPromised: (epoch: number) => void;
  /** A voter that is needed will not accept anything in this epoch: win another one. */
  readonly renew: () => void;
  /** A state was accepted. */
  readonly accepted: (state: ClusterState) => void;
}

export class StateLog {
  readonly #host: StateLogHost;
  /** A voter promised itself to a rival for this very epoch, and will never accept anything of ours in it. */
  #rivalled = false;
  #ballot: Ballot;
  #state: ClusterState;
  /** Tail of the queue of changes. */
  #turn: Future<void>;

  constructor(host: StateLogHost, won: Omit<Won, "epoch">) {
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
    const ballot: Ballot = [this.#ballot[0], this.#ballot[1] + 1];
    const text = encodeState(next);
    const seats = union(this.#state.voters, next.voters);
    const yes = new Set<string>();
    const enough = (): boolean => isMajority(this.#state.voters, yes) && isMajority(next.voters, yes);
    for (;;) {
      const open = seats.filter(({ id }) => !yes.has(id));
      const answers = open.map((seat) => this.#ask(seat, ballot, text, yes));
      yield* wait(gather(this.#host.timers, answers, VOTE_TIMEOUT_MS, enough));
      if (!this.#host.active()) return false;
      if (enough()) break;
      if (this.#rivalled) {
        this.#host.renew();
        return false;
      }
      yield* wait(sleep(this.#host.timers, RETRY_MS));
      if (!this.#host.active()) return false;
    }
    this.#ballot = ballot;
    this.#state = next;
    this.#host.accepted(next);
    return true;
  }

  #ask(seat: VoterSeat, ballot: Ballot, text: string, yes: Set<string>): Future<Answer> {
    const { owner, voters } = this.#host;
    const answer = voters.accept(this.#state.cluster, seat, { ballot, owner, state: text, seat: true });
    answer.whenDone((found) => {
      if (isOk(found)) yes.add(seat.id);
      else if (found["code"] === "OUT_PROMISED") this.#refused(Number(found["promised"] ?? 0));
    });
    return answer;
  }

  #refused(promised: number): void {
    if (promised === this.#ballot[0]) this.#rivalled = true;
    else this.#host.outPromised(promised);
  }
}

function union(a: readonly VoterSeat[], b: readonly VoterSeat[]): VoterSeat[] {
  return [...a, ...b.filter(({ id }) => !a.some((seat) => seat.id === id))];
}

function isMajority(voters: readonly VoterSeat[], yes: ReadonlySet<string>): boolean {
  return voters.filter(({ id }) => yes.has(id)).length >= votesNeeded(voters);
}
