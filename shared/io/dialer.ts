// Dialer: one outgoing link that dials again by itself until it is stopped. The first retry comes at once (a restarted
// process is back soon), the following ones after a random part of 50 ms, 100 ms, … 1 s (full jitter: many dialers of
// one dead process do not knock in step). Only a line received proves that the other end serves, and starts the
// waiting over: a process that accepts and hangs up is not dialled in a tight loop.
//
// What was sent on a lost link may have arrived: whether to send it again is the owner's decision, never made here.
import type { Socket } from "node:net";
import { parseAddress } from "./address.ts";
import { greeting, type Credentials } from "./credentials.ts";
import type { ConnectionOptions } from "./ndjson-connection.ts";
import { NdjsonConnection } from "./ndjson-connection.ts";
import type { TimerService } from "./system-clock.ts";
import { dial } from "./sockets.ts";
import { systemTimers } from "./system-clock.ts";

export interface DialerOptions {
  readonly connection: ConnectionOptions;
  /** Shown to the other end. With a token, a link counts as connected once the other end took it. Default: none. */
  readonly credentials?: Credentials;
  /** For connecting, the proof of who both ends are included. Default 1000. */
  readonly connectTimeoutMs?: number;
  /** Upper bound of the first wait, which doubles up to `backoffMsMax`. Defaults 50 and 1000. */
  readonly backoffMsMin?: number;
  readonly backoffMsMax?: number;
  /** From 0 up to 1, exclusive. Default Math.random. */
  readonly random?: () => number;
  readonly timers?: TimerService;
}

export interface DialerHandlers {
  /** Never while an earlier link is not `disconnected`. */
  connected(connection: NdjsonConnection): void;
  /** As in ConnectionHandlers, of the link of the moment. */
  lines(messages: Record<string, unknown>[]): void;
  /** A link that was `connected` ended. Exactly once for each. */
  disconnected(reason: string): void;
  /** An attempt to connect failed; the next one follows by itself. For status displays. */
  connectFailed?(reason: string): void;
}

/** A link whose other end has not taken our token yet. */
interface Greeting {
  /** Takes the answer to hello out of what came; the rest is the owner's. */
  lines(messages: Record<string, unknown>[]): Record<string, unknown>[];
  /** Whether the link that ended was the owner's. */
  closed(reason: string): boolean;
}

export class Dialer {
  readonly #options: Required<DialerOptions>;
  readonly #handlers: DialerHandlers;
  #address: string;
  #running = false;
  /** Ends the attempt, link or wait of the moment, of which there is at most one. */
  #abandon: (() => void) | null = null;
  #connection: NdjsonConnection | null = null;
  #failures = 0;

