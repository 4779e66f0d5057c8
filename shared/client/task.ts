// Task: one operation of a client under way. One object from being issued to being settled: its place among the operations on
// its key, the caller's promise, and the call that is its first attempt (most have no other; trial.ts makes those).
import type { KvError } from "../errors.ts";
import { valueWeight } from "../record.ts";
import type { PlainAnswer } from "./answers.ts";
import type { Call } from "./calls.ts";
import { deferred } from "./deferred.ts";
import type { Place } from "./key-lanes.ts";
import type { ClientMessage } from "./operation-text.ts";
import { operationFields, operationText } from "./operation-text.ts";
import type { Session } from "./session.ts";
import type { Patience } from "./waiting.ts";

/** Makes the caller's result of an answer; null: a get found nothing. Must not throw. */
export type AnyResultOf = (answer: object | null, message: ClientMessage) => unknown;

/** Is told how first attempts end. */
export interface TaskOwner {
  answered(task: Task, answer: object): void;
  refused(task: Task, error: KvError): void;
}

export class Task implements Call, Patience {
  readonly message: ClientMessage;
  /** For the whole operation, on the monotonic clock in ms. */
  readonly deadlineAtMs: number;
  readonly signal: AbortSignal | undefined;
  /** Null for scans, which no key orders. */
  readonly place: Place | null;
  /** The caller's. */
  readonly promise: Promise<unknown>;
  /** By which the first attempt was made; null before. */
  session: Session | null = null;
  /** A lower bound of the epoch in which it was made. */
  epoch = 0;
  id = 0;
  line = 0;
  forgetSignal: (() => void) | null = null;
  readonly #owner: TaskOwner;
  readonly #resultOf: AnyResultOf;
  readonly #resolve: (result: unknown) => void;
  readonly #reject: (error: unknown) => void;

  constructor(
    owner: TaskOwner,
    asked: {
      message: ClientMessage;
      deadlineAtMs: number;
      signal: AbortSignal | undefined;
      resultOf: AnyResultOf;
      place: Place | null;
    },
  ) {
    const { promise, resolve, reject } = deferred();
    this.message = asked.message;
    this.deadlineAtMs = asked.deadlineAtMs;
    this.signal = asked.signal;
    this.place = asked.place;
    this.promise = promise;
    this.#owner = owner;
    this.#resultOf = asked.resultOf;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get op(): ClientMessage["op"] {
    return this.message.op;
  }

  text(): string {
    return operationText(this.message);
  }

  fields(): string | undefined {
    return operationFields(this.message);
  }

  /** No operation of a client answers in steps: a line that claims so is passed over, and the deadline holds. */
  progressed(): void {}

  answered(answer: PlainAnswer): void {
    this.#owner.answered(this, answer);
  }

  failed(error: KvError): void {
    this.#owner.refused(this, error);
  }

  /** Tells the caller. @param answer null: a get found nothing */
  succeed(answer: object | null): void {
    this.#resolve(this.#resultOf(answer, this.message));
  }

  /** Tells the caller a result that no coordinator's answer stands for. */
  succeedWith(result: unknown): void {
    this.#resolve(result);
  }

  fail(error: unknown): void {
    this.#reject(error);
  }
}

/** What the value of an operation adds to memory, in UTF-16 units. */
export function weightOf(message: ClientMessage): number {
  return message.op === "put" ? valueWeight(message.value) : 0;
}
