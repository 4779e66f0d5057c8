// Session: one connection to one coordinator (or node), with ids, deadlines, an in-flight cap and a bounded queue. What is
// called in one turn of the event loop leaves as one line (see lines.ts), in the order in which it was called. Answers are
// matched by id in any order; an answer with `done: false` is progress.
//
// It never sends anything twice and does not know who leads: retries are client.ts, leaders are leader-finder.ts. It knows
// exactly whether an operation was handed to the connection, and says so by the error: TIMEOUT and LOST mean sent, with
// unknown outcome; OVERLOADED, NO_LEADER and CANCELLED mean that nothing was sent.
import type { ErrorCode } from "../errors.ts";
import { KvError } from "../errors.ts";
import { connectTo } from "./dial.ts";
import type { NdjsonConnection } from "../io/ndjson-connection.ts";
import { monotonicMs } from "../io/system-clock.ts";
import { DEADLINE_MS_DEFAULT, VALUE_BYTES_MAX_DEFAULT } from "../limits.ts";
import type { ClientHelloAnswer } from "../protocol/client-messages.ts";
import { PROTOCOL_VERSIONS } from "../protocol/version.ts";
import { parsePair } from "../version.ts";
import type { AnswerTo, PlainAnswer, SessionMessage } from "./answers.ts";
import { errorOf } from "./answers.ts";
import { batchBytesMax, cutLines, lineText } from "./lines.ts";
import type { Piece } from "./lines.ts";

export interface SessionOptions {
  /** Time to connect and exchange hello, and the default deadline of each call, in ms. Default 2 000. */
  readonly timeoutMs?: number;
  /** Operations sent and not answered, beyond which calls wait in the session. Default 4 096. */
  readonly inFlightMax?: number;
  /** Calls waiting in the session, beyond which they are refused as OVERLOADED. Default 16 384. */
  readonly waitingMax?: number;
  /** Gives up connecting; not looked at afterwards. */
  readonly signal?: AbortSignal;
}

export interface CallOptions {
  /** Time for the answer, or for the first progress line, in ms. Default: that of the session. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Takes the lines of a long operation before its last one. */
export type OnProgress<Answer> = (answer: Answer) => void;

interface Call {
  readonly id: number;
  readonly message: SessionMessage;
  readonly deadlineAtMs: number;
  readonly resolve: (answer: PlainAnswer) => void;
  readonly reject: (error: KvError) => void;
  readonly onProgress: OnProgress<PlainAnswer> | undefined;
  timer: NodeJS.Timeout | undefined;
  forgetSignal: (() => void) | undefined;
  /** Id of the line it was sent in; 0 while it waits here. */
  line: number;
}

const IN_FLIGHT_MAX_DEFAULT = 4_096;
const WAITING_MAX_DEFAULT = 16_384;
/** Nothing more is handed to a connection that holds this much unsent. */
const BUFFERED_BYTES_PAUSE = 8 * 1024 * 1024;
/** The coordinator gets this much less time than the caller, so that its definite answer still arrives. */
const ANSWER_MARGIN_MS = 50;

const BATCHABLE: ReadonlySet<string> = new Set(["put", "delete", "get"]);
const TAKES_DEADLINE: ReadonlySet<string> = new Set(["put", "delete", "get", "scan"]);

/**
 * Connects, agrees on a protocol version and returns the session.
 * @param address `host:port` of a coordinator or storage node.
 * @throws KvError NODE_UNREACHABLE where nobody answers in time, UNSUPPORTED_PROTOCOL naming the side to upgrade,
 *   BAD_REQUEST for an address that is none.
 */
export async function openSession(address: string, options: SessionOptions = {}): Promise<Session> {
  const timeoutMs = options.timeoutMs ?? DEADLINE_MS_DEFAULT;
  const startedAtMs = monotonicMs();
  const connection = await connectTo(address, { timeoutMs, signal: options.signal });
  const session = new Session(address, connection, options);
  try {
    const leftMs = Math.max(1, timeoutMs - (monotonicMs() - startedAtMs));
    await session.greet({ timeoutMs: leftMs, signal: options.signal });
    return session;
  } catch (error) {
    await session.close();
    if (error instanceof KvError && !["TIMEOUT", "LOST"].includes(error.code)) throw error;
    const why = `${address} accepts connections but did not answer hello: is it a Holdfast port?`;
    throw new KvError("NODE_UNREACHABLE", why, { address });
  }
}

export class Session {
  /** As given to `openSession`. */
  readonly address: string;
  /** Resolves with the reason when the connection is over; never rejects. */
  readonly closed: Promise<string>;
  readonly #connection: NdjsonConnection;
  readonly #options: { readonly timeoutMs: number; readonly inFlightMax: number; readonly waitingMax: number };
  readonly #inFlight = new Map<number, Call>();
  /** Calls not handed to the connection yet, in their order. A call that gave up leaves by `#waiting.delete`. */
  readonly #waiting = new Set<Call>();
  #hello: ClientHelloAnswer | null = null;
  #isNode = false;
  #incarnation: string | null = null;
  #epoch = 0;
  #nextId = 1;
  #flushScheduled = false;
  #endReason: string | null = null;
  #drained: (() => void)[] = [];
  #tellClosed: (reason: string) => void = () => {};

