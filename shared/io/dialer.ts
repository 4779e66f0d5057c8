// Dialer: one outgoing link that dials again by itself until it is stopped. The first retry comes at once (a restarted
// process is back soon), the following ones after a random part of 50 ms, 100 ms, … 1 s (full jitter: many dialers of
// one dead process do not knock in step). Only a line received proves that the other end serves, and starts the
// waiting over: a process that accepts and hangs up is not dialled in a tight loop.
//
// What was sent on a lost link may have arrived: whether to send it again is the owner's decision, never made here.
import type { Socket } from "node:net";
import { connect } from "node:net";
import { parseAddress } from "./address.ts";
import type { ConnectionOptions } from "./ndjson-connection.ts";
import { NdjsonConnection } from "./ndjson-connection.ts";
import type { TimerService } from "./system-clock.ts";
import { systemTimers } from "./system-clock.ts";

export interface DialerOptions {
  readonly connection: ConnectionOptions;
  /** Default 1000. */
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
    const socket = connect({ ...parseAddress(this.#address), allowHalfOpen: true });
    const { timers, connectTimeoutMs } = this.#options;
    const settle = (): void => {
      cancelTimeout();
      socket.removeAllListeners("error").removeAllListeners("connect");
      this.#abandon = null;
    };
    const fail = (reason: string): void => {
      settle();
      discard(socket);
      this.#handlers.connectFailed?.(reason);
      if (this.#running && this.#isIdle()) this.#retry();
    };
    const late = `no answer to connecting within ${connectTimeoutMs} ms`;
    const cancelTimeout = timers.at(timers.nowMs() + connectTimeoutMs, () => fail(late));
    socket.once("error", (error) => fail(describeConnectError(error)));
    socket.once("connect", () => {
      settle();
      this.#established(socket);
    });
    this.#abandon = () => {
      settle();
      discard(socket);
    };
  }

  #established(socket: Socket): void {
    const connection = new NdjsonConnection(socket, this.#options.connection);
    this.#connection = connection;
    connection.start({
      lines: (messages) => {
        this.#failures = 0;
        this.#handlers.lines(messages);
      },
      badLine: (problem) => connection.destroy(`the peer does not speak our protocol: ${problem.message}`),
      closed: (reason) => this.#lost(connection, reason),
    });
    this.#handlers.connected(connection);
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
