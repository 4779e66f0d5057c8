// Door: who may say what on an NDJSON port that asks for a token. The first message that is carried out is a `hello` with a token; its
// token goes no further. Before it a `ping` is answered with nothing but "ok" (for probes), anything else is refused and the connection
// closes. A peer without a token can hold neither a connection for long nor much memory.
// After it an admin's lines pass untouched; a reader's are looked at one by one (shared/access.ts). What a message means is the owner's.
import { mayRead, type Port, type Role } from "../access.ts";
import { errorAnswer, KvError } from "../errors.ts";
import type { ConnectionHandlers, NdjsonConnection } from "./ndjson-connection.ts";
import type { LineProblem } from "./ndjson-reader.ts";
import { monotonicMs } from "./system-clock.ts";
import type { KeyRing } from "./tokens.ts";

/** Time to present a token. */
const PRESENT_MS_MAX = 10_000;
/** Longest line before the token: a hello, with room for what one socket chunk may hold behind it. */
const LINE_BYTES_BEFORE = 128 * 1024;
/** Between two tellings of a connection that was turned away. */
const TELL_INTERVAL_MS = 1_000;

type Message = Record<string, unknown>;

export interface Door {
  /** Handlers to start the connection with, in front of its owner's. */
  guard(connection: NdjsonConnection, owner: ConnectionHandlers): ConnectionHandlers;
}

export interface DoorOptions {
  readonly port: Port;
  readonly keys: KeyRing;
  /** Told of connections that are turned away, once a second at most, for the log: where it came from and why. Never a token. */
  readonly refused?: ((peer: string, why: string) => void) | undefined;
}

export function tokenDoor(options: DoorOptions): Door {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  const refused = (peer: string, why: string): void => {
    if (monotonicMs() - toldAtMs < TELL_INTERVAL_MS) return; // whoever knocks all day does not fill the log
    toldAtMs = monotonicMs();
    options.refused?.(peer, why);
  };
  return { guard: (connection, owner) => new Guard({ ...options, refused }, connection, owner) };
}

/** The door as one connection meets it. */
class Guard implements ConnectionHandlers {
  readonly #options: DoorOptions;
  readonly #connection: NdjsonConnection;
  readonly #owner: ConnectionHandlers;
  readonly #late: NodeJS.Timeout;
  #role: Role | undefined;

  constructor(options: DoorOptions, connection: NdjsonConnection, owner: ConnectionHandlers) {
    this.#options = options;
    this.#connection = connection;
    this.#owner = owner;
    connection.limitLines(LINE_BYTES_BEFORE);
    this.#late = setTimeout(() => connection.close("no token was presented in time"), PRESENT_MS_MAX).unref();
  }

  lines(messages: Message[]): void {
    if (this.#role === "admin") return this.#owner.lines(messages);
    const allowed: Message[] = [];
    for (const message of messages) {
      if (!this.#connection.open) break;
      const passed = this.#role === undefined ? this.#knock(message) : message;
      if (passed && this.#may(passed)) allowed.push(passed);
    }
    if (allowed.length > 0 && this.#connection.open) this.#owner.lines(allowed);
  }

  badLine(problem: LineProblem): void {
    this.#owner.badLine(problem);
    if (this.#role === undefined) this.#connection.close("a bad line before any token");
  }

  closed(reason: string): void {
    clearTimeout(this.#late);
    this.#owner.closed(reason);
  }

  /** A message before any token was taken: the hello that opens, without its token, or nothing. */
  #knock(message: Message): Message | undefined {
    const { id = null, op, token, ...rest } = message;
    if (op === "ping") {
      this.#connection.send({ id, status: "ok" });
      return undefined;
    }
    this.#role = op === "hello" ? this.#options.keys.roleOf(token) : undefined;
    if (this.#role === undefined) {
      this.#turnAway(id, { op, token });
      return undefined;
    }
    clearTimeout(this.#late);
    this.#connection.limitLines();
    return { id, op, ...rest };
  }

  #turnAway(id: unknown, { op, token }: Message): void {
    const missing = op !== "hello" || token === undefined;
    const why = missing ? "this port asks for a token: none was presented" : "the token is none of this cluster's";
    const advice = "give it with --token-file or HOLDFAST_TOKEN, or as `token` in the first hello";
    this.#connection.send({ id, ...errorAnswer(new KvError("UNAUTHORIZED", `${why}; ${advice}`)) });
    this.#connection.close(why);
    this.#options.refused?.(this.#connection.peer, why);
  }

  #may(message: Message): boolean {
    if (this.#role === "admin" || mayRead(this.#options.port, message)) return true;
    const { id = null, op } = message;
    const text = `${JSON.stringify(op)?.slice(0, 40)}: this token can only read; use one of an admin`;
    this.#connection.send({ id, ...errorAnswer(new KvError("FORBIDDEN", text)) });
    return false;
  }
}
