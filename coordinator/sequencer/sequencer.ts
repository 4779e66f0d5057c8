// Sequencer: gives every write its version and its place (C2–C8) while its leadership lasts. Admits operations within bounds, in the
// order in which they come; holds those whose slot changes hands; looks every few milliseconds after those that are under way.
import { KvError } from "../../shared/errors.ts";
import { IN_FLIGHT_MAX, QUEUED_MAX } from "../../shared/limits.ts";
import { run } from "../../shared/script.ts";
import { BlindWrite } from "./blind-write.ts";
import { carefulWrite, fix } from "./careful.ts";
import type { SequencerContext } from "./context.ts";
import { InDoubt } from "./in-doubt.ts";
import { KeyLocks, type KeyTask } from "./key-locks.ts";
import type { ReadOperation, ReadOutcome, Swept, WriteOperation, WriteOutcome } from "./operation.ts";
import { QuorumRead } from "./quorum-read.ts";
import { RegisterIo } from "./register-io.ts";
import type { Remembered } from "./remembered.ts";
import type { EndReason, Sending, SequencerServices } from "./services.ts";

const SWEEP_MS = 10;

interface ClientTask extends KeyTask {
  readonly client?: number;
  readonly answered?: boolean;
}

interface Admission {
  readonly deadline: number;
  /** Whether it goes on while everything else is held (C10). */
  readonly passes: boolean;
  readonly start: () => void;
  readonly refuse: (error: KvError) => void;
}

export class Sequencer implements SequencerServices {
  readonly context: SequencerContext;
  readonly locks = new KeyLocks();
  readonly inDoubt = new InDoubt();
  /** Blind writes that were sent and hold their key. */
  readonly flights = new Set<Sending>();
  fixes = 0;
  shed = 0;
  readonly #remembered: Remembered;
  readonly #swept = new Set<Swept>();
  readonly #careful = new Set<CarefulTask>();
  readonly #reads = new Set<QuorumRead>();
  readonly #writes = new Set<BlindWrite>();
  /** Operations admitted and not yet answered. */
  #inFlight = 0;
  #queue: Admission[] = [];
  #whenFree = new Map<number, (() => void)[]>();
  #sweeping = false;
  #ended: EndReason | undefined;

  /** @param remembered Results of earlier epochs of this process, too: what it told stays true (C8). */
  constructor(context: SequencerContext, remembered: Remembered) {
    this.context = context;
    this.#remembered = remembered;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get queued(): number {
    return this.#queue.length;
  }