  /** Use `openSession`. */
  constructor(address: string, connection: NdjsonConnection, options: SessionOptions) {
    this.address = address;
    this.#connection = connection;
    this.#options = {
      timeoutMs: options.timeoutMs ?? DEADLINE_MS_DEFAULT,
      inFlightMax: options.inFlightMax ?? IN_FLIGHT_MAX_DEFAULT,
      waitingMax: options.waitingMax ?? WAITING_MAX_DEFAULT,
    };
    this.closed = new Promise((resolve) => (this.#tellClosed = resolve));
    connection.start({
      lines: (messages) => this.#received(messages),
      badLine: ({ message }) => connection.destroy(`${address} does not speak the protocol: ${message}`),
      closed: (reason) => this.#ended(reason),
    });
  }

  /** What the other end said of itself. A storage node appears as a standby: it does not lead. */
  get hello(): ClientHelloAnswer {
    if (this.#hello === null) throw new KvError("NODE_UNREACHABLE", `${this.address} has not answered hello yet`);
    return this.#hello;
  }

  /** Whether the other end is a storage node, which answers `read`, `ping` and `stats` only. */
  get isNode(): boolean {
    return this.#isNode;
  }

  /** Incarnation of the storage node at the other end; null for a coordinator. */
  get incarnation(): string | null {
    return this.#incarnation;
  }

  /**
   * A lower bound of the epoch in which this coordinator tags what it is sent from now on: that of its hello, or of the
   * newest version it has given to a write since. (Versions that were *read* prove nothing: at level one they may come
   * from a newer leader.)
   */
  get epoch(): number {
    return this.#epoch;
  }

  /** Whether calls can still be made. */
  get open(): boolean {
    return this.#endReason === null;
  }

  /** Calls that are not settled. */
  get pending(): number {
    return this.#inFlight.size + this.#waiting.size;
  }

  /**
   * Sends a request and returns its last answer.
   * @param onProgress Takes the earlier answers of a long operation; after the first there is no deadline any more.
   * @throws KvError as the other end answered (details: `leader`, `version`, …); TIMEOUT or LOST where it was sent and not
   *   answered; OVERLOADED, NO_LEADER, CANCELLED where nothing was sent.
   */
  call<Message extends SessionMessage>(
    message: Message,
    onProgress?: OnProgress<AnswerTo<Message["op"]>>,
    options: CallOptions = {},
  ): Promise<AnswerTo<Message["op"]>> {
    const answer = new Promise<PlainAnswer>((resolve, reject) => {
      this.#enqueue({
        message,
        onProgress: onProgress as OnProgress<PlainAnswer> | undefined,
        options,
        resolve,
        reject,
      });
    });
    return answer as Promise<unknown> as Promise<AnswerTo<Message["op"]>>; // the wire reference says which answer it is
  }

