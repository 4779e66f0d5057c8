// Sequencer: gives every write its version and its place (C2–C8) while its leadership lasts. Admits operations within bounds, in the
// order in which they come; holds those whose slot changes hands; looks every few milliseconds after those that are under way.
import { KvError } from "../../shared/errors.ts";
import { IN_FLIGHT_MAX, QUEUED_MAX } from "../../shared/limits.ts";
import type { WriteOp } from "../../shared/protocol/node-messages.ts";
import { run } from "../../shared/script.ts";
import { BlindWrite } from "./blind-write.ts";
import { CarefulTask } from "./careful-task.ts";
import { carefulWrite, fix } from "./careful.ts";
import type { SequencerContext } from "./context.ts";
import type { Issued } from "./drive.ts";
import { EpochRounds } from "./epoch-rounds.ts";
import { Flight, type Passenger } from "./flight.ts";
import { InDoubt } from "./in-doubt.ts";
import { KeyLocks, type KeyTask } from "./key-locks.ts";
import type {
  EndReason,
  FlightFollower,
  PendingRead,
  PendingWrite,
  ReadOperation,
  ReadOutcome,
  Reply,
  Swept,
  WriteOperation,
  WriteOutcome,
} from "./operation.ts";
import { QuorumRead } from "./quorum-read.ts";
import { type Entry, ReadCache } from "./read-cache.ts";
import { type ChainedRead, ReadsUnderWay } from "./reads-under-way.ts";
import type { RegisterIo } from "./register-io.ts";
import type { Remembered } from "./remembered.ts";
import type { SequencerServices } from "./services.ts";

const SWEEP_MS = 10;

/** An operation that waits to be admitted. */
type Admission = ({ readonly type: "write" } & PendingWrite) | ({ readonly type: "read" } & PendingRead);

