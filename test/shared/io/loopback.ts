// Support for the tests of shared/io: a server on a free loopback port that records what its connections report, raw
// sockets that say anything, and waiting for conditions instead of sleeping.
import type { Socket } from "node:net";
import { connect } from "node:net";
import type { ConnectionHandlers, ConnectionOptions, NdjsonConnection } from "../../../shared/io/ndjson-connection.ts";
import type { LineProblem } from "../../../shared/io/ndjson-reader.ts";
import type { Listener } from "../../../shared/io/server.ts";
import { listen } from "../../../shared/io/server.ts";

export const OPTIONS: ConnectionOptions = { lineBytesMax: 1024, requireObjectFirst: false, outputBytesMax: 1 << 24 };

/** What one connection reported, in order: messages as they came, problems by code. */
export class Recorder implements ConnectionHandlers {
  readonly connection: NdjsonConnection;
  readonly events: unknown[] = [];
  readonly closedReasons: string[] = [];
  turns = 0;
  onLine: (message: Record<string, unknown>) => void = () => {};

  constructor(connection: NdjsonConnection) {
    this.connection = connection;
  }

  lines(messages: Record<string, unknown>[]): void {
    this.turns++;
    for (const message of messages) {
      this.events.push(message);
      this.onLine(message);
    }
  }

  badLine(problem: LineProblem): void {
    this.events.push(problem.code);
    this.connection.send({ status: "error", message: problem.message });
  }

  closed(reason: string): void {
    this.closedReasons.push(reason);
  }
}

export interface TestServer extends AsyncDisposable {
  readonly listener: Listener;
  readonly recorders: Recorder[];
}

/** Answers `{id, status: "ok"}` to each line, unless `onLine` of a recorder is replaced. */
export async function testServer(
  options: Partial<ConnectionOptions> = {},
  limits: { connectionsMax?: number; port?: number } = {},
): Promise<TestServer> {
  const recorders: Recorder[] = [];
  const { connectionsMax = 10_000, port = 0 } = limits;
  const connection = { ...OPTIONS, ...options };
  const listener = await listen({ host: "127.0.0.1", port, connectionsMax, connection }, (accepted) => {
    const recorder = new Recorder(accepted);
    recorder.onLine = (message) => accepted.send({ id: message["id"], status: "ok" });
    recorders.push(recorder);
    return recorder;
  });
  return { listener, recorders, [Symbol.asyncDispose]: () => listener.close() };
}

export interface RawClient {
  readonly socket: Socket;
  /** Everything received so far. */
  readonly text: () => string;
  /** Whether the connection is over, as this end sees it; the server's end may hear of it a little later. */
  readonly ended: () => boolean;
}

/** A plain socket, connected. It reads into `text` unless it is paused. */
export async function rawClient(server: TestServer): Promise<RawClient> {
  const socket = connect({ host: "127.0.0.1", port: server.listener.port, noDelay: true });
  let text = "";
  let ended = false;
  socket.on("data", (chunk) => (text += chunk.toString("utf8")));
  socket.on("error", () => {}); // resets are part of these tests
  socket.on("close", () => (ended = true));
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, text: () => text, ended: () => ended };
}

/** Waits for a condition, at most five seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`waited five seconds for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The recorder of the newest connection, once there are `count`. */
export async function recorderOf(server: TestServer, count = 1): Promise<Recorder> {
  await until(() => server.recorders.length >= count, `${count} connections accepted`);
  const recorder = server.recorders[count - 1];
  if (recorder === undefined) throw new Error("no such connection");
  return recorder;
}
