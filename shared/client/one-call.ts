// One call: what is asked of a session by itself, with a promise for its answer. Operations of the client are calls of their
// own (task.ts).
import type { KvError } from "../errors.ts";
import type { PlainAnswer, SessionMessage } from "./answers.ts";
import type { Call } from "./calls.ts";

export interface CallOptions {
  /** Time for the answer, or for the first progress line, in ms. Default: that of the session. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Takes the lines of a long operation before its last one. */
export type OnProgress<Answer> = (answer: Answer) => void;

/** What is asked, and who wants to know. */
export interface Asked {
  readonly message: SessionMessage;
  readonly deadlineAtMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnProgress<PlainAnswer> | undefined;
  readonly resolve: (answer: PlainAnswer) => void;
  readonly reject: (error: KvError) => void;
}

export class OneCall implements Call {
  readonly op: SessionMessage["op"];
  readonly signal: AbortSignal | undefined;
  deadlineAtMs: number;
  id = 0;
  line = 0;
  forgetSignal: (() => void) | null = null;
  readonly #asked: Asked;

  constructor(asked: Asked) {
    this.op = asked.message.op;
    this.signal = asked.signal;
    this.deadlineAtMs = asked.deadlineAtMs;
    this.#asked = asked;
  }

  text(): string {
    return JSON.stringify(this.#asked.message).slice(1); // every message has an `op`, so there is something left
  }

  fields(): undefined {}

  progressed(answer: PlainAnswer): void {
    this.deadlineAtMs = Number.POSITIVE_INFINITY;
    this.#asked.onProgress?.(answer);
  }

  answered(answer: PlainAnswer): void {
    this.#asked.resolve(answer);
  }

  failed(error: KvError): void {
    this.#asked.reject(error);
  }
}
