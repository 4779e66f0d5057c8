// Reads (C6): ask R members at the leader's epoch; R equal versions are the answer, without any lock. Otherwise ask the remaining
// members; still not R equal: FIX. Level one takes the first answer, level all wants every replica to agree. A slow, dead or
// refusing replica is passed over in favour of another one.
//
// Where they disagree because a write is under way, as on a key that many use, FIX would only wait for that write and read again.
// The read is answered with it instead, once a write quorum has it: it is above all that was acknowledged before, and a majority has
// answered this read at the leader's epoch since it began, so that no other leader had acknowledged anything by then.
//
// One member is asked for the value; the others that are asked at first, one less than must agree, for their version alone (brief).
// So whichever of them agree, one has told the value: equal versions are equal values (C2).
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { OpResult, ReadOp, ReadResult, VersionResult, WriteOp } from "../../shared/protocol/node-messages.ts";
import { originOf } from "../../shared/record.ts";
import { equal, type Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { OpListener } from "../links/link.ts";
import type { Issued } from "./drive.ts";
import type { KeyTask } from "./key-locks.ts";
import {
  tooFewReplicas,
  type EndReason,
  type FlightFollower,
  type ReadOperation,
  type ReadOutcome,
  type Reply,
  type Swept,
} from "./operation.ts";
import type { ChainedRead } from "./reads-under-way.ts";
import type { SequencerServices } from "./services.ts";

/** Silence after which another replica is asked as well. */
const HEDGE_MS = 40;
/** With a quorum of unequal answers, how long the silent ones may still decide before FIX does. */
const FIX_AFTER_MS = 100;
/** Pause before a refused replica is asked again. */
const AGAIN_MS = 40;

/** What one member was asked, and what it said. */
interface Asked {
  readonly node: NodeId;
  at: number;
  answer: ReadResult | VersionResult | undefined;
  /** Undefined while no refusal stands. */
  refusedAt: number | undefined;
}

/** Distinguishes answers to this membership from those to an earlier one. */
class Round implements OpListener {
  readonly #read: QuorumRead;

  constructor(read: QuorumRead) {
    this.#read = read;
  }

  settled(node: NodeId, result: OpResult): void {
    this.#read.heard(this, node, result);
  }
}

export class QuorumRead implements KeyTask, ChainedRead, Swept, FlightFollower {
  readonly operation: ReadOperation;
  /** Whom to tell; the sequencer does. */
  readonly reply: Reply<ReadOperation, ReadOutcome>;
  readonly writes = false;
  earlier: ChainedRead | null = null;
  later: ChainedRead | null = null;
  chained = false;
  awaited = false;
  readonly #sequencer: SequencerServices;
  readonly #runtime: SlotRuntime;
  /** The membership that the answers belong to. */
  #members: readonly NodeId[] = [];
  /** The same members, the best to ask first. */
  #order: readonly NodeId[] = [];
  /** At most one entry a member: few enough to be looked through. */
  #asked: Asked[] = [];
  #answered = 0;
  #started = false;
  #done = false;
  /** Whether the answer is that of a write under way. */
  #following = false;
  #round: Round | undefined;
  /** The same for every member that is asked at one stamp. */
  #whole: ReadOp | undefined;
  #brief: ReadOp | undefined;

  constructor(sequencer: SequencerServices, operation: ReadOperation, reply: Reply<ReadOperation, ReadOutcome>) {
    this.#sequencer = sequencer;
    this.operation = operation;
    this.reply = reply;
    this.#runtime = sequencer.context.slot(operation.slot);
  }

  get key(): string {
    return this.operation.key;
  }

  get slot(): number {
    return this.operation.slot;
  }

  get client(): number {
    return this.operation.client;
  }

  get answered(): boolean {
    return this.#done;
  }

  /** Level one may be stale, and level all is told by every replica: neither is what a write quorum says. */
  get combinable(): boolean {
    return this.operation.level === "quorum";
  }

  get #needed(): number {
    if (this.operation.level === "one") return 1;
    return this.operation.level === "all" ? this.#members.length : this.#runtime.quorum;
  }

  /** Its turn has come, behind the writes of its connection. */
  start(together: readonly KeyTask[], before: WriteOp | undefined): void {
    this.#sequencer.take(together, before);
  }

  /** Asks the slot's present members; again, where these have changed. Level one passes while a slot changes hands. */
  begin(): void {
    if (this.#done) return;
    this.#started = true;
    this.#following = false;
    this.#members = this.#runtime.members;
    this.#asked = [];
    this.#answered = 0;
    if (this.#runtime.held && this.operation.level !== "one") {
      this.#round = undefined;
      this.#sequencer.whenFree(this.#runtime.slot, () => this.begin());
      return;
    }
    this.#round = new Round(this);
    this.#order = this.#sequencer.context.inTurn(this.#members);
    this.#askMore(1);
    this.#askMore(this.#needed - 1, true);
  }

  /** Asks `count` members that were not asked yet, the best first. */
  #askMore(count: number, brief = false): void {
    const left = this.#askSome(count, { brief, sluggish: false });
    if (left > 0) this.#askSome(left, { brief, sluggish: true });
  }

  /** @returns how many are still to be asked */
  #askSome(count: number, { brief, sluggish }: { readonly brief: boolean; readonly sluggish: boolean }): number {
    const { context } = this.#sequencer;
    let left = count;
    for (const node of this.#order) {
      if (left === 0) break;
      if (this.#askedOf(node) || !context.reachable(node) || context.sluggish(node) !== sluggish) continue;
      left--;
      this.#ask(node, brief);
    }
    return left;
  }

  #askedOf(node: NodeId): Asked | undefined {
    for (const asked of this.#asked) if (asked.node === node) return asked;
    return undefined;
  }

  #ask(node: NodeId, brief: boolean): void {
    const { context } = this.#sequencer;
    const round = this.#round;
    if (!round) return;
    const asked = this.#askedOf(node);
    if (asked) {
      asked.at = context.timers.now;
      asked.refusedAt = undefined;
    } else this.#asked.push({ node, at: context.timers.now, answer: undefined, refusedAt: undefined });
    context.send(node, brief ? this.#briefOp() : this.#wholeOp(), round);
  }

  #wholeOp(): ReadOp {
    const { stamp } = this.#runtime;
    if (this.#whole?.stamp === stamp) return this.#whole;
    const { slot, key } = this.operation;
    return (this.#whole = { op: "read", slot, stamp, key });
  }

  #briefOp(): ReadOp {
    const { stamp } = this.#runtime;
    if (this.#brief?.stamp === stamp) return this.#brief;
    const { slot, key } = this.operation;
    return (this.#brief = { op: "read", slot, stamp, key, brief: true });
  }

  /** For the round only: an answer to it. */
  heard(round: Round, node: NodeId, result: OpResult): void {
    if (this.#done || round !== this.#round) return;
    if (this.#members !== this.#runtime.members) return this.begin();
    const asked = this.#askedOf(node);
    if (!asked) return;
    if (result.status === "ok") {
      if (!asked.answer) this.#answered++;
      asked.answer = result as ReadResult | VersionResult;
      this.#decide();
      return;
    }
    if (result.code === "FENCED") this.#sequencer.context.fenced(Number(result["fence"]));
    asked.refusedAt = this.#sequencer.context.timers.now;
    if (!this.#done) this.#askMore(1);
  }

  #decide(): void {
    const agreed = this.#agreed();
    if (agreed) return this.#finish(outcome(agreed, this.operation.level === "one"));
    if (this.#answered < this.#needed || this.#follow()) return;
    if (this.#answered === this.#members.length) return this.#fix();
    this.#askMore(this.#members.length);
  }

  /** A quorum has answered without agreeing: whether a write under way will tell. */
  #follow(): boolean {
    if (this.operation.level !== "quorum" || this.#following) return this.#following;
    this.#following = this.#sequencer.follow(this.operation.key, this);
    return this.#following;
  }

  landed(installed: Issued | undefined): void {
    if (!this.#following) return; // it has begun again since
    if (installed) this.#finish(outcome(installed, false));
    else this.begin();
  }

  /** It shared the sending of writes on its key (flight.ts), and this is what it found between them. */
  answer(found: Issued): void {
    this.#finish(outcome(found, false));
  }

  refuse(error: KvError): void {
    this.#finish({ type: "error", error });
  }

  /** The version that enough members hold, with its value; undefined while there is none. */
  #agreed(): ReadResult | undefined {
    if (this.#answered < this.#needed) return undefined;
    const anyWillDo = this.#sequencer.context.without.has("C6");
    for (const { answer } of this.#asked) {
      if (!answer || !("value" in answer)) continue;
      if (anyWillDo || this.#holders(answer.version) >= this.#needed) return answer;
    }
    return undefined;
  }

  #holders(version: Version): number {
    let holders = 0;
    for (const { answer } of this.#asked) if (answer && equal(answer.version, version)) holders++;
    return holders;
  }

  #fix(): void {
    this.#done = true;
    this.#sequencer.fix(this.operation, (mended) => this.#sequencer.wasRead(this, mended));
  }

  sweep(now: number): boolean {
    if (this.#done) return false;
    if (now >= this.operation.deadline) {
      if (!this.#started) this.#sequencer.locks.withdraw(this);
      this.#finish({ type: "error", error: this.#late() });
      return false;
    }
    // One that waits behind a write of its own connection is started by that write's end, not from here.
    if (this.#following) return true;
    if (this.#started && this.#members !== this.#runtime.members) this.begin();
    if (this.#round) this.#nudge(now);
    return !this.#done;
  }

  /** Why there is no answer by the deadline. */
  #late(): KvError {
    if (this.#runtime.held) return new KvError("MOVING", "the slot changed hands for longer than the deadline");
    if (!this.#started) {
      const why =
        "a write that the same connection had sent before it, on the same key, was under way for the whole deadline";
      return new KvError("NO_QUORUM", why);
    }
    if (this.#answered < this.#needed) return tooFewReplicas(this.#answered, this.#needed);
    const text =
      "the replicas that answered disagree, and no quorum had the write that is under way by the deadline: try again";
    return new KvError("NO_QUORUM", text);
  }

  /** Hedges against silence, asks refusing replicas again, and turns to FIX when a quorum has answered without agreeing. */
  #nudge(now: number): void {
    const { context } = this.#sequencer;
    for (const { node, refusedAt } of this.#asked) {
      if (refusedAt !== undefined && now - refusedAt >= AGAIN_MS && context.reachable(node)) this.#ask(node, false);
    }
    const hopeful = this.#members.filter((node) => context.hopeful(node)).length;
    if (hopeful < this.#needed) return this.#finish({ type: "error", error: tooFewReplicas(hopeful, this.#needed) });
    const silent = this.#asked.filter(({ answer }) => !answer);
    const patience = (limitMs: number): boolean => silent.every(({ at }) => now - at >= limitMs);
    const { level } = this.operation;
    if (this.#answered >= this.#needed && level === "quorum" && patience(FIX_AFTER_MS)) return this.#fix();
    if (silent.length === 0 || silent.some(({ at }) => now - at >= HEDGE_MS)) this.#askMore(this.#members.length);
  }

  /** The epoch is over. */
  abandon(reason: EndReason): void {
    this.#finish({ type: "error", error: reason(false) });
  }

  #finish(result: ReadOutcome): void {
    if (this.#done) return;
    this.#done = true;
    this.#sequencer.wasRead(this, result);
  }
}

/** A replica's answer as an operation's. */
export function outcome(result: ReadResult | Issued, stale: boolean): ReadOutcome {
  return { type: "value", value: result.value, origin: originOf(result), stale };
}