  write(operation: WriteOperation, reply: (outcome: WriteOutcome) => void): void {
    this.#admit({
      deadline: operation.deadline,
      passes: false,
      start: () => this.#startWrite(operation, this.#counted(reply)),
      refuse: (error) => reply({ type: "error", error }),
    });
  }

  read(operation: ReadOperation, reply: (outcome: ReadOutcome) => void): void {
    this.#admit({
      deadline: operation.deadline,
      // It may be stale by contract, whoever leads.
      passes: operation.level === "one",
      start: () => this.#startRead(operation, this.#counted(reply)),
      refuse: (error) => reply({ type: "error", error }),
    });
  }

  #admit(admission: Admission): void {
    if (this.#ended) return admission.refuse(this.#ended(false));
    const paused = admission.passes ? false : this.context.paused();
    if (paused === "forlorn") return admission.refuse(forlorn());
    if (!paused && this.#inFlight < IN_FLIGHT_MAX && (admission.passes || this.#queue.length === 0)) {
      this.#inFlight++;
      return admission.start();
    }
    if (this.#queue.length >= QUEUED_MAX) {
      this.shed++;
      const text = `${IN_FLIGHT_MAX} operations are in flight and ${QUEUED_MAX} wait: send less at a time, or try again later`;
      return admission.refuse(new KvError("OVERLOADED", text));
    }
    this.#queue.push(admission);
    this.sweepLater(this.#queueSweep);
  }

  /** C10: what was held goes on. */
  resume(): void {
    while (this.#queue.length > 0 && this.#inFlight < IN_FLIGHT_MAX && !this.context.paused()) this.#startNext();
  }

  #startNext(): void {
    const next = this.#queue.shift();
    if (!next) return;
    this.#inFlight++;
    next.start();
  }

  /** What waits for admission, and whose time is over, had no effect. */
  readonly #queueSweep: Swept = {
    sweep: (now) => {
      const late = this.#queue.filter(({ deadline }) => now >= deadline);
      if (late.length > 0) this.#queue = this.#queue.filter(({ deadline }) => now < deadline);
      for (const { refuse } of late) refuse(this.context.paused() ? forlorn() : stillQueued());
      return this.#queue.length > 0;
    },
  };

  #counted<T>(reply: (outcome: T) => void): (outcome: T) => void {
    return (outcome) => {
      this.#inFlight--;
      reply(outcome);
      if (this.#queue.length > 0 && this.#inFlight < IN_FLIGHT_MAX && !this.context.paused()) this.#startNext();
    };
  }

  #startWrite(operation: WriteOperation, reply: (outcome: WriteOutcome) => void): void {
    if (operation.operation === "") return this.#issue(operation, reply);
    const id = operation.operation;
    if (this.#remembered.begin(id, this.context.timers.now, reply) === "joined") return;
    this.#issue(operation, (outcome) => {
      reply(outcome);
      this.#remembered.end(id, outcome);
    });
  }

  #issue(operation: WriteOperation, reply: (outcome: WriteOutcome) => void): void {
    const blind = operation.condition === undefined && operation.firstEpoch === undefined && !operation.wantsFound;
    if (!blind) return this.#carefully(operation, (io) => carefulWrite(this, io, operation), reply);
    const write = new BlindWrite(this, operation, (outcome) => {
      this.#writes.delete(write);
      reply(outcome);
    });
    this.#writes.add(write);
    this.sweepLater(write);
    this.locks.acquire(write);
  }

  #startRead(operation: ReadOperation, reply: (outcome: ReadOutcome) => void): void {
    const read = new QuorumRead(this, operation, (outcome) => {
      this.#reads.delete(read);
      reply(outcome);
    });
    this.#reads.add(read);
    this.sweepLater(read);
    // One connection's operations on one key keep their order: a read waits for the write that the same connection sent before.
    const before = this.locks.busy(operation.key) ? this.#ownWriteBefore(operation) : undefined;
    if (before) this.#carefullyAfter(operation, read);
    else read.start();
  }

  #ownWriteBefore({ key, client }: ReadOperation): ClientTask | undefined {
    return this.locks.tasks(key).find((task: ClientTask) => task.client === client && task.answered !== true);
  }

  /** Starts a read when the key's lock comes round; it does not keep the lock. */
  #carefullyAfter(operation: ReadOperation, read: QuorumRead): void {
    const { key } = operation;
    this.locks.acquire({
      key,
      combinable: false,
      start: () => {
        read.start();
        this.locks.release(key);
      },
    });
  }

  /** C6: mends disagreeing replicas under the key's lock, then answers the read. */
  fix(operation: ReadOperation, reply: (outcome: ReadOutcome) => void): void {
    this.#carefully(operation, (io) => fix(this, io, operation), reply);
  }

  #carefully<T>(
    operation: ReadOperation | WriteOperation,
    script: (io: RegisterIo) => Generator<never, T, unknown> | ReturnType<typeof fix> | ReturnType<typeof carefulWrite>,
    reply: (outcome: T) => void,
  ): void {
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
    this.locks.acquire(task);
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
    for (const slot of slots) this.context.slot(slot).held = true;
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
    for (const flight of this.flights) flight.interrupt(slots);
    for (const task of this.#careful) if (slots.has(task.slot)) task.interrupt();
  }

  // Time.

  sweepLater(item: Swept): void {
    this.#swept.add(item);
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.context.timers.after(SWEEP_MS, () => this.#sweep());
  }

  #sweep(): void {
    this.#sweeping = false;
    if (this.#ended) return;
    const { now } = this.context.timers;
    for (const item of this.#swept) if (!item.sweep(now)) this.#swept.delete(item);
    const [first] = this.#swept;
    if (first) this.sweepLater(first);
  }

  /** The epoch is over: every operation gets its answer; what was sent is unknown. */
  end(reason: EndReason): void {
    if (this.#ended) return;
    this.#ended = reason;
    const queue = this.#queue;
    this.#queue = [];
    for (const { refuse } of queue) refuse(reason(false));
    for (const flight of this.flights) flight.abandon(reason);
    for (const write of this.#writes) write.abandon(reason);
    for (const read of this.#reads) read.abandon(reason(false));
    for (const task of this.#careful) task.abandon(reason);
  }
}

function forlorn(): KvError {
  return new KvError("NO_LEADER", "this leader cannot reach a majority of the voters; nothing was sent");
}

function stillQueued(): KvError {
  return new KvError("OVERLOADED", "too many operations were before this one for the whole deadline; nothing was sent");
}

/** A script that holds a key's lock while it runs. */
class CarefulTask implements KeyTask, Swept {
  readonly key: string;
  readonly slot: number;
  readonly client: number;
  readonly combinable = false;
  readonly #sequencer: Sequencer;
  readonly #deadline: number;
  readonly #run: (io: RegisterIo, done: (reply: () => void) => void) => void;
  readonly #fail: (error: KvError) => void;
  readonly #gone: () => void;
  readonly #operation: ReadOperation | WriteOperation;
  #io: RegisterIo;
  #state: "waiting" | "running" | "done" = "waiting";

  constructor(
    sequencer: Sequencer,
    operation: ReadOperation | WriteOperation,
    script: (io: RegisterIo, done: (reply: () => void) => void) => void,
    fail: (error: KvError) => void,
    gone: () => void,
  ) {
    this.#sequencer = sequencer;
    this.key = operation.key;
    this.slot = operation.slot;
    this.client = operation.client;
    this.#deadline = operation.deadline;
    this.#operation = operation;
    this.#io = new RegisterIo(sequencer, operation);
    this.#run = script;
    this.#fail = fail;
    this.#gone = gone;
  }

  get answered(): boolean {
    return this.#state === "done";
  }

  start(): void {
    if (this.#state === "done") return this.#sequencer.locks.release(this.key);
    this.#sequencer.whenFree(this.slot, () => this.#begin());
  }

  #begin(): void {
    if (this.#state !== "waiting") return;
    this.#state = "running";
    const runtime = this.#sequencer.context.slot(this.slot);
    runtime.inFlight++;
    const io = this.#io;
    this.#run(io, (reply) => {
      runtime.inFlight--;
      const late = this.#state === "done";
      if (!late && io.interrupted && !io.issued) return this.#startOver();
      this.#state = "done";
      this.#gone();
      this.#sequencer.locks.release(this.key);
      if (!late) reply();
    });
  }

  /** The slot was taken away before anything was issued: nothing has happened, so it begins again when the slot is free. */
  #startOver(): void {
    this.#state = "waiting";
    this.#io = new RegisterIo(this.#sequencer, this.#operation);
    this.#sequencer.sweepLater(this);
    this.#sequencer.whenFree(this.slot, () => this.#begin());
  }

  sweep(now: number): boolean {
    if (this.#state !== "waiting") return false;
    if (now < this.#deadline) return true;
    // Held by a slot that changes hands, it already owns the lock and gives it back; queued, it leaves the queue.
    const queued = this.#sequencer.locks.withdraw(this);
    this.#state = "done";
    this.#gone();
    this.#fail(
      new KvError(queued ? "NO_QUORUM" : "MOVING", "the key was busy for the whole deadline; nothing was sent"),
    );
    if (!queued) this.#sequencer.locks.release(this.key);
    return false;
  }

  interrupt(): void {
    this.#io.interrupt();
  }

  abandon(reason: EndReason): void {
    const sent = this.#state === "running";
    if (this.#state === "done") return;
    this.#state = "done";
    this.#gone();
    this.#fail(reason(sent));
    this.#io.interrupt();
  }
}
