// Calls: everything asked of one session, from being asked to being settled. Ids, deadlines, the in-flight cap and the queue
// behind it; answers find their call by id. Knows exactly whether a call was handed to the connection, and says so by the
// error: TIMEOUT and LOST mean sent, with unknown outcome; OVERLOADED, NO_LEADER and CANCELLED mean that nothing was sent.
import type { ErrorCode } from "../errors.ts";
import { KvError } from "../errors.ts";
import { monotonicMs } from "../io/system-clock.ts";
import type { PlainAnswer, SessionMessage } from "./answers.ts";
import { errorOf } from "./answers.ts";
import { InFlight } from "./in-flight.ts";
import { LineCutter } from "./lines.ts";

/** Something asked of a session, and who wants to know. It belongs to the session from `ask` on, and is asked once. */
export interface Call {
  readonly op: SessionMessage["op"];
  readonly signal: AbortSignal | undefined;
  /** When it is given up, on the monotonic clock in ms; Infinity once a long operation has begun to answer. */
  readonly deadlineAtMs: number;
  /** Kept by `Calls`: its id, once it was asked. 0 before. */
  id: number;
  /** Kept by `Calls`: id of the line it was sent in; 0 while it waits here. */
  line: number;
  /** Kept by `Calls`: stops listening to the signal. */
  forgetSignal: (() => void) | null;
  /** What it says, as JSON without the opening brace. */
  text(): string;
  /** The same as the fields of a compact line, behind the id; undefined where it does not fit into one. */
  fields(): string | undefined;
  /** A line of a long operation before its last one. */
  progressed(answer: PlainAnswer): void;
  /** It is settled: one of these is called, once, and must not throw. */
  answered(answer: PlainAnswer): void;
  failed(error: KvError): void;
}

export interface CallLimits {
  readonly inFlightMax: number;
  readonly waitingMax: number;
}

/** The coordinator gets this much less time than the caller, so that its definite answer still arrives. */
const ANSWER_MARGIN_MS = 50;