  /** @param address As for `parseAddress`; throws its Error. */
  constructor(address: string, options: DialerOptions, handlers: DialerHandlers) {
    parseAddress(address);
    this.#address = address;
    this.#handlers = handlers;
    this.#options = {
      connectTimeoutMs: 1_000,
      backoffMsMin: 50,
      backoffMsMax: 1_000,
      random: Math.random,
      timers: systemTimers,
      credentials: {},
      ...options,
    };
  }

  get address(): string {
    return this.#address;
  }

  /** The link, while there is one. */
  get connection(): NdjsonConnection | null {
    return this.#connection;
  }

  /** Begins dialling. Without effect when running. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#failures = 0;
    this.#dial();
  }

  /** Ends the link after sending what was queued (`disconnected` is called for it at once), and dials no more. */
  stop(): void {
    this.#running = false;
    this.#leave("the dialer was stopped");
  }

  /** Leaves the old address, if it is another, and dials the new one at once. Throws as `parseAddress` does. */
  setAddress(address: string): void {
    parseAddress(address);
    if (address === this.#address) return;
    this.#address = address;
    this.#leave("the address changed");
    this.#failures = 0;
    if (this.#running && this.#isIdle()) this.#dial();
  }

  /** The owner hears of it now: the old link may linger while the next one is up already. */
  #leave(reason: string): void {
    this.#abandon?.();
    this.#abandon = null;
    const connection = this.#connection;
    if (connection === null) return;
    this.#connection = null;
    connection.close(reason);
    this.#handlers.disconnected(reason);
  }

  #dial(): void {
    const { timers, connectTimeoutMs, credentials } = this.#options;
    const { socket, ready } = dial(parseAddress(this.#address), credentials.tls);
    const settle = (): void => {
      cancelTimeout();
      socket.off("error", failed).off(ready, connected);
      this.#abandon = null;
    };
    const fail = (reason: string): void => {
      settle();
      discard(socket);
      this.#failed(reason);
    };
    const late = `no answer to connecting within ${connectTimeoutMs} ms`;
    const cancelTimeout = timers.at(timers.nowMs() + connectTimeoutMs, () => fail(late));
    const failed = (error: Error): void => fail(describeConnectError(error));
    const connected = (): void => {
      settle();
      this.#established(socket);
    };
    socket.once("error", failed).once(ready, connected);
    this.#abandon = () => {
      settle();
      discard(socket);
    };
  }

  #failed(reason: string): void {
    this.#handlers.connectFailed?.(reason);
    if (this.#running && this.#isIdle()) this.#retry();
  }

  /** With a token the link is the owner's only once the other end took it. */
  #established(socket: Socket): void {
    const connection = new NdjsonConnection(socket, this.#options.connection);
    const { token } = this.#options.credentials;
    const greeting = token === undefined ? null : this.#greet(connection, token);
    if (greeting === null) this.#connection = connection;
    connection.start({
      lines: (messages) => {
        const rest = greeting === null ? messages : greeting.lines(messages);
        if (rest.length === 0 || this.#connection !== connection) return;
        this.#failures = 0;
        this.#handlers.lines(rest);
      },
      badLine: (problem) => connection.destroy(`the peer does not speak our protocol: ${problem.message}`),
      closed: (reason) => {
        if (greeting === null || greeting.closed(reason)) this.#lost(connection, reason);
      },
    });
    if (greeting === null) this.#handlers.connected(connection);
  }

  /** Presents the token. What it returns has the first lines, and the end if it comes before the other end took the token. */
  #greet(connection: NdjsonConnection, token: string): Greeting {
    const { timers, connectTimeoutMs } = this.#options;
    let state: "asked" | "admitted" | "abandoned" = "asked";
    const late = `no answer to hello within ${connectTimeoutMs} ms`;
    const cancelTimeout = timers.at(timers.nowMs() + connectTimeoutMs, () => connection.destroy(late));
    connection.send(greeting(token));
    this.#abandon = () => {
      state = "abandoned";
      cancelTimeout();
      connection.destroy("no longer wanted");
    };
    const admitted = (): void => {
      state = "admitted";
      cancelTimeout();
      this.#abandon = null;
      this.#connection = connection;
      this.#failures = 0;
      this.#handlers.connected(connection);
    };
    return {
      lines: (messages) => {
        if (state !== "asked") return messages;
        const [answer, ...rest] = messages;
        if (answer?.["status"] === "ok") admitted();
        else connection.destroy(`hello was refused: ${String(answer?.["message"])}`);
        return rest;
      },
      closed: (reason) => {
        if (state !== "asked") return state === "admitted";
        cancelTimeout();
        this.#abandon = null;
        this.#failed(reason);
        return false;
      },
    };
  }

  #lost(connection: NdjsonConnection, reason: string): void {
    if (this.#connection !== connection) return; // left by stop or setAddress, and reported then
    this.#connection = null;
    this.#handlers.disconnected(reason);
    if (this.#running && this.#isIdle()) this.#retry();
  }

  /** Whether no handler has started something meanwhile, by stop and start or by setAddress. */
  #isIdle(): boolean {
    return this.#abandon === null && this.#connection === null;
  }

  #retry(): void {
    const { timers, random } = this.#options;
    const cancel = timers.at(timers.nowMs() + random() * this.#waitMsMax(), () => {
      this.#abandon = null;
      this.#dial();
    });
    this.#failures++;
    this.#abandon = cancel;
  }

  #waitMsMax(): number {
    const { backoffMsMin, backoffMsMax } = this.#options;
    if (this.#failures === 0) return 0;
    return Math.min(backoffMsMax, backoffMsMin * 2 ** (this.#failures - 1));
  }
}

/** Cuts a socket that is not wanted any more; what still happens to it has no meaning. */
function discard(socket: Socket): void {
  socket.on("error", () => {});
  socket.destroy();
}

/** A name with several addresses fails with an AggregateError, whose own message is empty. */
function describeConnectError(error: NodeJS.ErrnoException): string {
  return error.message || error.code || "connecting failed";
}
