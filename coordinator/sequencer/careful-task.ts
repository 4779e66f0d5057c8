// Careful task: a script (careful.ts) that waits for its key's lock and for its slot, and holds the lock while it runs. A slot that is
// taken away before the script has issued anything makes it begin again (M2); the deadline ends it only while it waits, for a script
// that runs ends by itself.
import { KvError } from "../../shared/errors.ts";
import type { KeyTask } from "./key-locks.ts";
import type { EndReason, ReadOperation, Swept, WriteOperation } from "./operation.ts";
import { RegisterIo } from "./register-io.ts";
import type { SequencerServices } from "./services.ts";

/** A script that holds a key's lock while it runs. */
export class CarefulTask implements KeyTask, Swept {
  readonly key: string;
  readonly slot: number;
  readonly client: number;
  readonly writes: boolean;
  readonly combinable = false;
  readonly #sequencer: SequencerServices;
  readonly #deadline: number;
  readonly #run: (io: RegisterIo, done: (reply: () => void) => void) => void;
  readonly #fail: (error: KvError) => void;
  readonly #gone: () => void;
  readonly #operation: ReadOperation | WriteOperation;
  #io: RegisterIo;
  #state: "waiting" | "running" | "done" = "waiting";

  constructor(
    sequencer: SequencerServices,
    operation: ReadOperation | WriteOperation,
    script: (io: RegisterIo, done: (reply: () => void) => void) => void,
    fail: (error: KvError) => void,
    gone: () => void,
  ) {
    this.#sequencer = sequencer;
    this.key = operation.key;
    this.slot = operation.slot;
    this.client = operation.client;
    this.writes = operation.type === "write";
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

  interrupt(slots: ReadonlySet<number>): void {
    if (slots.has(this.slot)) this.#io.interrupt();
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
