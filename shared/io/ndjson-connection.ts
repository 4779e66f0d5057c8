// NDJSON connection: one TCP socket that carries JSON objects, one a line, both ways.
//
// In: every socket chunk is one turn of the owner (`lines` is called once for all its good lines), bad lines are
// reported in their place and reading goes on. Out: everything sent in one turn of the event loop leaves in one
// socket.write, made by setImmediate. Measured on loopback with 200 bytes a message: a write of its own costs 11 us,
// its part of a write of 256 costs 0.3 us. A microtask would flush after each socket's chunk; setImmediate also joins
// what all sockets of one poll caused: 64 clients through one upstream link came to 14 messages a write instead of 1,
// and half as much again in throughput, with no difference for a lone client.
//
// Bounds: a line (`lineBytesMax`), what waits for a slow peer (`outputBytesMax`), and how long a closing socket may
// linger. Input is never paused for slow output: two ends that both stop reading would wait for each other for ever.
// An exception thrown by a handler is a bug of ours and is not caught here. Who is allowed to speak, ids and deadlines
// are the owner's business.
import type { Socket } from "node:net";
import { assert } from "../assert.ts";
import { formatAddress } from "./address.ts";
import type { LineProblem } from "./ndjson-reader.ts";
import { NdjsonReader } from "./ndjson-reader.ts";

export interface ConnectionOptions {
  /** Longest line accepted, in bytes; a longer one is reported and closes the connection. */
  readonly lineBytesMax: number;
  /**
   * For servers: a first line that is not a JSON object is reported and closes the connection, and nothing after it is
   * executed. A web page that posts to the port from a browser starts with `POST / HTTP/1.1`.
   */
  readonly requireObjectFirst: boolean;
  /**
   * Output not known to have left, in bytes, beyond which the peer is too slow and the connection is cut. What is sent
   * in one turn counts: an owner about to send much looks at `bufferedBytes` first.
   */
  readonly outputBytesMax: number;
  /**
   * For servers: how long a peer that has finished sending (`printf … | nc -N`) is still answered, in ms. It ends as
   * soon as as many lines were sent as received. Default 0: the connection ends when the peer ends its side.
   */
  readonly answerGraceMs?: number;
}

export interface ConnectionHandlers {
  /** The good lines of one socket chunk, in their order (of the part before a bad line, if there is one). Never empty. */
  lines(messages: Record<string, unknown>[]): void;
  /** A line that is no message. The owner answers it; the connection closes by itself where that is the rule. */
  badLine(problem: LineProblem): void;
  /** The connection is over. Exactly once, and nothing is called after it. */
  closed(reason: string): void;
}

/** After `close`, how long a peer may take to receive the rest and end its side. */
const LINGER_MS_MAX = 1_000;
/** A peer that vanished without a word is noticed by the kernel's probes, which start after this. */
const KEEP_ALIVE_MS = 30_000;

export class NdjsonConnection {
  /** The other end, as `host:port`. */
  readonly peer: string;
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #reader: NdjsonReader;
  #handlers: ConnectionHandlers | null = null;
  /** What leaves with the next flush: first the chunks, then the text behind them. */
  #chunks: (string | Uint8Array)[] = [];
  #chunkBytes = 0;
  #output = "";
  #flushScheduled = false;
  #state: "open" | "closing" | "closed" = "open";
  #reason: string | null = null;
  #firstLineSeen = false;
  /** Lines received minus lines sent; only `answerGraceMs` looks at it. */
  #linesOwed = 0;
  #peerEnded = false;
  #timer: NodeJS.Timeout | null = null;

  /** @param socket Connected, not yet read from, made with `allowHalfOpen: true`. */
  constructor(socket: Socket, options: ConnectionOptions) {
    this.peer = formatAddress({ host: socket.remoteAddress ?? "?", port: socket.remotePort ?? 0 });
    this.#socket = socket;
    this.#options = options;
    this.#reader = new NdjsonReader({ lineBytesMax: options.lineBytesMax });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
  }

