// Operation: one put, delete, get or page of a scan on its way to a settled outcome (C8), attempt by attempt. Holds what its
// attempts have left behind, and decides from that whether it may be sent again and what to tell the caller in the end.
// Pure: it sends nothing and does not wait.
//
// What was sent and not answered stays in doubt whatever later attempts are refused with: only an answer, or a condition
// proven false, settles it. A retry of a doubtful write carries the epoch of the first attempt that may have had an effect:
// a lower bound of it is safe (the coordinator then says "unknown" more often), a higher one would not be.
import { KvError } from "../errors.ts";
import type { DeleteRequest, GetRequest, PutRequest, ScanRequest } from "../protocol/client-messages.ts";
import type { Reaction } from "./retry.ts";
import { ATTEMPTS_MAX, reactionTo } from "./retry.ts";

export type OperationMessage =
  | Omit<PutRequest, "id">
  | Omit<DeleteRequest, "id">
  | Omit<GetRequest, "id">
  | Omit<ScanRequest, "id">;

/** What to do after a failed attempt. */
export type Decision =
  | { readonly kind: "fail"; readonly error: KvError }
  /** Free of charge: find the leader. `moves` counts how often in a row. */
  | { readonly kind: "elsewhere"; readonly moves: number }
  /** Costs one from the retry budget. `attempts` made so far. */
  | { readonly kind: "again"; readonly attempts: number };

export class Operation<Message extends OperationMessage = OperationMessage> {
  readonly writes: boolean;
  readonly #message: Message;
  #attempts = 0;
  #moves = 0;
  /** The first attempt that may have had an effect. */
  #doubt: { readonly error: KvError; readonly epoch: number } | null = null;

  constructor(message: Message) {
    this.#message = message;
    this.writes = message.op === "put" || message.op === "delete";
  }

  /** The message of the next attempt. */
  get message(): Message {
    return this.writes && this.#doubt !== null ? { ...this.#message, firstEpoch: this.#doubt.epoch } : this.#message;
  }

  /** Whether something may have happened already. */
  get inDoubt(): boolean {
    return this.writes && this.#doubt !== null;
  }

  /**
   * An attempt failed.
   * @param epoch Lower bound of the epoch in which it was sent; 0 where none is known, and then it is not sent again.
   */
  failed(error: KvError, epoch: number): Decision {
    const reaction: Reaction = reactionTo(error.code);
    if (error.outcome === "unknown") this.#doubt ??= { error, epoch };
    if (reaction === "never" || error.details["aborted"] === true) return this.#fail(error);
    if (this.inDoubt && this.#doubt?.epoch === 0) return this.#fail(error);
    if (reaction === "elsewhere") return { kind: "elsewhere", moves: ++this.#moves };
    return ++this.#attempts < ATTEMPTS_MAX ? { kind: "again", attempts: this.#attempts } : this.#fail(error);
  }

  /** What the caller is told when nothing more is tried. @param last What the last attempt failed with. */
  finalError(last: KvError): KvError {
    const doubt = this.#doubt?.error;
    if (!this.writes || doubt === undefined || last.outcome === "unknown" || last.code === "CONDITION_FAILED")
      return last;
    const why = `${doubt.message}; tried again with the same operation id: ${last.message}`;
    return new KvError("TIMEOUT", why, { ...doubt.details, last: last.code });
  }

  #fail(error: KvError): Decision {
    return { kind: "fail", error: this.finalError(error) };
  }
}
