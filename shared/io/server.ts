// Server: accepts NDJSON connections up to a limit, and says so to those beyond it. Who may say what is for the owner.
// An idle connection costs a socket and a reader without buffers, so thousands of them are harmless.
import type { AddressInfo, Server, Socket } from "node:net";
import type { ConnectionHandlers, ConnectionOptions } from "./ndjson-connection.ts";
import { NdjsonConnection } from "./ndjson-connection.ts";
import { formatAddress } from "./address.ts";
import type { Door } from "./door.ts";
import { serve, type TlsMaterial } from "./sockets.ts";

export interface ListenOptions {
  /** Address of the interface to listen on, such as 127.0.0.1 or 0.0.0.0. */
  readonly host: string;
  /** 1 to 65535, or 0 for any free one. */
  readonly port: number;
  /** Connections served at a time; one more is told OVERLOADED and closed. At least 1. */
  readonly connectionsMax: number;
  /** For every connection. `answerGraceMs` is 2500 unless given: the default deadline and a little. */
  readonly connection: ConnectionOptions;
  /** Only TLS is spoken, with ends whose certificate is good. Default: plain TCP. */
  readonly tls?: TlsMaterial | undefined;
  /** Who may say what. Default: everybody everything. */
  readonly door?: Door | undefined;
}

export interface Listener {
  readonly host: string;
  /** The port in use, also when 0 was asked for. */
  readonly port: number;
  /** Connections being served. A live view. */
  readonly connections: ReadonlySet<NdjsonConnection>;
  /** Stops accepting, sends what was queued, ends every connection. Settles when all are gone: within about a second. */
  close(): Promise<void>;
}

const ANSWER_GRACE_MS = 2_500;
/** Connections waiting to be accepted; the kernel may allow fewer. */
const BACKLOG = 4_096;
/** Refused connections that may linger to read why, beyond which they are cut without a word. */
const REFUSALS_MAX = 64;
/** Sockets that have not shown their certificate yet, at a time. */
const HANDSHAKES_MAX = 1_024;

/**
 * Listens for NDJSON connections.
 * @param onConnection Called with each new connection, before anything is read from it; returns who handles it.
 * @throws Error with the system's `code` (EADDRINUSE, EACCES, …) and a message that says what to do.
 */
export async function listen(
  options: ListenOptions,
  onConnection: (connection: NdjsonConnection) => ConnectionHandlers,
): Promise<Listener> {
  const acceptor = new Acceptor(options, onConnection);
  const server = serve(options.tls, (socket) => acceptor.accept(socket));
  // Connections in their handshake are not counted by the acceptor.
  if (options.tls) server.maxConnections = options.connectionsMax + HANDSHAKES_MAX;
  const { address, port } = await opened(server, options);
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => {
    server.close(); // frees the port; a second time it is not running any more, which is what was asked for
    return (closing ??= acceptor.closeAll());
  };
  return { host: address, port, connections: acceptor.served, close };
}

/** The connections of one server: those it serves, and those it refuses, while they read why. */
class Acceptor {
  readonly served = new Set<NdjsonConnection>();
  readonly #refused = new Set<NdjsonConnection>();
  readonly #connectionsMax: number;
  readonly #connectionOptions: ConnectionOptions;
  readonly #onConnection: (connection: NdjsonConnection) => ConnectionHandlers;
  readonly #door: Door | undefined;
  #whenEmpty: () => void = () => {};

  constructor(options: ListenOptions, onConnection: (connection: NdjsonConnection) => ConnectionHandlers) {
    this.#connectionsMax = options.connectionsMax;
    this.#connectionOptions = { answerGraceMs: ANSWER_GRACE_MS, ...options.connection };
    this.#onConnection = onConnection;
    this.#door = options.door;
  }

  accept(socket: Socket): void {
    const connection = new NdjsonConnection(socket, this.#connectionOptions);
    if (this.served.size >= this.#connectionsMax) this.#refuse(connection);
    else this.#serve(connection);
  }

  /** Each connection ends within its linger time; settles when all are gone. */
  closeAll(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
      for (const connection of this.served) connection.close("the server is closing");
      this.#left();
    });
  }

  #serve(connection: NdjsonConnection): void {
    this.served.add(connection);
    const owner = this.#onConnection(connection);
    const handlers = this.#door?.guard(connection, owner) ?? owner;
    connection.start({
      lines: (messages) => handlers.lines(messages),
      badLine: (problem) => handlers.badLine(problem),
      closed: (reason) => {
        this.served.delete(connection);
        handlers.closed(reason);
        this.#left();
      },
    });
  }

  #refuse(connection: NdjsonConnection): void {
    this.#refused.add(connection);
    const closed = (): void => {
      this.#refused.delete(connection);
      this.#left();
    };
    connection.start({ lines: () => {}, badLine: () => {}, closed });
    if (this.#refused.size > REFUSALS_MAX) return connection.destroy();
    connection.send(refusal(this.#connectionsMax));
    connection.close("too many connections");
  }

  #left(): void {
    if (this.served.size + this.#refused.size === 0) this.#whenEmpty();
  }
}

function opened(server: Server, options: ListenOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, options)));
    server.listen({ host: options.host, port: options.port, backlog: BACKLOG }, () => {
      // From here on an error means that one accept failed (out of file descriptors, say); the next may succeed.
      server.removeAllListeners("error").on("error", () => {});
      resolve(server.address() as AddressInfo);
    });
  });
}

function refusal(connectionsMax: number): object {
  const message = `${connectionsMax} connections are open, the limit; close some or try again later`;
  return { status: "error", code: "OVERLOADED", message, retryable: true };
}

/** The system's error in words that say what to do; its `code` is kept. */
export function listenError(error: NodeJS.ErrnoException, options: Pick<ListenOptions, "host" | "port">): Error {
  const where = formatAddress(options);
  const advice: Record<string, string> = {
    EADDRINUSE: `${where} is already in use; stop the process that listens there or choose another port`,
    EACCES: `not allowed to listen on ${where}; choose a port above 1023`,
    EADDRNOTAVAIL: `${where} is no address of this machine; choose 127.0.0.1, 0.0.0.0 or one of its own`,
    ENOTFOUND: `the host of ${where} is unknown; choose 127.0.0.1, 0.0.0.0 or an address of this machine`,
  };
  const message = advice[error.code ?? ""] ?? `cannot listen on ${where}: ${error.message}`;
  return Object.assign(new Error(message, { cause: error }), { code: error.code ?? "LISTEN_FAILED" });
}
