// Blind write: a put, or a delete that nothing depends on (C3, C4), from its place in the key's queue to its one answer. How it gets to
// the replicas, alone or with others of its key, is the business of its flight.
import { KvError } from "../../shared/errors.ts";
import type { WriteOp } from "../../shared/protocol/node-messages.ts";
import type { Version } from "../../shared/version.ts";
import type { KeyTask } from "./key-locks.ts";
import type { EndReason, FlightFollower, Reply, Swept, WriteOperation, WriteOutcome } from "./operation.ts";
import type { SequencerServices } from "./services.ts";

/** What carries blind writes of a key to its replicas. */
export interface Carrier {
  /** Whether anything was sent. */
  readonly sent: boolean;
  /** Tells the follower when it gives its key back. False where it was not sent, or has done so. */
  follow(follower: FlightFollower): boolean;
  /** @returns whether it still needs sweeping */
  sweep(now: number): boolean;
  /** M2: the slots are about to be sealed. */
  interrupt(slots: ReadonlySet<number>): void;
  /** Nothing more is sent, and no answer counts. */
  end(): void;
}

export class BlindWrite implements KeyTask, Swept {
  readonly operation: WriteOperation;
  /** Whom to tell; the sequencer does. */
  readonly reply: Reply<WriteOperation, WriteOutcome>;
  /** What its flight issued it as. */
  version: Version | undefined;
  /** Where it is remembered. */
  remembered = -1;
  readonly writes = true;
  readonly combinable = true;
  readonly #sequencer: SequencerServices;
  #answered = false;
  #flight: Carrier | undefined;

  constructor(sequencer: SequencerServices, operation: WriteOperation, reply: Reply<WriteOperation, WriteOutcome>) {
    this.#sequencer = sequencer;
    this.operation = operation;
    this.reply = reply;
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
    return this.#answered;
  }

  get flight(): Carrier | undefined {
    return this.#flight;
  }

  start(together: readonly KeyTask[], before: WriteOp | undefined): void {
    this.#sequencer.take(together, before);
  }

  /** From now on its flight has the say. */
  takenBy(flight: Carrier): void {
    this.#flight = flight;
  }

  answer(outcome: WriteOutcome): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#sequencer.written(this, outcome);
  }

  /** M2. */
  interrupt(slots: ReadonlySet<number>): void {
    if (this.#flight?.sent === true) this.#flight.interrupt(slots);
  }

  /** The epoch is over. A write for all replicas may wait for the last of them after its flight has given the key back. */
  abandon(reason: EndReason): void {
    this.answer({ type: "error", error: reason(this.#flight?.sent === true) });
    this.#flight?.end();
  }

  sweep(now: number): boolean {
    if (this.#flight) return this.#flight.sweep(now);
    if (this.#answered) return false;
    if (now < this.operation.deadline) return true;
    this.#sequencer.locks.withdraw(this);
    this.answer({
      type: "error",
      error: new KvError("NO_QUORUM", "the key was busy for the whole deadline; nothing was sent"),
    });
    return false;
  }
}
