// Calls: everything asked of one session, from being asked to being settled. Ids, deadlines, the in-flight cap and the queue
// behind it; answers find their call by id. Knows exactly whether a call was handed to the connection, and says so by the
// error: TIMEOUT and LOST mean sent, with unknown outcome; OVERLOADED, NO_LEADER and CANCELLED mean that nothing was sent.
import type { ErrorCode } from "../errors.ts";
import { KvError } from "../errors.ts";
import { monotonicMs } from "../io/system-clock.ts";
import type { PlainAnswer, SessionMessage } from "./answers.ts";
import { errorOf } from "./answers.ts";
import type { Piece } from "./lines.ts";

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
  readonly options: CallOptions;
  readonly onProgress: OnProgress<PlainAnswer> | undefined;
  readonly resolve: (answer: PlainAnswer) => void;
  readonly reject: (error: KvError) => void;
}

interface Call {
  readonly asked: Asked;
  readonly id: number;
  /** Infinity once a long operation has begun to answer. */
  deadlineAtMs: number;
  forgetSignal: (() => void) | null;
  /** Id of the line it was sent in; 0 while it waits here. */
  line: number;
}

/** A call as JSON, to be sent now. */
export interface OutgoingCall extends Piece {
  readonly call: { line: number };
}

export interface CallLimits {
  readonly timeoutMs: number;
  readonly inFlightMax: number;
  readonly waitingMax: number;
}

/** The coordinator gets this much less time than the caller, so that its definite answer still arrives. */
const ANSWER_MARGIN_MS = 50;

const BATCHABLE: ReadonlySet<string> = new Set(["put", "delete", "get"]);
const TAKES_DEADLINE: ReadonlySet<string> = new Set(["put", "delete", "get", "scan"]);

export class Calls {
  readonly #address: string;
  readonly #limits: CallLimits;
  readonly #onWork: () => void;
  readonly #inFlight = new Map<number, Call>();
  /** Calls not handed to the connection yet, in their order. */
  readonly #waiting = new Set<Call>();
  #nextId = 1;
  #drained: (() => void)[] = [];
  #endReason: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires, on the monotonic clock in ms. */
  #wakesAtMs = Number.POSITIVE_INFINITY;

  /** @param onWork Called when there may be something to `take`; often. */
  constructor(address: string, limits: CallLimits, onWork: () => void) {
    this.#address = address;
    this.#limits = limits;
    this.#onWork = onWork;
  }

  /** Why nothing can be asked any more; null while it can. */
  get endReason(): string | null {
    return this.#endReason;
  }

  /** Calls not settled. */
  get pending(): number {
    return this.#inFlight.size + this.#waiting.size;
  }

  /** Calls not handed to the connection yet. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** A fresh id, for the envelope of a line. */
  nextId(): number {
    return this.#nextId++;
  }