  /** Resolves when every call made so far is settled. */
  async drain(): Promise<void> {
    if (this.pending > 0) await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** Ends the connection. Calls not settled yet are rejected: `drain` first where they matter. */
  async close(): Promise<void> {
    this.#connection.close("closed by this side");
    this.#ended("closed by this side");
    await this.closed;
  }

  /** Cuts the connection, as when the other end no longer answers. */
  abandon(reason: string): void {
    this.#connection.destroy(reason);
    this.#ended(reason);
  }

  /** First message of a session. Called once by `openSession`. */
  async greet(options: CallOptions): Promise<void> {
    const hello: PlainAnswer | ClientHelloAnswer = await this.call(
      { op: "hello", versions: PROTOCOL_VERSIONS },
      undefined,
      options,
    );
    const { role, incarnation } = hello as { role?: unknown; incarnation?: unknown };
    this.#isNode = role === "node";
    this.#incarnation = this.#isNode && typeof incarnation === "string" ? incarnation : null;
    this.#hello = {
      ...(hello as ClientHelloAnswer),
      ...(this.#isNode ? { role: "standby", epoch: 0 } : {}),
      valueBytesMax: numberOr(hello.valueBytesMax, VALUE_BYTES_MAX_DEFAULT),
    };
    this.#epoch = this.#isNode ? 0 : numberOr(hello.epoch, 0);
  }

  #enqueue(asked: Pick<Call, "message" | "onProgress" | "resolve" | "reject"> & { options: CallOptions }): void {
    const { message, onProgress, resolve, reject, options } = asked;
    const { signal, timeoutMs = this.#options.timeoutMs } = options;
    const refusal = this.#refusal(message.op, signal);
    if (refusal !== null) return reject(refusal);
    const deadlineAtMs = monotonicMs() + timeoutMs;
    const call: Call = {
      id: this.#nextId++,
      message,
      deadlineAtMs,
      resolve,
      reject,
      onProgress,
      timer: undefined,
      forgetSignal: undefined,
      line: 0,
    };
    call.timer = setTimeout(() => this.#giveUp(call, `no answer within ${Math.round(timeoutMs)} ms`), timeoutMs);
    if (signal) {
      const abort = (): void => this.#giveUp(call, "aborted by the caller", "CANCELLED");
      signal.addEventListener("abort", abort, { once: true });
      call.forgetSignal = () => signal.removeEventListener("abort", abort);
    }
    this.#waiting.add(call);
    this.#scheduleFlush();
  }

  /** Why a call is not even queued; null where it is. */
  #refusal(op: string, signal: AbortSignal | undefined): KvError | null {
    const details = { op, address: this.address };
    if (this.#endReason !== null) {
      return new KvError(
        "NO_LEADER",
        `the session with ${this.address} is over (${this.#endReason}); nothing was sent`,
        details,
      );
    }
    if (signal?.aborted)
      return new KvError("CANCELLED", `${op} was aborted by the caller before anything was sent`, details);
    if (this.#waiting.size < this.#options.waitingMax) return null;
    const why = `${this.#options.waitingMax} operations wait for ${this.address} already, the limit; nothing was sent: issue fewer at a time`;
    return new KvError("OVERLOADED", why, details);
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  /** Hands over what the cap allows; the rest goes when answers make room. */
  #flush(): void {
    this.#flushScheduled = false;
    if (this.#endReason !== null || this.#connection.bufferedBytes > BUFFERED_BYTES_PAUSE) return;
    const pieces: (Piece & { readonly call: Call })[] = [];
    let bytes = 0;
    const nowMs = monotonicMs();
    for (const call of this.#waiting) {
      if (this.#inFlight.size >= this.#options.inFlightMax || bytes > BUFFERED_BYTES_PAUSE) break;
      this.#waiting.delete(call);
      this.#inFlight.set(call.id, call);
      const json = encode(call, nowMs);
      const piece = { json, bytes: Buffer.byteLength(json), batchable: BATCHABLE.has(call.message.op), call };
      bytes += piece.bytes;
      pieces.push(piece);
    }
    for (const line of cutLines(pieces, batchBytesMax(this.#hello?.valueBytesMax ?? VALUE_BYTES_MAX_DEFAULT))) {
      const id = this.#nextId++;
      for (const { call } of line) call.line = id;
      this.#connection.sendRaw(lineText(line, id));
    }
  }

  #received(messages: Record<string, unknown>[]): void {
    for (const message of messages) this.#answered(message);
    if (this.#waiting.size > 0) this.#scheduleFlush();
  }

  #answered(message: Record<string, unknown>): void {
    const call = this.#inFlight.get(message["id"] as number);
    if (call === undefined) return this.#lineRefused(message); // or the answer came after the deadline
    if (message["status"] !== "ok") {
      const error = errorOf(message, this.address);
      return this.#settle(call, () => call.reject(error));
    }
    const answer = message as unknown as PlainAnswer;
    if (message["done"] === false) return this.#progressed(call, answer);
    if (call.message.op === "put" || call.message.op === "delete") this.#raiseEpoch(answer["version"]);
    this.#settle(call, () => call.resolve(answer));
  }

  /** A refusal under the id of a whole line is one of each operation in it. Rare, so the search may be slow. */
  #lineRefused(message: Record<string, unknown>): void {
    if (message["status"] !== "error" || typeof message["id"] !== "number") return;
    const error = errorOf(message, this.address);
    for (const call of this.#inFlight.values()) {
      if (call.line === message["id"]) this.#settle(call, () => call.reject(error));
    }
  }

  #progressed(call: Call, answer: PlainAnswer): void {
    clearTimeout(call.timer);
    call.onProgress?.(answer);
  }

  #raiseEpoch(version: unknown): void {
    const epoch = typeof version === "string" ? parsePair(version)?.[0] : undefined;
    if (epoch !== undefined && epoch > this.#epoch) this.#epoch = epoch;
  }

  /** @param unsentCode What it is called where nothing was sent. */
  #giveUp(call: Call, why: string, unsentCode: ErrorCode = "OVERLOADED"): void {
    const { op } = call.message;
    const details = { op, address: this.address, ...(unsentCode === "CANCELLED" ? { aborted: true } : {}) };
    const error =
      call.line === 0
        ? new KvError(
            unsentCode,
            `${op} was not sent to ${this.address}: ${why}, ${this.#inFlight.size} operations in flight`,
            details,
          )
        : new KvError("TIMEOUT", `${op} was sent to ${this.address}, then ${why}: it may have happened`, details);
    this.#settle(call, () => call.reject(error));
    this.#scheduleFlush();
  }

  #settle(call: Call, tell: () => void): void {
    clearTimeout(call.timer);
    call.forgetSignal?.();
    this.#inFlight.delete(call.id);
    this.#waiting.delete(call);
    tell();
    if (this.pending === 0 && this.#drained.length > 0) for (const resolve of this.#drained.splice(0)) resolve();
  }

  #ended(reason: string): void {
    if (this.#endReason !== null) return;
    this.#endReason = reason;
    for (const call of [...this.#inFlight.values(), ...this.#waiting]) {
      const error = this.#lostError(call, reason);
      this.#settle(call, () => call.reject(error));
    }
    this.#tellClosed(reason);
  }

  #lostError(call: Call, reason: string): KvError {
    const { op } = call.message;
    const details = { op, address: this.address };
    if (call.line === 0)
      return new KvError("NO_LEADER", `${op} was not sent: ${this.address} went away (${reason})`, details);
    return new KvError(
      "LOST",
      `${op} was sent to ${this.address}, which went away (${reason}): it may have happened`,
      details,
    );
  }
}

/** JSON of a call with its id and, where the operation takes one, the time that is left. */
function encode(call: Call, nowMs: number): string {
  const { message, id } = call;
  if (!TAKES_DEADLINE.has(message.op)) return JSON.stringify({ id, ...message });
  const leftMs = call.deadlineAtMs - nowMs;
  const timeoutMs = Math.max(1, Math.floor(leftMs - Math.min(ANSWER_MARGIN_MS, leftMs / 10)));
  return JSON.stringify({ id, ...message, timeoutMs });
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}
