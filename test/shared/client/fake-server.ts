// A scripted server that speaks the real wire over loopback: it records every line and answers each operation as the test
// says. It splits lines by hand, so that the tests do not judge the client's own reader by itself.
import type { AddressInfo, Server, Socket } from "node:net";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

export type Message = Record<string, unknown> & { readonly id: number; readonly op: string };
/** One operation as it arrived: answers may be sent at any time, several for progress. */
export interface Asked {
  readonly message: Message;
  /** Number of the connection it came by, from 1. */
  readonly connection: number;
  readonly answer: (fields: Record<string, unknown>) => void;
  readonly refuse: (code: string, fields?: Record<string, unknown>) => void;
  /** Cuts the connection it came by. */
  readonly cut: () => void;
}
export type Script = (asked: Asked) => void;

export const CLUSTER = "5a3c1c1e-0000-4000-8000-000000000001";

export class FakeServer {
  /** Every line received, hello included. */
  readonly lines: Message[] = [];
  /** Every operation received, those of batch lines one by one, without hello. */
  readonly asked: Asked[] = [];
  /** What hello answers beside id and status. */
  hello: Record<string, unknown>;
  script: Script;
  connections = 0;
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, script: Script) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.script = script;
    this.hello = { protocol: 1, role: "leader", cluster: CLUSTER, epoch: 3, valueBytesMax: 1024 * 1024 };
    server.on("connection", (socket) => this.#accept(socket));
  }

  static async start(script: Script = memory(), port = 0): Promise<FakeServer> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    return new FakeServer(server, script);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Operations received of one kind. */
  of(op: string): Message[] {
    return this.asked.map(({ message }) => message).filter((message) => message.op === op);
  }

  /** Number of living connections. */
  get open(): number {
    return this.#sockets.size;
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    const connection = ++this.connections;
    this.#sockets.add(socket);
    let rest = "";
    socket.setEncoding("utf8");
    socket.on("error", () => {}); // cut by either side: what the tests are about
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() as string;
      for (const line of lines) this.#line(JSON.parse(line) as Message, socket, connection);
    });
  }

  #line(line: Message, socket: Socket, connection: number): void {
    this.lines.push(line);
    const send = (message: object): void => void (socket.writable && socket.write(`${JSON.stringify(message)}\n`));
    if (line.op === "hello") return send({ id: line.id, status: "ok", ...this.hello });
    for (const message of line.op === "batch" ? (line["ops"] as Message[]) : [line]) {
      const asked: Asked = {
        message,
        connection,
        answer: (fields) => send({ id: message.id, status: "ok", ...fields }),
        refuse: (code, fields = {}) =>
          send({ id: message.id, status: "error", code, message: `refused: ${code}`, ...fields }),
        cut: () => socket.resetAndDestroy(),
      };
      this.asked.push(asked);
      this.script(asked);
    }
  }
}

/** Puts, deletes and gets on a map, as a leader of epoch 3 answers them. */
export function memory(): Script {
  const values = new Map<string, { value: unknown; version: string }>();
  let seq = 0;
  return ({ message, answer, refuse }) => {
    const key = message["key"] as string;
    const version = `3.${++seq}`;
    if (message.op === "put") values.set(key, { value: message["value"], version });
    else if (message.op === "delete") return answer({ version, found: values.delete(key) });
    else if (message.op === "get") {
      const entry = values.get(key);
      return entry ? answer(entry) : refuse("NOT_FOUND");
    }
    answer({ version });
  };
}

/** Waits for a condition, not for a time. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > giveUpAt) throw new Error(`never happened: ${what}`);
    await pause(2);
  }
}