  ask(asked: Asked): void {
    const { signal, timeoutMs = this.#limits.timeoutMs } = asked.options;
    const refusal = this.#refusal(asked.message.op, signal);
    if (refusal !== null) return asked.reject(refusal);
    const call: Call = {
      asked,
      id: this.nextId(),
      deadlineAtMs: monotonicMs() + timeoutMs,
      forgetSignal: null,
      line: 0,
    };
    if (signal) {
      const abort = (): void => this.#giveUp(call, "was aborted by the caller", "CANCELLED");
      signal.addEventListener("abort", abort, { once: true });
      call.forgetSignal = () => signal.removeEventListener("abort", abort);
    }
    this.#wakeAt(call.deadlineAtMs);
    this.#waiting.add(call);
    this.#onWork();
  }

  /** The calls to send now, in their order: as many as the cap and about `bytesMax` allow. They count as sent. */
  take(bytesMax: number): OutgoingCall[] {
    const outgoing: OutgoingCall[] = [];
    let bytes = 0;
    const nowMs = monotonicMs();
    for (const call of this.#waiting) {
      if (this.#inFlight.size >= this.#limits.inFlightMax || bytes > bytesMax) break;
      this.#waiting.delete(call);
      this.#inFlight.set(call.id, call);
      const json = encode(call, nowMs);
      const piece = { json, bytes: Buffer.byteLength(json), batchable: BATCHABLE.has(call.asked.message.op), call };
      bytes += piece.bytes;
      outgoing.push(piece);
    }
    return outgoing;
  }

  /** Settles what a line answers. Returns the operation where it was answered ok, else null. */
  answered(message: Record<string, unknown>): SessionMessage["op"] | null {
    const call = this.#inFlight.get(message["id"] as number);
    if (call === undefined) this.#lineRefused(message); // or the answer came after the deadline
    else if (message["status"] !== "ok") this.#reject(call, errorOf(message, this.#address));
    else if (message["done"] === false) this.#progressed(call, message as unknown as PlainAnswer);
    else {
      this.#settle(call);
      call.asked.resolve(message as unknown as PlainAnswer);
      return call.asked.message.op;
    }
    return null;
  }

  /** Resolves when every call made so far is settled. */
  async drain(): Promise<void> {
    if (this.pending > 0) await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** The connection is over: rejects all calls, present and future. */
  end(reason: string): void {
    if (this.#endReason !== null) return;
    this.#endReason = reason;
    clearTimeout(this.#timer);
    for (const call of [...this.#inFlight.values(), ...this.#waiting]) this.#reject(call, this.#lost(call, reason));
  }

  /** Why a call is not even queued; null where it is. */
  #refusal(op: string, signal: AbortSignal | undefined): KvError | null {
    const details = { op, address: this.#address };
    if (this.#endReason !== null) {
      const why = `the session with ${this.#address} is over (${this.#endReason}); nothing was sent`;
      return new KvError("NO_LEADER", why, details);
    }
    if (signal?.aborted)
      return new KvError("CANCELLED", `${op} was aborted by the caller before anything was sent`, details);
    if (this.#waiting.size < this.#limits.waitingMax) return null;
    const why = `${this.#limits.waitingMax} operations wait for ${this.#address} already, the limit; nothing was sent: issue fewer at a time`;
    return new KvError("OVERLOADED", why, details);
  }

  /** A refusal under the id of a whole line is one of each operation in it. Rare, so the search may be slow. */
  #lineRefused(message: Record<string, unknown>): void {
    if (message["status"] !== "error" || typeof message["id"] !== "number") return;
    for (const call of this.#inFlight.values()) {
      if (call.line === message["id"]) this.#reject(call, errorOf(message, this.#address));
    }
  }

  #progressed(call: Call, answer: PlainAnswer): void {
    call.deadlineAtMs = Number.POSITIVE_INFINITY;
    call.asked.onProgress?.(answer);
  }

  /** @param unsentCode What it is called where nothing was sent. */
  #giveUp(call: Call, why: string, unsentCode: ErrorCode = "OVERLOADED"): void {
    const { op } = call.asked.message;
    const details = { op, address: this.#address, ...(unsentCode === "CANCELLED" ? { aborted: true } : {}) };
    const unsent = `${op} was not sent to ${this.#address}: it ${why}, ${this.#inFlight.size} operations in flight`;
    const sent = `${op} was sent to ${this.#address} and ${why}: it may have happened`;
    this.#reject(
      call,
      call.line === 0 ? new KvError(unsentCode, unsent, details) : new KvError("TIMEOUT", sent, details),
    );
    this.#onWork();
  }

  #lost(call: Call, reason: string): KvError {
    const { op } = call.asked.message;
    const details = { op, address: this.#address };
    if (call.line === 0)
      return new KvError("NO_LEADER", `${op} was not sent: ${this.#address} went away (${reason})`, details);
    return new KvError(
      "LOST",
      `${op} was sent to ${this.#address}, which went away (${reason}): it may have happened`,
      details,
    );
  }

  #reject(call: Call, error: KvError): void {
    this.#settle(call);
    call.asked.reject(error);
  }

  #settle(call: Call): void {
    call.forgetSignal?.();
    this.#inFlight.delete(call.id);
    this.#waiting.delete(call);
    if (this.pending === 0 && this.#drained.length > 0) for (const resolve of this.#drained.splice(0)) resolve();
  }

  /** One timer for all calls, at their earliest deadline: a timer each would cost as much as the rest of a call. */
  #wakeAt(timeMs: number): void {
    if (timeMs >= this.#wakesAtMs) return;
    clearTimeout(this.#timer);
    this.#wakesAtMs = timeMs;
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, Math.ceil(timeMs - monotonicMs())));
  }

  /** Gives up what is due. Most calls are settled long before, so this looks at few, about once a deadline. */
  #expire(): void {
    this.#wakesAtMs = Number.POSITIVE_INFINITY;
    const nowMs = monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const calls of [this.#inFlight.values(), this.#waiting]) {
      for (const call of calls) {
        if (call.deadlineAtMs <= nowMs) this.#giveUp(call, "got no answer before the deadline");
        else nextMs = Math.min(nextMs, call.deadlineAtMs);
      }
    }
    this.#wakeAt(nextMs);
  }
}

/** JSON of a call with its id and, where the operation takes one, the time that is left. */
function encode({ asked: { message }, id, deadlineAtMs }: Call, nowMs: number): string {
  const rest = JSON.stringify(message).slice(1); // every message has an `op`, so there is something to put before
  if (!TAKES_DEADLINE.has(message.op)) return `{"id":${id},${rest}`;
  const leftMs = deadlineAtMs - nowMs;
  const timeoutMs = Math.max(1, Math.floor(leftMs - Math.min(ANSWER_MARGIN_MS, leftMs / 10)));
  return `{"id":${id},"timeoutMs":${timeoutMs},${rest}`;
}
