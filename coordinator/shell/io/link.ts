// The shell's connection: one session to a coordinator, opened when needed and again after a loss, and the place where NOT_LEADER
// is followed. A write is never sent twice: only refusals that say nothing happened (NOT_LEADER) and reads are tried again.
// Which address a coordinator has is the caller's business (`connect`).
import { KvError } from "../../../shared/errors.ts";
import type { SessionMessage } from "../../../shared/client/answers.ts";
import { VALUE_BYTES_MAX_DEFAULT } from "../../../shared/limits.ts";
import type { ClientHelloAnswer } from "../../../shared/protocol/client-messages.ts";
import type { Connection } from "../command.ts";

/** Takes every line of a topology operation (ProgressAnswer) but the last. */
export type OnProgress = (answer: unknown) => void;

/** What the shell needs of a session: `Session` of shared/client/session.ts, or a script of one in tests. */
export interface ShellSession {
  readonly address: string;
  readonly hello: Pick<ClientHelloAnswer, "role" | "leader" | "valueBytesMax">;
  /** Whether the other end is a storage node. */
  readonly isNode: boolean;
  /** Whether calls can still be made. */
  readonly open: boolean;
  /** Resolves with the reason once the connection is gone. */
  readonly closed: Promise<string>;
  /** Sends a request; rejects with KvError. */
  call(message: SessionMessage, onProgress?: OnProgress, options?: { readonly timeoutMs?: number }): Promise<unknown>;
  close(): Promise<void>;
}

/** Opens a session to the address, or without one to the coordinator that commands should go to. Rejects when none answers. */
export type Connect = (address?: string) => Promise<ShellSession>;

export interface LinkOptions {
  readonly connect: Connect;
  /** Told of losses and returns, for people. */
  readonly notify: (line: string) => void;
  /** Time between attempts to come back, in ms; undefined: only when a command needs the connection. */
  readonly retryMs?: number;
}

const READS: ReadonlySet<string> = new Set<SessionMessage["op"]>([
  "get",
  "scan",
  "where",
  "ping",
  "status",
  "nodes",
  "ring",
  "stats",
  "metrics",
  "ops",
  "plan",
]);
/** Topology operations say that they have begun within this time, also behind a change of leader. */
const BEGIN_MS = 15_000;
const TOPOLOGY: ReadonlySet<string> = new Set<SessionMessage["op"]>(["addnode", "removenode", "setreplica", "repair"]);
/** Leaders followed for one command: a change of leader in mid-way needs two. */
const HOPS_MAX = 3;

