// A minimal client of Redis: RESP over node:net, one connection a caller, nothing pipelined but what is issued together. A
// write is its SETs and one WAIT 1 0 behind them, so that it returns when a replica has received it: the nearest that
// Redis 7.0 has to a majority of three. (WAIT tells of receipt, not of the disk; WAITAOF came with 7.2.)
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { parseAddress } from "../../shared/io/address.ts";
import type { Caller, Driver } from "./caller.ts";

/** A connection for each of these callers. @throws Error where the primary does not answer */
export async function openRedis(address: string, callers: number): Promise<Driver> {
  const connections = await Promise.all(Array.from({ length: callers }, () => RedisConnection.open(address)));
  return {
    caller: (index) => connections[index] as RedisConnection,
    close: async () => {
      for (const connection of connections) connection.close();
    },
  };
}

export class RedisConnection implements Caller {
  readonly #socket: Socket;
  #input = "";
  /** Replies awaited, and who is told when they are there. */
  #awaited = 0;
  #replies: string[] = [];
  #done: { resolve: (replies: string[]) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding("latin1").on("data", (text: string) => this.#received(text));
    socket.on("error", (error) => this.#done?.reject(error));
    socket.on("close", () => this.#done?.reject(new Error("Redis closed the connection")));
  }

  static async open(address: string): Promise<RedisConnection> {
    const socket = connect(parseAddress(address));
    await once(socket, "connect");
    return new RedisConnection(socket);
  }

  async put(keys: readonly string[], value: string): Promise<void> {
    const sets = keys.map((key) => command("SET", key, value));
    const replies = await this.ask(sets.join("") + command("WAIT", "1", "0"), keys.length + 1);
    // A WAIT without a limit of time returns when a replica has it; another number would be a put that was not replicated.
    if (replies.at(-1) === ":0") throw new Error("WAIT returned without a replica");
  }

  get(keys: readonly string[]): Promise<unknown> {
    return this.ask(keys.map((key) => command("GET", key)).join(""), keys.length);
  }

  remove(key: string): Promise<unknown> {
    return this.ask(command("DEL", key) + command("WAIT", "1", "0"), 2);
  }

  replace(): Promise<never> {
    throw new Error("not measured of Redis: its conditional writes need a script");
  }

  /** Sends commands and takes their replies: the text of each without its line end. */
  ask(commands: string, replies: number): Promise<string[]> {
    return new Promise((resolve, reject) => {
      this.#awaited = replies;
      this.#done = { resolve, reject };
      this.#socket.write(commands, "latin1");
    });
  }

  close(): void {
    this.#done = undefined;
    this.#socket.destroy();
  }

  #received(text: string): void {
    this.#input = this.#input === "" ? text : this.#input + text;
    let at = 0;
    for (let end = this.#replyEnd(at); end > 0; end = this.#replyEnd(at)) {
      this.#replies.push(this.#input.slice(at, end - 2));
      at = end;
    }
    if (at > 0) this.#input = this.#input.slice(at);
    if (this.#replies.length < this.#awaited || this.#done === undefined) return;
    const [replies, done] = [this.#replies, this.#done];
    this.#replies = [];
    this.#done = undefined;
    const refused = replies.find((reply) => reply.startsWith("-"));
    if (refused === undefined) done.resolve(replies);
    else done.reject(new Error(`Redis: ${refused}`));
  }

  /** Where the reply that begins at `start` ends; 0 while it is not complete. */
  #replyEnd(start: number): number {
    const line = this.#input.indexOf("\r\n", start);
    if (line < 0) return 0;
    if (this.#input[start] !== "$") return line + 2;
    const length = Number(this.#input.slice(start + 1, line));
    const end = length < 0 ? line + 2 : line + 2 + length + 2;
    return end <= this.#input.length ? end : 0;
  }
}

/** One command in RESP; keys and values of the benchmark are ASCII. */
export function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
}
