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
//
// Where all members are known to hold the same (in-step.ts) one speaks for all: it is asked for the value, and the others, one less than
// must agree, only whether they are still at this epoch, once a line for all reads of a turn. What is acknowledged before a read begins
// is then on all members. What its member told may be a write that came since: it is the answer only if the members are in step when
// it arrives, as then all of them hold that or what came after it, and no later read can find less. Nobody else had acknowledged
// anything by when the read began, as a majority was still at this epoch after that. Else the others are asked for their versions.
//
// Where this leader knows the newest value of the key (read-cache.ts) nobody is asked for it, and R members for the epoch: it was the newest
// when the read began, and nobody else had acknowledged anything by then.
import { KvError } from "../../shared/errors.ts";
import type { OpResult, ReadResult, Refusal, VersionResult, WriteOp } from "../../shared/protocol/node-messages.ts";
import { originOf } from "../../shared/record.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import { Canvass, HEDGE_MS, type Asked, type Canvassing } from "./canvass.ts";
import { heedFence } from "./context.ts";
import type { Issued } from "./drive.ts";
import type { EpochRound, RoundFollower } from "./epoch-rounds.ts";
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
import type { Known } from "./read-cache.ts";
import type { ChainedRead } from "./reads-under-way.ts";
import type { SequencerServices } from "./services.ts";

/** With a quorum of unequal answers, how long the silent ones may still decide before FIX does. */
const FIX_AFTER_MS = 100;