export class Link {
  readonly #options: LinkOptions;
  #session: ShellSession | undefined;
  #opening: Promise<ShellSession> | undefined;
  /** Address one is switched to; undefined: wherever `connect` goes by itself. */
  #target: string | undefined;
  #node: { readonly id: string; readonly address: string; readonly session: ShellSession } | undefined;
  #elsewhere: { readonly address: string; readonly session: ShellSession } | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Where commands go. */
  get connection(): Connection {
    if (this.#node !== undefined) return { kind: "node", name: this.#node.id, address: this.#node.address };
    const address = this.#target ?? this.#session?.hello.leader ?? this.#session?.address ?? "not connected";
    return { kind: this.#target === undefined ? "leader" : "coordinator", name: address, address };
  }

  /** Limit that the coordinator announced; the default one before it did. */
  get valueBytesMax(): number {
    return this.#session?.hello.valueBytesMax ?? VALUE_BYTES_MAX_DEFAULT;
  }

  /** Sends a request where commands go, following the leader. Rejects with KvError. */
  async call(message: SessionMessage, onProgress?: OnProgress): Promise<unknown> {
    const session = await this.#open();
    try {
      return await ask(session, message, onProgress);
    } catch (error) {
      const leader = leaderNamed(error);
      if (leader !== undefined) return await this.#callAt(leader, HOPS_MAX, message, onProgress);
      const again = neverSent(error, session) || (READS.has(message.op) && isLoss(error));
      if (!again) throw error;
      this.#lost(session, "it went away");
      return await ask(await this.#open(), message, onProgress);
    }
  }

  /** Opens the connection now, so that an address where nobody answers is known at once. */
  async open(): Promise<void> {
    await this.#open();
  }

  /** Reads straight from the node one is switched to. */
  async readNode(key: string): Promise<unknown> {
    const node = this.#node;
    if (node === undefined) throw new KvError("BAD_REQUEST", "not switched to a node");
    try {
      return await node.session.call({ op: "read", key });
    } catch (error) {
      if (!isLoss(error) && !neverSent(error, node.session)) throw error;
      const session = await this.#options.connect(node.address);
      this.#node = { ...node, session };
      return await session.call({ op: "read", key });
    }
  }

  /** Reads go to this node from now on. Rejects when it does not answer; then nothing has changed. */
  async switchToNode(id: string, address: string): Promise<void> {
    const session = await this.#options.connect(address);
    this.#leaveNode();
    this.#node = { id, address, session };
  }

  /** Commands go to this coordinator from now on; undefined: wherever `connect` goes by itself. */
  async switchToCoordinator(address: string | undefined): Promise<void> {
    if (address === undefined && this.#target === undefined) {
      this.#leaveNode();
      await this.#open();
      return;
    }
    const session = await this.#options.connect(address);
    if (session.isNode) {
      void session.close();
      throw new KvError("BAD_REQUEST", `${address} is a storage node, no coordinator; switch to it by its id`);
    }
    this.#leaveNode();
    const old = this.#session;
    this.#target = address;
    this.#adopt(session);
    void old?.close();
  }

  close(): void {
    this.#closing = true;
    clearTimeout(this.#retry);
    this.#leaveNode();
    void this.#elsewhere?.session.close();
    void this.#session?.close();
  }

  async #open(): Promise<ShellSession> {
    if (this.#session !== undefined) return this.#session;
    this.#opening ??= this.#connectHome().finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  async #connectHome(): Promise<ShellSession> {
    try {
      const session = await this.#options.connect(this.#target);
      this.#adopt(session);
      return session;
    } catch (error) {
      if (error instanceof KvError && error.code !== "NODE_UNREACHABLE") throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new KvError("NO_LEADER", `no coordinator answers${this.#target ? ` at ${this.#target}` : ""}: ${reason}`);
    }
  }

  #adopt(session: ShellSession): void {
    this.#session = session;
    void session.closed.then((reason) => this.#lost(session, reason));
  }

  #lost(session: ShellSession, reason: string): void {
    if (this.#session !== session) return;
    this.#session = undefined;
    if (this.#closing) return;
    this.#options.notify(`Connection to the coordinator lost (${reason}); trying to reconnect.`);
    this.#retryLater();
  }

  #retryLater(): void {
    const { retryMs } = this.#options;
    if (retryMs === undefined || this.#closing) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      if (this.#closing) return;
      this.#open().then(
        () => this.#options.notify("Connected again."),
        () => this.#retryLater(),
      );
    }, retryMs);
  }

  async #callAt(
    address: string,
    hops: number,
    message: SessionMessage,
    onProgress: OnProgress | undefined,
  ): Promise<unknown> {
    const session = await this.#sessionAt(address);
    try {
      return await ask(session, message, onProgress);
    } catch (error) {
      const leader = leaderNamed(error);
      if (leader === undefined || hops <= 1 || leader === address) throw error;
      return await this.#callAt(leader, hops - 1, message, onProgress);
    }
  }

  async #sessionAt(address: string): Promise<ShellSession> {
    if (this.#elsewhere?.address === address) return this.#elsewhere.session;
    const session = await this.#options.connect(address);
    void this.#elsewhere?.session.close();
    this.#elsewhere = { address, session };
    void session.closed.then(() => {
      if (this.#elsewhere?.session === session) this.#elsewhere = undefined;
    });
    return session;
  }

  #leaveNode(): void {
    void this.#node?.session.close();
    this.#node = undefined;
  }
}

async function ask(
  session: ShellSession,
  message: SessionMessage,
  onProgress: OnProgress | undefined,
): Promise<unknown> {
  return await session.call(message, onProgress, TOPOLOGY.has(message.op) ? { timeoutMs: BEGIN_MS } : {});
}

function leaderNamed(error: unknown): string | undefined {
  if (!(error instanceof KvError) || error.code !== "NOT_LEADER") return undefined;
  const { leader } = error.details;
  return typeof leader === "string" && leader !== "" ? leader : undefined;
}

/** The session was over before the request left. */
function neverSent(error: unknown, session: ShellSession): boolean {
  return error instanceof KvError && error.code === "NO_LEADER" && !session.open;
}

/** The connection went away under the request: worth another attempt for reads. */
function isLoss(error: unknown): boolean {
  return error instanceof KvError && (error.code === "LOST" || error.code === "SHUTTING_DOWN");
}