export class Sequencer implements SequencerServices {
  readonly context: SequencerContext;
  readonly locks = new KeyLocks((task) => this.#mayBegin(task));
  readonly inDoubt = new InDoubt();
  readonly readCache: ReadCache;
  readonly epochRounds: EpochRounds;
  fixes = 0;
  shed = 0;
  /** Writes of clients that have had their outcome. */
  writesEnded = 0;
  readonly #remembered: Remembered;
  /** In the order in which they came; every blind write and read that is not answered is among them. */
  readonly #swept: Swept[] = [];
  readonly #careful = new Set<CarefulTask>();
  /** Those that take no lock. */
  readonly #reads = new ReadsUnderWay();
  /** Operations admitted and not yet answered. */
  #inFlight = 0;
  /** When the last operation under way ended. */
  idleSince = Number.NEGATIVE_INFINITY;
  #queue: Admission[] = [];
  #queueSwept = false;
  #whenFree = new Map<number, (() => void)[]>();
  #sweeping = false;
  #ended: EndReason | undefined;

  /** @param remembered Results of earlier epochs of this process, too: what it told stays true (C8). */
  constructor(context: SequencerContext, remembered: Remembered, readCacheBytes: number) {
    this.context = context;
    this.readCache = new ReadCache(readCacheBytes);
    this.epochRounds = new EpochRounds(context);
    this.#remembered = remembered;
    remembered.epochBegins(context.epoch);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get queued(): number {
    return this.#queue.length;
  }

  write(operation: WriteOperation, reply: Reply<WriteOperation, WriteOutcome>): void {
    if (this.#admits(operation)) this.#startWrite(operation, reply);
    else this.#hold({ type: "write", operation, reply });
  }

  read(operation: ReadOperation, reply: Reply<ReadOperation, ReadOutcome>): void {
    if (this.#admits(operation)) this.#startRead(operation, reply);
    else this.#hold({ type: "read", operation, reply });
  }

  /** Whether an operation may start at once, which is the usual case. */
  #admits(operation: ReadOperation | WriteOperation): boolean {
    if (this.#ended || this.#inFlight >= IN_FLIGHT_MAX) return false;
    return passes(operation) || (this.#queue.length === 0 && this.context.paused() === false);
  }

  /** Keeps an operation until there is room, or refuses it. */
  #hold(admission: Admission): void {
    if (this.#ended) return refuse(admission, this.#ended(false));
    if (!passes(admission.operation) && this.context.paused() === "forlorn") return refuse(admission, forlorn());
    if (this.#queue.length >= QUEUED_MAX) {
      this.shed++;
      const text = `${IN_FLIGHT_MAX} operations are in flight and ${QUEUED_MAX} wait: send less at a time, or try again later`;
      return refuse(admission, new KvError("OVERLOADED", text));
    }
    this.#queue.push(admission);
    if (this.#queueSwept) return;
    this.#queueSwept = true;
    this.sweepLater(this.#queueSweep);
  }

  /** C10: what was held goes on. */
  resume(): void {
    while (this.#queue.length > 0 && this.#inFlight < IN_FLIGHT_MAX && !this.context.paused()) this.#startNext();
  }

  #startNext(): void {
    const next = this.#queue.shift();
    if (next?.type === "write") this.#startWrite(next.operation, next.reply);
    else if (next) this.#startRead(next.operation, next.reply);
  }

  /** What waits for admission, and whose time is over, had no effect. */
  readonly #queueSweep: Swept = {
    sweep: (now) => {
      const late = this.#queue.filter(({ operation }) => now >= operation.deadline);
      if (late.length > 0) this.#queue = this.#queue.filter(({ operation }) => now < operation.deadline);
      for (const admission of late) refuse(admission, this.context.paused() ? forlorn() : stillQueued());
      this.#queueSwept = this.#queue.length > 0;
      return this.#queueSwept;
    },
  };

  /** An admitted operation is over. */
  #left(): void {
    if (--this.#inFlight === 0) this.idleSince = this.context.timers.now;
    if (this.#queue.length > 0 && this.#inFlight < IN_FLIGHT_MAX && !this.context.paused()) this.#startNext();
  }

  // The usual way makes no closure: V8 would make its context at the beginning of the method, used or not.

  #startWrite(operation: WriteOperation, reply: Reply<WriteOperation, WriteOutcome>): void {
    this.#inFlight++;
    const { operation: id, condition, firstEpoch, wantsFound } = operation;
    if (id !== "") {
      const attempt = this.#remembered.begin(id, this.context.timers.now, firstEpoch !== undefined);
      if (attempt === "known") return this.#join({ operation, reply });
      // Nobody knows when the earlier one was made: as early as can be.
      if (attempt === "later" && firstEpoch === undefined)
        return this.#writeCarefully({ operation: { ...operation, firstEpoch: 1 }, reply });
    }
    if (condition !== undefined || firstEpoch !== undefined || wantsFound)
      return this.#writeCarefully({ operation, reply });
    const write = new BlindWrite(this, operation, reply);
    write.remembered = this.#remembered.entry;
    this.sweepLater(write);
    this.locks.acquire(write);
  }

  /** C8: the operation is known. */
  #join({ operation, reply }: PendingWrite): void {
    this.#remembered.join(operation.operation, (outcome) => {
      reply(outcome, operation);
      this.#left();
    });
  }

  #writeCarefully(write: PendingWrite): void {
    const { operation } = write;
    const script = (io: RegisterIo): ReturnType<typeof carefulWrite> => carefulWrite(this, io, operation);
    this.locks.acquire(this.#carefully(operation, script, (outcome) => this.written(write, outcome)));
  }

  written({ operation, reply, remembered }: PendingWrite, outcome: WriteOutcome): void {
    this.writesEnded++;
    reply(outcome, operation);
    this.#left();
    if (operation.operation !== "") this.#remembered.end(operation.operation, outcome, remembered);
  }

  wasRead(read: ChainedRead, outcome: ReadOutcome): void {
    const { reply, operation } = read;
    this.#reads.remove(read);
    reply(outcome, operation);
    this.#left();
    if (read.awaited && !this.#ended) this.locks.proceed(operation.key);
  }

  // One connection's operations on one key keep their order: a read goes behind the writes that the same connection sent before, and a
  // write does not begin while such a read is under way.

  #startRead(operation: ReadOperation, reply: Reply<ReadOperation, ReadOutcome>): void {
    this.#inFlight++;
    const { key, client } = operation;
    const read = new QuorumRead(this, operation, reply);
    this.sweepLater(read);
    if (this.locks.busy(key) && this.locks.hasWriteOf(key, client)) this.locks.acquire(read);
    else this.begin(read);
  }

  take(tasks: readonly KeyTask[], before: WriteOp | undefined): void {
    const passengers = tasks as readonly Passenger[]; // nothing else can be combined
    if (passengers.some(({ writes }) => writes)) return new Flight(this, passengers, before).begin();
    for (const passenger of passengers) if (!passenger.writes) this.begin(passenger);
    this.locks.release((passengers[0] as Passenger).key);
  }

  begin(read: ChainedRead): void {
    if (read.answered) return;
    this.#reads.add(read);
    read.begin();
  }

  #mayBegin({ writes, slot, key, client }: KeyTask): boolean {
    const before = writes ? this.#reads.find(slot, key, client) : undefined;
    if (before === undefined || this.context.without.has("C3-order")) return true;
    before.awaited = true;
    return false;
  }

  follow(key: string, follower: FlightFollower): boolean {
    const holder = this.locks.holder(key);
    return holder instanceof BlindWrite && holder.flight?.follow(follower) === true;
  }

  unsettled(key: string): boolean {
    return this.locks.busy(key) || this.inDoubt.get(key) !== undefined;
  }

  issues(issued: Issued): Entry | undefined {
    return this.context.without.has("C6-issued") ? undefined : this.readCache.issues(issued);
  }

  installed(issued: Issued, entry: Entry | undefined): void {
    this.inDoubt.installed(issued.key, issued.version);
    if (entry) this.readCache.installed(issued, entry);
  }

  /** C6: mends disagreeing replicas under the key's lock, then answers the read. */
  fix(operation: ReadOperation, reply: (outcome: ReadOutcome) => void): void {
    const script = (io: RegisterIo): ReturnType<typeof fix> => fix(this, io, operation);
    this.locks.acquireNext(this.#carefully(operation, script, reply));
  }

  #carefully<T>(
    operation: ReadOperation | WriteOperation,
    script: (io: RegisterIo) => Generator<never, T, unknown> | ReturnType<typeof fix> | ReturnType<typeof carefulWrite>,
    reply: (outcome: T) => void,
  ): CarefulTask {
    const task = new CarefulTask(
      this,
      operation,
      (io, done) => {
        run(script(io) as ReturnType<typeof fix>).whenDone((outcome) => done(() => reply(outcome as T)));
      },
      (error) => reply({ type: "error", error } as T),
      () => this.#careful.delete(task),
    );
    this.#careful.add(task);
    this.sweepLater(task);
    return task;
  }

  // Slots that change hands (M2).

  /** Runs when the slot is released; at once where it is not held. */
  whenFree(slot: number, resume: () => void): void {
    if (!this.context.slot(slot).held) return resume();
    const waiting = this.#whenFree.get(slot);
    if (waiting) waiting.push(resume);
    else this.#whenFree.set(slot, [resume]);
  }

  hold(slots: Iterable<number>): void {
    for (const slot of slots) {
      const runtime = this.context.slot(slot);
      runtime.held = true;
      runtime.inStep.disturb();
    }
  }

  release(slots: Iterable<number>): void {
    const resumed: (() => void)[] = [];
    for (const slot of slots) {
      this.context.slot(slot).held = false;
      resumed.push(...(this.#whenFree.get(slot) ?? []));
      this.#whenFree.delete(slot);
    }
    for (const resume of resumed) resume();
  }

  /** What is still under way in these slots ends now: definitely where nothing was sent, else unknown and in doubt. */
  interrupt(slots: ReadonlySet<number>): void {
    for (const item of this.#underWay()) item.interrupt?.(slots);
  }

  /** What came and is not over, each once. */
  #underWay(): Set<Swept> {
    return new Set([...this.#swept, ...this.#careful]);
  }

  // Time.

  sweepLater(item: Swept): void {
    this.#swept.push(item);
    this.#sweepSoon();
  }

  #sweepSoon(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.context.timers.after(SWEEP_MS, () => this.#sweep());
  }

  #sweep(): void {
    this.#sweeping = false;
    if (this.#ended) return;
    const { now } = this.context.timers;
    const swept = this.#swept;
    let kept = 0;
    // Those that come meanwhile are at its end, and looked at, too.
    for (let index = 0; index < swept.length; index++) {
      const item = swept[index] as Swept;
      if (item.sweep(now)) swept[kept++] = item;
    }
    swept.length = kept;
    if (kept > 0) this.#sweepSoon();
  }

  /** The epoch is over: every operation gets its answer; what was sent is unknown. */
  end(reason: EndReason): void {
    if (this.#ended) return;
    this.#ended = reason;
    const queue = this.#queue;
    this.#queue = [];
    for (const admission of queue) refuse(admission, reason(false));
    for (const item of this.#underWay()) item.abandon?.(reason);
  }
}

function forlorn(): KvError {
  return new KvError("NO_LEADER", "this leader cannot reach a majority of the voters; nothing was sent");
}

function stillQueued(): KvError {
  return new KvError("OVERLOADED", "too many operations were before this one for the whole deadline; nothing was sent");
}

/** C10: whether it goes on while others are held. A read at level one may be stale by contract, whoever leads. */
function passes({ type, level }: ReadOperation | WriteOperation): boolean {
  return type === "read" && level === "one";
}

function refuse(admission: Admission, error: KvError): void {
  if (admission.type === "write") admission.reply({ type: "error", error }, admission.operation);
  else admission.reply({ type: "error", error }, admission.operation);
}
