// Server of a storage node: sockets and the engine on one side, the pure core (core/node.ts) on the other. Lines and
// durable positions go in as events, effects are carried out in the order in which they come. Decides nothing but how
// a line that is no message is refused, and adds to `ping` and `stats` what only the edge can measure.
//
// Stopping drains: new lines are refused, what was taken is answered (at most 5 s), then sockets and engine close.
import type { NodeId } from "../shared/ids.ts";
import { errorAnswer, KvError } from "../shared/errors.ts";
import type { Address } from "../shared/io/address.ts";
import type { ConnectionHandlers, NdjsonConnection } from "../shared/io/ndjson-connection.ts";
import { monotonicMs } from "../shared/io/system-clock.ts";
import type { LineProblem } from "../shared/io/ndjson-reader.ts";
import { doorOf, OPEN, type Security } from "../shared/io/security.ts";
import { listen, type Listener } from "../shared/io/server.ts";
import { unreachable } from "../shared/assert.ts";
import { lineBytesMax, VALUE_BYTES_MAX_CEILING } from "../shared/limits.ts";
import { ask } from "./ask.ts";
import { Census } from "./census.ts";
import { type NodeEffect, type NodeEvent, type PeerNumber, StorageNode } from "./core/node.ts";
import type { EngineCounters } from "./engine/counters.ts";
import { type DiskEngine, openDiskEngine } from "./engine/disk-engine.ts";
import { LoopDelay } from "./loop-delay.ts";

export interface NodeServerOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly dataDirectory: string;
  /** Whom the node lets in, and what it shows to other nodes. Default: everybody, nothing. */
  readonly security?: Security;
  /** Messages for the operator. */
  readonly log: (message: string) => void;
  /** N10: the engine can promise nothing any more. Must end the process. */
  readonly failed: (error: Error) => void;
}

/** Every coordinator, node and direct reader of a large cluster, several times over. */
const CONNECTIONS_MAX = 4_096;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Requests to other nodes at a time, beyond which one counts as unanswered. */
const CALLS_MAX = 64;
const CALL_TIMEOUT_MS = 5_000;
const DRAIN_MS_MAX = 5_000;
/** The cluster's own value limit may be lower; a coordinator enforces it. */
const CONNECTION = { lineBytesMax: lineBytesMax(VALUE_BYTES_MAX_CEILING), outputBytesMax: OUTPUT_BYTES_MAX };

export class NodeServer {
  readonly #engine: DiskEngine;
  readonly #security: Security;
  readonly #node: StorageNode;
  readonly #census: Census;
  readonly #loopDelay = new LoopDelay();
  readonly #connections = new Map<PeerNumber, NdjsonConnection>();
  #listener: Listener | undefined;
  #stopping = false;
  #peers = 0;
  #calls = 0;
  #whenIdle: (() => void) | undefined;