export class Calls {
  readonly #address: string;
  readonly #limits: CallLimits;
  readonly #onWork: () => void;
  readonly #inFlight = new InFlight<Call>();
  /** Calls not handed to the connection yet, in their order. */
  #waiting: Call[] = [];
  #nextId = 1;
  /** The latest time that calls were told to have, and its text: those of one line mostly have the same. */
  #toldMs = 0;
  #told = { time: "" };
  #drained: (() => void)[] = [];
  #endReason: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #compact = false;
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
    return this.#inFlight.size + this.#waiting.length;
  }

  /** Whether somebody waits for the answer to an operation on data that was sent. Looks at every call in flight. */
  get owesData(): boolean {
    return this.#inFlight.all().some(({ op }) => isData(op) || op === "scan");
  }

  /** Calls not handed to the connection yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** The other end knows compact lines. */
  useCompactLines(): void {
    this.#compact = true;
  }

  ask(call: Call): void {
    const { signal } = call;
    const refusal = this.#refusal(call.op, signal);
    if (refusal !== null) return call.failed(refusal);
    call.id = this.#nextId++;
    if (signal !== undefined) this.#listen(call, signal);
    if (call.deadlineAtMs < this.#wakesAtMs) this.#wakeAt(call.deadlineAtMs);
    this.#waiting.push(call);
    this.#onWork();
  }

  /**
   * The lines to send now: calls in their order, as many as the cap and about `bytesMax` allow. They count as sent.
   * @param lineBytesMax Longest batch line.
   */
  take({ bytesMax, lineBytesMax }: { bytesMax: number; lineBytesMax: number }): readonly string[] {
    const cutter = new LineCutter(lineBytesMax, () => this.#nextId++);
    const nowMs = monotonicMs();
    let taken = 0;
    for (const call of this.#waiting) {
      if (this.#inFlight.size >= this.#limits.inFlightMax || cutter.bytes > bytesMax) break;
      taken++;
      this.#inFlight.add(call);
      call.line = this.#addTo(cutter, call, nowMs);
    }
    this.#waiting = this.#waiting.slice(taken);
    return cutter.end();
  }

  /** Settles what an answer is for. Returns the operation where it was answered ok, else null. */
  answered(message: Record<string, unknown>): SessionMessage["op"] | null {
    const call = this.#inFlight.get(message["id"] as number);
    if (call === undefined) this.#lineRefused(message); // or the answer came after the deadline
    else if (message["status"] !== "ok") this.#reject(call, errorOf(message, this.#address));
    else if (message["done"] === false) call.progressed(message as unknown as PlainAnswer);
    else {
      this.#settle(call);
      call.answered(message as unknown as PlainAnswer);
      return call.op;
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
    for (const call of [...this.#inFlight.all(), ...this.#waiting]) this.#reject(call, this.#lost(call, reason));
  }

  /** Puts a call into a line, with its id and, where the operation takes one, the time that is left. @returns the line's id */
  #addTo(cutter: LineCutter, call: Call, nowMs: number): number {
    const { id, op } = call;
    if (!isData(op) && op !== "scan") return cutter.add(`{"id":${id},${call.text()}`, "alone");
    const time = this.#timeOf(call, nowMs);
    const fields = this.#compact ? call.fields() : undefined;
    if (fields !== undefined) return cutter.add(`${id},${fields}`, time);
    return cutter.add(`{"id":${id}${time.time}${call.text()}`, isData(op) ? "objects" : "alone");
  }

  #timeOf({ deadlineAtMs }: Call, nowMs: number): { readonly time: string } {
    const leftMs = deadlineAtMs - nowMs;
    const timeoutMs = Math.max(1, Math.floor(leftMs - Math.min(ANSWER_MARGIN_MS, leftMs / 10)));
    if (timeoutMs !== this.#toldMs) this.#told = { time: `,"timeoutMs":${timeoutMs},` };
    this.#toldMs = timeoutMs;
    return this.#told;
  }

  /** Why a call is not even queued; null where it is. */
  #refusal(op: string, signal: AbortSignal | undefined): KvError | null {
    if (this.#endReason !== null) {
      const why = `the session with ${this.#address} is over (${this.#endReason}); nothing was sent`;
      return new KvError("NO_LEADER", why, { op, address: this.#address });
    }
    if (signal?.aborted) {
      const why = `${op} was aborted by the caller before anything was sent`;
      return new KvError("CANCELLED", why, { op, address: this.#address });
    }
    if (this.#waiting.length < this.#limits.waitingMax) return null;
    const why = `${this.#limits.waitingMax} operations wait for ${this.#address} already, the limit; nothing was sent: issue fewer at a time`;
    return new KvError("OVERLOADED", why, { op, address: this.#address });
  }

  /** A refusal under the id of a whole line is one of each operation in it. Rare, so the search may be slow. */
  #lineRefused(message: Record<string, unknown>): void {
    if (message["status"] !== "error" || typeof message["id"] !== "number") return;
    for (const call of this.#inFlight.all()) {
      if (call.line === message["id"]) this.#reject(call, errorOf(message, this.#address));
    }
  }

  #listen(call: Call, signal: AbortSignal): void {
    const abort = (): void => this.#giveUp(call, "was aborted by the caller", "CANCELLED");
    signal.addEventListener("abort", abort, { once: true });
    call.forgetSignal = () => signal.removeEventListener("abort", abort);
  }

  /** @param unsentCode What it is called where nothing was sent. */
  #giveUp(call: Call, why: string, unsentCode: ErrorCode = "OVERLOADED"): void {
    const { op } = call;
    const details = { op, address: this.#address, ...(unsentCode === "CANCELLED" ? { aborted: true } : {}) };
    const unsent = `${op} was not sent to ${this.#address}: it ${why}, ${this.#inFlight.size} operations in flight`;
    const sent = `${op} was sent to ${this.#address} and ${why}: it may have happened`;
    this.#reject(
      call,
      call.line === 0 ? new KvError(unsentCode, unsent, details) : new KvError("TIMEOUT", sent, details),
    );
    this.#onWork();
  }

  #lost({ op, line }: Call, reason: string): KvError {
    const details = { op, address: this.#address };
    if (line === 0)
      return new KvError("NO_LEADER", `${op} was not sent: ${this.#address} went away (${reason})`, details);
    return new KvError(
      "LOST",
      `${op} was sent to ${this.#address}, which went away (${reason}): it may have happened`,
      details,
    );
  }

  #reject(call: Call, error: KvError): void {
    this.#settle(call);
    call.failed(error);
  }

  #settle(call: Call): void {
    call.forgetSignal?.();
    if (call.line !== 0) this.#inFlight.remove(call);
    else this.#waiting.splice(this.#waiting.indexOf(call), 1); // rare, and nearly always the first
    if (this.#drained.length > 0 && this.pending === 0) for (const resolve of this.#drained.splice(0)) resolve();
  }

  /** One timer for all calls, at their earliest deadline: a timer each would cost as much as the rest of a call. */
  #wakeAt(timeMs: number): void {
    clearTimeout(this.#timer);
    this.#wakesAtMs = timeMs;
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, Math.ceil(timeMs - monotonicMs())));
  }

  /** Gives up what is due. Most calls are settled long before, so this looks at few, about once a deadline. */
  #expire(): void {
    this.#wakesAtMs = Number.POSITIVE_INFINITY;
    const nowMs = monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const call of [...this.#inFlight.all(), ...this.#waiting]) {
      if (call.deadlineAtMs <= nowMs) this.#giveUp(call, "got no answer before the deadline");
      else nextMs = Math.min(nextMs, call.deadlineAtMs);
    }
    if (nextMs < this.#wakesAtMs) this.#wakeAt(nextMs);
  }
}

/** Puts, deletes and gets share lines. */
function isData(op: string): boolean {
  return op === "put" || op === "get" || op === "delete";
}
