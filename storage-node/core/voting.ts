// Voting: the node as a voter (V1–V4) and as a listener to the leader's heartbeats. Promises and accepted states are durable before they
// are told: `until` is the log position to wait for. What is heard of the leader, and the states it teaches to nodes that do not vote,
// stay in memory: they help newcomers to find it, and decide nothing.
import { errorAnswer, KvError } from "../../shared/errors.ts";
import { LeaderWatch } from "../../shared/leader-watch.ts";
import { DISK_STALLED_MS } from "../../shared/limits.ts";
import type {
  AcceptRequest,
  HeartbeatRequest,
  LearnRequest,
  PrepareRequest,
  PrevoteRequest,
} from "../../shared/protocol/node-messages.ts";
import { compare, highest, ZERO, type Ballot } from "../../shared/version.ts";
import { accept, prepare, prevote, type VoterDecision } from "../../shared/voter.ts";
import type { Control } from "./control.ts";

/** What is answered, and the log position at which it may be. */
export interface Introduction {
  readonly body: object;
  readonly until: number;
}

export class Voting {
  readonly #control: Control;
  readonly #watch = new LeaderWatch();
  /** Where a leader's hello said that clients find it. */
  #hint: string | undefined;
  #learned: { readonly ballot: Ballot; readonly state: string } = { ballot: ZERO, state: "" };
  /** Since when the disk has had something to do without finishing anything. */
  #busySince: number | undefined;
  #durableSeen = 0;

  constructor(control: Control) {
    this.#control = control;
  }

  /** What a campaign asks for: this node's vote, or the newest state it was taught. */
  inspection(): Introduction {
    const { identity, fence, voter } = this.#control.state;
    const votes = voter !== undefined && compare(voter.ballot, this.#learned.ballot) >= 0;
    const { ballot, state } = votes ? voter : this.#learned;
    const body = {
      status: "ok",
      cluster: identity.cluster ?? null,
      node: identity.id ?? null,
      incarnation: identity.incarnation,
      voter: voter ? (identity.id ?? null) : null,
      fence,
      promised: voter?.promised ?? 0,
      ballot,
      state,
    };
    return { body, until: this.#control.voterUntil };
  }

  /** V2. @throws KvError WRONG_NODE */
  prepare(line: PrepareRequest): Introduction {
    this.#check(line.cluster, line.voter);
    return this.#vote(() => this.#withNewest(prepare(this.#control.state.voter, line.epoch, line.owner)));
  }

  /**
   * V3. What was proposed in an epoch below the fence is over, whatever this record says: it may be a new one, on a disk that took the
   * place of a lost one, and a leader that was deposed before must not be seated by it (V5).
   * @throws KvError WRONG_NODE
   */
  accept(line: AcceptRequest): Introduction {
    this.#check(line.cluster, line.voter);
    const { fence } = this.#control.state;
    const [epoch] = line.ballot;
    return this.#vote(() => {
      if (epoch < fence) throw new KvError("OUT_PROMISED", `epoch ${epoch} is over`, { promised: fence });
      return accept(this.#control.state.voter, line);
    });
  }

  /** V4. @throws KvError WRONG_NODE, NO_VOTER, OUT_PROMISED, LEADER_ALIVE */
  prevote(line: PrevoteRequest, now: number): Introduction {
    this.#check(line.cluster, line.voter);
    const alive = this.#watch.alive(now) ? this.#watch.leader : undefined;
    prevote(this.#control.state.voter, line.epoch, alive);
    return { body: { status: "ok" }, until: this.#control.voterUntil };
  }

  /**
   * A leader says that it lives.
   * @throws KvError WRONG_NODE, FENCED, OUT_PROMISED; OVERLOADED by a voter whose disk stands still
   */
  heartbeat(line: HeartbeatRequest, connection: number, now: number): Introduction {
    const { identity, fence, voter } = this.#control.state;
    if (identity.cluster !== line.cluster) throw new KvError("WRONG_NODE", "this node is in another cluster");
    if (line.epoch < fence) throw new KvError("FENCED", `epoch ${line.epoch} is over`, { fence });
    const promised = voter?.promised ?? 0;
    if (line.epoch < promised) throw new KvError("OUT_PROMISED", `promised to epoch ${promised}`, { promised });
    this.#watch.heard(line, connection, now);
    if (this.#stalled(now)) throw new KvError("OVERLOADED", "the disk of this voter does not finish anything");
    const ballot = highest(voter?.ballot ?? ZERO, this.#learned.ballot);
    return { body: { status: "ok", ballot, promised }, until: 0 };
  }

  /** The newest state, for those that ask. @throws KvError WRONG_NODE */
  learn({ cluster, ballot, state }: LearnRequest): Introduction {
    if (this.#control.state.identity.cluster !== cluster)
      throw new KvError("WRONG_NODE", "this node is in another cluster");
    if (compare(ballot, this.#learned.ballot) > 0) this.#learned = { ballot, state };
    return { body: { status: "ok" }, until: 0 };
  }

  /** A leader's hello. */
  hinted(leader: string): void {
    this.#hint = leader;
  }

  connectionGone(connection: number, now: number): void {
    this.#watch.gone(connection, now);
  }

  /** Where the leader was last heard of. */
  leaderHint(): { leader?: string } {
    const leader = this.#watch.leader?.leader ?? this.#hint;
    return leader === undefined ? {} : { leader };
  }

  /** @throws KvError WRONG_NODE when the vote is asked of another node */
  #check(cluster: string, voter: string): void {
    const { identity } = this.#control.state;
    if (identity.cluster === cluster && identity.id === voter) return;
    throw new KvError(
      "WRONG_NODE",
      `this is node ${identity.id ?? "(blank)"} of cluster ${identity.cluster ?? "(none)"}`,
    );
  }

  /** V5: a former voter tells the newest state that it was taught: the candidate then counts the votes of the voters named there. */
  #withNewest({ changes, answer }: VoterDecision): VoterDecision {
    const { ballot, state } = this.#learned;
    return { changes, answer: compare(ballot, answer.ballot) > 0 ? { ...answer, ballot, state } : answer };
  }

  /** Makes a decision's changes durable and answers it; a refusal too waits for the promise it rests on. */
  #vote(decide: () => VoterDecision): Introduction {
    try {
      const { changes, answer } = decide();
      if (changes.length > 0) this.#control.append(changes);
      return { body: { status: "ok", fence: this.#control.state.fence, ...answer }, until: this.#control.voterUntil };
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return { body: errorAnswer(error), until: this.#control.voterUntil };
    }
  }

  /** Whether the disk has had work for long and made nothing durable. Seen from one heartbeat to the next. */
  #stalled(now: number): boolean {
    const { appended, durable } = this.#control;
    if (appended <= durable || durable !== this.#durableSeen) this.#busySince = undefined;
    else this.#busySince ??= now;
    this.#durableSeen = durable;
    return this.#busySince !== undefined && now - this.#busySince >= DISK_STALLED_MS;
  }
}