  /**
   * Opens the directory, replays its log and listens.
   * @throws What `openDiskEngine` and `listen` throw; then nothing is left open.
   */
  static async start(options: NodeServerOptions): Promise<NodeServer> {
    const { dataDirectory: directory, log, failed } = options;
    let durable = (_position: number): void => undefined; // nothing is appended before the server is there
    const events = { durable: (position: number) => durable(position), failed };
    const server = new NodeServer(await openDiskEngine({ directory, log, events }), options.security ?? OPEN);
    durable = (position) => server.#durable(position);
    try {
      await server.#listen(options);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  private constructor(engine: DiskEngine, security: Security) {
    this.#engine = engine;
    this.#security = security;
    this.#node = new StorageNode(engine);
    this.#census = new Census(engine);
  }

  /** Where it listens; the port is the real one also when 0 was asked for. */
  get address(): Address {
    return { host: this.#listener?.host ?? "", port: this.#listener?.port ?? 0 };
  }

  /** The id under which the node was added; undefined until then. */
  get id(): NodeId | undefined {
    return this.#node.identity.id;
  }

  get incarnation(): string {
    return this.#node.identity.incarnation;
  }

  /** Where the leader takes clients, `host:port`, as far as this node knows. */
  get leader(): string | undefined {
    return this.#node.leader;
  }

  /** What the engine has done to its disk. */
  get counters(): EngineCounters {
    return this.#engine.counters;
  }

  /** Whether it is about to end. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** `status`, with what the node holds counted anew: in slices, a quarter of a second at most. */
  async report(): Promise<Readonly<Record<string, unknown>>> {
    await this.#census.taken();
    return this.status();
  }

  /** What operators see of this node; what it holds, as it was counted last. */
  status(): Readonly<Record<string, unknown>> {
    return { ...this.#node.status(), eventLoopDelayMs: this.#loopDelay.maxMs };
  }

  /** What waited for the disk leaves at once: by itself it would after the next poll. */
  #durable(position: number): void {
    this.handle({ type: "durable", position });
    for (const connection of this.#connections.values()) connection.flush();
  }

  /** For the engine and the sockets: an event in, its effects carried out. */
  handle(event: NodeEvent): void {
    this.#carryOut(this.#node.handle(event, monotonicMs()));
  }

  /**
   * Drains and closes. Settles within about 6 s and the engine's last flush.
   * @throws Error when the engine could not make durable what it had taken.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#node.drain();
    await this.#drained();
    this.#census.stop();
    await this.#listener?.close();
    this.#loopDelay.stop();
    await this.#engine.close();
  }

  async #listen({ host, port, log }: NodeServerOptions): Promise<void> {
    const connection = { ...CONNECTION, requireObjectFirst: true };
    const door = doorOf(this.#security, "node", (peer, why) => log(`${peer} was turned away: ${why}`));
    const { tls } = this.#security.credentials;
    this.#listener = await listen({ host, port, connectionsMax: CONNECTIONS_MAX, connection, tls, door }, (peer) =>
      this.#accept(peer),
    );
  }

  #accept(connection: NdjsonConnection): ConnectionHandlers {
    const peer = ++this.#peers;
    this.#connections.set(peer, connection);
    return {
      lines: (lines) => this.#lines(peer, lines),
      badLine: (problem) => connection.send({ id: null, ...refusal(problem) }),
      closed: () => {
        this.#connections.delete(peer);
        this.handle({ type: "gone", peer });
      },
    };
  }

  /** Who asks what the node holds waits until that is counted; the other lines do not. */
  #lines(peer: PeerNumber, lines: readonly Record<string, unknown>[]): void {
    if (!lines.some(isStats)) return this.#handleLines(peer, lines);
    this.#handleLines(
      peer,
      lines.filter((line) => !isStats(line)),
    );
    void this.#census.taken().then(() => this.#handleLines(peer, lines.filter(isStats)));
  }

  #handleLines(peer: PeerNumber, lines: readonly Record<string, unknown>[]): void {
    const effects = this.#node.handle({ type: "lines", peer, lines }, monotonicMs());
    const asked = lines.filter(({ op }) => op === "ping" || op === "stats");
    if (asked.length === 0) return this.#carryOut(effects);
    const ids = new Set(asked.map(({ id }) => id));
    // Both are answered at once, never from a queue: what comes back now is theirs.
    this.#carryOut(effects.map((effect) => this.#measured(effect, ids)));
  }

  #measured(effect: NodeEffect, ids: ReadonlySet<unknown>): NodeEffect {
    if (effect.type !== "answer") return effect;
    const { id, status } = effect.message as { readonly id?: unknown; readonly status?: unknown };
    if (status !== "ok" || !ids.has(id)) return effect;
    return { ...effect, message: { ...effect.message, eventLoopDelayMs: this.#loopDelay.maxMs } };
  }

  #carryOut(effects: readonly NodeEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "answer") this.#connections.get(effect.peer)?.send(effect.message);
      else if (effect.type === "call") void this.#call(effect); // never rejects but for a bug, which ends the process
      else unreachable(effect);
    }
    if (this.#node.idle) this.#whenIdle?.();
  }

  async #call({ call, address, request }: Extract<NodeEffect, { type: "call" }>): Promise<void> {
    if (this.#calls >= CALLS_MAX) {
      queueMicrotask(() => this.handle({ type: "answer", call, answer: null })); // after the effects in hand
      return;
    }
    this.#calls++;
    const connection = { ...CONNECTION, requireObjectFirst: false };
    const answer = await ask(address, request, {
      timeoutMs: CALL_TIMEOUT_MS,
      connection,
      credentials: this.#security.credentials,
    });
    this.#calls--;
    this.handle({ type: "answer", call, answer });
  }

  async #drained(): Promise<void> {
    if (this.#node.idle) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_MS_MAX);
      this.#whenIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function isStats({ op }: Record<string, unknown>): boolean {
  return op === "stats";
}

function refusal({ code, message }: LineProblem): object {
  return errorAnswer(new KvError(code === "LINE_TOO_LONG" ? "TOO_LARGE" : "BAD_REQUEST", message));
}