  /** Begins reading. Once, in the turn in which the connection was made: an error before it would have no listener. */
  start(handlers: ConnectionHandlers): void {
    assert(this.#handlers === null, "a connection is started once");
    this.#handlers = handlers;
    this.#socket.on("data", (chunk) => this.#received(chunk));
    this.#socket.on("end", () => this.#endedByPeer());
    this.#socket.on("error", (error) => (this.#reason ??= error.message)); // "close" follows
    this.#socket.on("close", () => this.#closed());
  }

  /** Bytes sent by the owner that have not left this process (text counted as UTF-16 units until it is written). */
  get bufferedBytes(): number {
    return this.#chunkBytes + this.#output.length + this.#socket.writableLength;
  }

  /** Whether `send` still has an effect. */
  get open(): boolean {
    return this.#state === "open";
  }

  /** A shorter limit for lines, until it is called without one. */
  limitLines(bytesMax = Number.POSITIVE_INFINITY): void {
    this.#reader.lineBytesMax = Math.min(bytesMax, this.#options.lineBytesMax);
  }

  /** Queues one message. Ignored after `close`: the owner hears of the end by `closed`. */
  send(message: object): void {
    this.sendRaw(JSON.stringify(message));
  }

  /** Queues one line that is JSON already, without its newline. */
  sendRaw(line: string): void {
    if (this.#state !== "open") return;
    this.#output += line;
    this.#output += "\n";
    this.#queued();
  }

  /**
   * Queues one line in two parts. @param rest Its end as UTF-8, newline included: it is not copied, so that lines to many
   * peers can share it. It must not change.
   */
  sendShared(head: string, rest: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#chunks.push(this.#output + head, rest);
    this.#chunkBytes += this.#output.length + head.length + rest.length;
    this.#output = "";
    this.#queued();
  }

  #queued(): void {
    this.#linesOwed--;
    if (this.#chunkBytes + this.#output.length > this.#options.outputBytesMax) this.#flush(); // finds out whether the peer takes it
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  /** Sends what was queued, then ends the connection; cut if the peer does not follow in a second. */
  close(reason: string): void {
    if (this.#state !== "open") return;
    this.#flush();
    if (this.#state !== "open") return; // the flush found the peer too slow
    this.#state = "closing";
    this.#reason ??= reason;
    this.#socket.end();
    // Input is read on and dropped: closing a socket with unread input would reset it and lose the last answers.
    this.#limit(LINGER_MS_MAX);
    if (this.#peerEnded) this.#socket.destroySoon();
  }

  /** Cuts the connection; what was queued is lost. */
  destroy(reason = "cut"): void {
    if (this.#state === "closed") return;
    this.#state = "closing";
    this.#reason ??= reason;
    this.#takeOutput();
    this.#socket.destroy();
  }

  /** Sends what was queued now, instead of at the end of the turn. */
  flush(): void {
    if (this.#chunks.length > 0 || this.#output !== "") this.#flush();
  }

  #flush(): void {
    this.#flushScheduled = false;
    if (this.#state !== "open" || (this.#output === "" && this.#chunks.length === 0)) return;
    this.#write();
    if (this.#socket.writableLength > this.#options.outputBytesMax) {
      this.destroy(`the peer is too slow: more than ${this.#options.outputBytesMax} bytes wait for it`);
    } else if (this.#peerEnded && this.#linesOwed <= 0) {
      this.close("the peer closed the connection");
    }
  }

  #write(): void {
    const { chunks, output } = this.#takeOutput();
    if (chunks.length === 0) return void this.#socket.write(output);
    this.#socket.cork(); // one writev for all
    for (const chunk of chunks) this.#socket.write(chunk);
    if (output !== "") this.#socket.write(output);
    this.#socket.uncork();
  }

  #takeOutput(): { chunks: readonly (string | Uint8Array)[]; output: string } {
    const taken = { chunks: this.#chunks, output: this.#output };
    this.#output = "";
    if (taken.chunks.length > 0) this.#chunks = [];
    this.#chunkBytes = 0;
    return taken;
  }

  #received(chunk: Buffer): void {
    if (this.#state !== "open") return;
    for (const { messages, problem } of this.#reader.push(chunk)) {
      if (messages.length > 0) this.#deliver(messages);
      if (problem !== null && this.open) this.#deliverProblem(problem);
      if (!this.open) return; // a handler closed it: the rest is not executed
    }
  }

  #deliver(messages: Record<string, unknown>[]): void {
    this.#firstLineSeen = true;
    this.#linesOwed += messages.length;
    this.#handlers?.lines(messages);
  }

  #deliverProblem(problem: LineProblem): void {
    const firstIsNoObject =
      this.#options.requireObjectFirst && !this.#firstLineSeen && problem.code !== "UNPAIRED_SURROGATE";
    this.#firstLineSeen = true;
    this.#linesOwed++;
    this.#handlers?.badLine(problem);
    if (firstIsNoObject) this.close(`the first line is not a JSON object: ${problem.code}`);
    else if (problem.code === "LINE_TOO_LONG") this.close(problem.message);
  }

  #endedByPeer(): void {
    this.#peerEnded = true;
    if (this.#state === "closing") return this.#socket.destroySoon();
    const graceMs = this.#options.answerGraceMs ?? 0;
    if (graceMs > 0 && this.#linesOwed > 0) this.#limit(graceMs, () => this.close("the peer closed the connection"));
    else this.close("the peer closed the connection");
  }

  /** One timer at a time: the latest limit holds. */
  #limit(ms: number, end: () => void = () => this.#socket.destroy()): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(end, ms);
  }

  #closed(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#state = "closed";
    this.#takeOutput();
    this.#handlers?.closed(this.#reason ?? "the peer closed the connection");
  }
}
