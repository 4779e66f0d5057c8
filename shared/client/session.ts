// Session: one connection to one coordinator or storage node: hello, epoch, and calls that leave as one line a turn, or a line for every so many.
// calls.ts keeps the book of what was asked; lines.ts cuts the lines. An answer with `done: false` is progress.
//
// It never sends anything twice and does not know who leads: retries are performer.ts, leaders are leader-finder.ts.
import { KvError } from "../errors.ts";
import type { Credentials } from "../io/credentials.ts";
import type { NdjsonConnection } from "../io/ndjson-connection.ts";
import { monotonicMs } from "../io/system-clock.ts";
import { DEADLINE_MS_DEFAULT, VALUE_BYTES_MAX_DEFAULT } from "../limits.ts";
import type { ClientHelloAnswer } from "../protocol/client-messages.ts";
import { answersIn } from "../protocol/compact.ts";
import { PROTOCOL_VERSIONS } from "../protocol/version.ts";
import { parsePair } from "../version.ts";
import type { AnswerTo, PlainAnswer, SessionMessage } from "./answers.ts";
import type { Call } from "./calls.ts";
import { Calls } from "./calls.ts";
import { connectTo } from "./dial.ts";
import { batchBytesMax, LINE_OPS_MAX } from "./lines.ts";
import type { CallOptions, OnProgress } from "./one-call.ts";
import { OneCall } from "./one-call.ts";

export interface SessionOptions {
  /** Time to connect and exchange hello, and the default deadline of each call, in ms. Default 2 000. */
  readonly timeoutMs?: number;
  /** Operations sent and not answered, beyond which calls wait in the session. Default 4 096. */
  readonly inFlightMax?: number;
  /** Calls waiting in the session, beyond which they are refused as OVERLOADED. Default 16 384. */
  readonly waitingMax?: number;
  /** Shown to the other end. Default: none. */
  readonly credentials?: Credentials | undefined;
  /** Gives up connecting; not looked at afterwards. */
  readonly signal?: AbortSignal;
}

const IN_FLIGHT_MAX_DEFAULT = 4_096;
const WAITING_MAX_DEFAULT = 16_384;
/** Nothing more is handed to a connection that holds this much unsent. */
const BUFFERED_BYTES_PAUSE = 8 * 1024 * 1024;
/**
 * Connects, agrees on a protocol version and returns the session.
 * @param address `host:port` of a coordinator or storage node.
 * @throws KvError NODE_UNREACHABLE where nobody answers in time, UNSUPPORTED_PROTOCOL naming the side to upgrade,
 *   BAD_REQUEST for an address that is none.
 */
export async function openSession(address: string, options: SessionOptions = {}): Promise<Session> {
  const timeoutMs = options.timeoutMs ?? DEADLINE_MS_DEFAULT;
  const startedAtMs = monotonicMs();
  const connection = await connectTo(address, {
    timeoutMs,
    signal: options.signal,
    tls: options.credentials?.tls,
  });
  const session = new Session(address, connection, options);
  try {
    const leftMs = Math.max(1, timeoutMs - (monotonicMs() - startedAtMs));
    await session.greet(options.credentials?.token, { timeoutMs: leftMs, signal: options.signal });
    return session;
  } catch (error) {
    await session.close();
    if (error instanceof KvError && !["TIMEOUT", "LOST"].includes(error.code)) throw error;
    const how = options.credentials?.tls === undefined ? "without TLS" : "with TLS and our certificate";
    const why = `${address} accepts connections but did not answer hello ${how}: is it a Holdfast port?`;
    throw new KvError("NODE_UNREACHABLE", why, { address });
  }
}

export class Session {
  /** As given to `openSession`. */
  readonly address: string;
  /** Resolves with the reason when the connection is over; never rejects. */
  readonly closed: Promise<string>;
  readonly #connection: NdjsonConnection;
  readonly #calls: Calls;
  readonly #timeoutMs: number;
  #hello: ClientHelloAnswer | null = null;
  #isNode = false;
  #incarnation: string | null = null;
  #epoch = 0;
  /** How versions of this epoch begin. */
  #epochText = "0.";
  #flushScheduled = false;
  #heard = 0;
  #tellClosed: (reason: string) => void = () => {};