export class QuorumRead implements KeyTask, ChainedRead, Swept, FlightFollower, Canvassing, RoundFollower {
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
  /** What it is answered with when this round confirms the epoch; undefined where members are asked for the value. */
  #round: EpochRound | undefined;
  #known: ReadOutcome | undefined;
  /** Undefined while nobody is asked for a value. */
  #canvass: Canvass | undefined;
  #started = false;
  #done = false;
  /** Whether the answer is that of a write under way. */
  #following = false;

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
    return this.operation.level === "all" ? this.#runtime.members.length : this.#runtime.quorum;
  }

  /** Its turn has come, behind the writes of its connection. */
  start(together: readonly KeyTask[], before: WriteOp | undefined): void {
    this.#sequencer.take(together, before);
  }

  /** Asks the slot's present members; again, where these have changed. */
  begin(): void {
    if (this.#done) return;
    this.#started = true;
    this.#following = false;
    this.#canvass = undefined;
    if (!this.#confirmKnown()) this.#askMembers();
  }

  /** Has the epoch confirmed, where the newest value is known. @returns whether it is being confirmed */
  #confirmKnown(): boolean {
    if (this.operation.level !== "quorum" || this.#runtime.held) return false;
    const { readCache, epochRounds } = this.#sequencer;
    const known = readCache.get(this.operation.key, this.#runtime);
    const round = known && epochRounds.of(this.#runtime);
    if (!known || !round) return false;
    this.#known = outcome(known, false);
    this.#round = round;
    round.join(this);
    return true;
  }

  confirmed(round: EpochRound): void {
    if (round === this.#round && this.#known) this.#finish(this.#known);
  }

  unconfirmed(round: EpochRound): void {
    if (!this.#done && round === this.#round) this.#askMembers();
  }

  /** Asks the slot's present members for what they hold. Level one passes while a slot changes hands. */
  #askMembers(): void {
    this.#round = undefined;
    const { level } = this.operation;
    const { held, slot } = this.#runtime;
    if (held && level !== "one") return this.#sequencer.whenFree(slot, () => this.begin());
    const undisturbed = !this.#sequencer.unsettled(this.operation.key);
    const canvass = new Canvass(this, this.#sequencer.context, this.#runtime, undisturbed);
    this.#canvass = canvass;
    // One speaks for all, and enough others tell that they are at this epoch still.
    if (level === "quorum" && this.#inStep && canvass.askOne(this.#neededAlone)) return;
    canvass.askTogether(this.#needed);
  }

  /** Whether the answer of one member is that of all. */
  get #inStep(): boolean {
    const { inStep } = this.#runtime;
    const { without } = this.#sequencer.context;
    if (without.size === 0) return inStep.now;
    return (inStep.known || without.has("C6-compared")) && (inStep.onTheirWay === 0 || without.has("C6-sent"));
  }

  /** How many members have to be at this epoch where one of them speaks for all. */
  get #neededAlone(): number {
    return this.#sequencer.context.without.has("C6-epoch") ? 1 : this.#needed;
  }

  heard(canvass: Canvass, asked: Asked, result: OpResult): void {
    if (!this.#heeds(canvass)) return;
    if (result.status === "ok") {
      canvass.take(asked, result as ReadResult | VersionResult);
      return this.#decide(canvass);
    }
    heedFence(this.#sequencer.context, result);
    asked.refusedAt = this.#sequencer.context.timers.now;
    if (this.#done) return;
    if (canvass.alone) canvass.askTogether(this.#needed);
    else canvass.askMore(1);
  }

  epochHeard(canvass: Canvass, refusal: Refusal | undefined): void {
    if (!this.#heeds(canvass) || !canvass.alone) return;
    if (!refusal) {
      canvass.confirmed++;
      if (canvass.answered > 0) this.#decide(canvass);
      return;
    }
    heedFence(this.#sequencer.context, refusal);
    if (!this.#done) canvass.askTogether(this.#needed);
  }

  /** Whether what it tells still counts. Where the members have changed, those of now are asked. */
  #heeds(canvass: Canvass): boolean {
    if (this.#done || canvass !== this.#canvass) return false;
    if (canvass.members === this.#runtime.members) return true;
    this.begin();
    return false;
  }

  #decide(canvass: Canvass): void {
    if (canvass.alone && !this.#inStep) return canvass.askTogether(this.#needed);
    if (canvass.alone && canvass.confirmed < this.#neededAlone - 1) return;
    const agreed = this.#agreed(canvass);
    if (agreed) {
      if (this.#newest(canvass)) this.#sequencer.readCache.found(this.operation.key, agreed, this.#runtime);
      return this.#finish(outcome(agreed, this.operation.level === "one"));
    }
    if (canvass.answered < this.#needed || this.#follow()) return;
    if (canvass.answered === canvass.members.length) return this.#fix();
    canvass.askRest();
  }

  /** Whether what it found is the newest by now: no write can have overtaken it. */
  #newest({ undisturbed, stamp, issued }: Canvass): boolean {
    if (this.operation.level === "one") return false;
    const overtaken = !undisturbed || issued !== this.#runtime.issued;
    return stamp === this.#runtime.stamp && (!overtaken || this.#sequencer.context.without.has("C6-overtaken"));
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

  /** What enough members hold; undefined while there is none. */
  #agreed(canvass: Canvass): ReadResult | undefined {
    if (canvass.alone) return canvass.agreed(1);
    if (canvass.answered < this.#needed) return undefined;
    return canvass.agreed(this.#sequencer.context.without.has("C6") ? 1 : this.#needed);
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
    if (this.#round && now - this.#round.at >= HEDGE_MS) this.#askMembers();
    if (this.#canvass && this.#heeds(this.#canvass)) this.#nudge(this.#canvass, now);
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
    const answered = this.#canvass?.answered ?? 0;
    if (answered < this.#needed) return tooFewReplicas(answered, this.#needed);
    const text =
      "the replicas that answered disagree, and no quorum had the write that is under way by the deadline: try again";
    return new KvError("NO_QUORUM", text);
  }

  /** Hedges against silence, asks refusing replicas again, and turns to FIX when a quorum has answered without agreeing. */
  #nudge(canvass: Canvass, now: number): void {
    canvass.askAgain(now);
    const { context } = this.#sequencer;
    const hopeful = canvass.members.filter((node) => context.hopeful(node)).length;
    if (hopeful < this.#needed) return this.#finish({ type: "error", error: tooFewReplicas(hopeful, this.#needed) });
    const disagree = !canvass.alone && canvass.answered >= this.#needed && this.operation.level === "quorum";
    if (disagree && canvass.silentFor(FIX_AFTER_MS, now)) return this.#fix();
    if (canvass.wantsHedge(now)) canvass.askRest();
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
export function outcome(result: Known, stale: boolean): ReadOutcome {
  return { type: "value", value: result.value, origin: originOf(result), stale };
}