  /** Use `openSession`. */
  constructor(address: string, connection: NdjsonConnection, options: SessionOptions) {
    this.address = address;
    this.#connection = connection;
    this.#timeoutMs = options.timeoutMs ?? DEADLINE_MS_DEFAULT;
    const limits = {
      inFlightMax: options.inFlightMax ?? IN_FLIGHT_MAX_DEFAULT,
      waitingMax: options.waitingMax ?? WAITING_MAX_DEFAULT,
    };
    this.#calls = new Calls(address, limits, () => this.#scheduleFlush());
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

  /** Grows with what arrives from the other end. */
  get heard(): number {
    return this.#heard;
  }

  /** Whether the other end owes an answer to an operation on data. */
  get owesData(): boolean {
    return this.#calls.owesData;
  }

  /** Whether calls can still be made. */
  get open(): boolean {
    return this.#calls.endReason === null;
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
    const { signal, timeoutMs = this.#timeoutMs } = options;
    const deadlineAtMs = monotonicMs() + timeoutMs;
    const answer = new Promise<PlainAnswer>((resolve, reject) => {
      const progressed = onProgress as OnProgress<PlainAnswer> | undefined;
      this.ask(new OneCall({ message, deadlineAtMs, signal, onProgress: progressed, resolve, reject }));
    });
    return answer as Promise<unknown> as Promise<AnswerTo<Message["op"]>>; // the wire reference says which answer it is
  }

  /** The same for a call that is an object of the caller's: it is told what `call` would resolve or reject with. */
  ask(call: Call): void {
    this.#calls.ask(call);
  }

  /** Resolves when every call made so far is settled. */
  async drain(): Promise<void> {
    await this.#calls.drain();
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
  async greet(token: string | undefined, options: CallOptions): Promise<void> {
    const hello: PlainAnswer | ClientHelloAnswer = await this.call(
      { op: "hello", versions: PROTOCOL_VERSIONS, compact: true, ...(token !== undefined && { token }) },
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
    this.#raiseEpoch(this.#isNode ? 0 : numberOr(hello.epoch, 0));
    if (!this.#isNode && hello.compact === true) this.#calls.useCompactLines();
  }

  /** What waits leaves at the end of the turn; a whole line at once, so that the coordinator begins while the turn goes on. */
  #scheduleFlush(): void {
    if (this.#calls.waiting >= LINE_OPS_MAX) this.#flush();
    if (this.#flushScheduled || this.#calls.waiting === 0) return;
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Hands over what the cap allows; the rest goes when answers make room. */
  #flush(): void {
    if (!this.open || this.#connection.bufferedBytes > BUFFERED_BYTES_PAUSE) return;
    const lineBytesMax = batchBytesMax(this.#hello?.valueBytesMax ?? VALUE_BYTES_MAX_DEFAULT);
    for (const line of this.#calls.take({ bytesMax: BUFFERED_BYTES_PAUSE, lineBytesMax }))
      this.#connection.sendRaw(line);
    this.#connection.flush();
  }

  #received(messages: Record<string, unknown>[]): void {
    this.#heard++;
    for (const message of messages) {
      if (message["id"] === undefined) for (const answer of answersIn(message)) this.#answered(answer);
      else this.#answered(message);
    }
    if (this.#calls.waiting > 0) this.#scheduleFlush();
  }

  #answered(answer: Record<string, unknown>): void {
    const op = this.#calls.answered(answer);
    if (op === "put" || op === "delete") this.#versionGiven(answer["version"]);
  }

  /** Nearly every version is of the epoch known already: seen by its first characters, so that few are parsed. */
  #versionGiven(version: unknown): void {
    if (typeof version !== "string" || version.startsWith(this.#epochText)) return;
    this.#raiseEpoch(parsePair(version)?.[0] ?? 0);
  }

  #raiseEpoch(epoch: number): void {
    if (epoch <= this.#epoch) return;
    this.#epoch = epoch;
    this.#epochText = `${epoch}.`;
  }

  #ended(reason: string): void {
    this.#calls.end(reason);
    this.#tellClosed(reason);
  }
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}
