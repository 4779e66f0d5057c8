// Server: carries out what the pure coordinator decides. Clients come in over NDJSON, nodes are dialled, timers come from the system
// clock, files are written durably. All events of one turn of the event loop are handled together, so that everything for one node
// leaves in one line.
import { randomUUID } from "node:crypto";
import type { OwnerId } from "../shared/ids.ts";
import { FOUND_FIELDS, ROW_FIELDS } from "../shared/protocol/compact.ts";
import { lineBytesMax, VALUE_BYTES_MAX_CEILING } from "../shared/limits.ts";
import { Dialer } from "../shared/io/dialer.ts";
import type { ConnectionHandlers, NdjsonConnection } from "../shared/io/ndjson-connection.ts";
import { type Address, formatAddress, reachableAt } from "../shared/io/address.ts";
import { doorOf, OPEN, type Security } from "../shared/io/security.ts";
import { listen, type Listener } from "../shared/io/server.ts";
import { monotonicMs } from "../shared/io/system-clock.ts";
import type { CoordinatorRole } from "../shared/protocol/client-messages.ts";
import { Coordinator } from "./coordinator.ts";
import type { CoordinatorEffect, CoordinatorEvent } from "./coordinator-events.ts";
import type { EtcdRequest } from "./election/etcd-calls.ts";
import { EtcdGateway } from "./etcd/gateway.ts";
import type { EtcdLocation } from "./etcd/place.ts";
import { claimVoterPlace, readClusterFile, readVoterFile, type VoterPlace, writeDurably } from "./files.ts";
import type { NoticeSubject, RoleNews } from "./leader.ts";
import type { LatencySeries } from "./metrics.ts";
import type { Gauges } from "./views/gauges.ts";
import { CHANNELS, type Answer, type Channel } from "./links/link.ts";
import { LineTexts } from "./links/line-texts.ts";

const CONNECTIONS_MAX = 10_000;
/** Longer than a hand-over takes. */
const RETIRE_MS_MAX = 2_000;
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;

export interface ServerOptions {
  readonly host: string;
  /** Zero: any free one. */
  readonly port: number;
  readonly clusterFile: string;
  /** A node that is down for so long gives its slots to others; 0: never; the default where left out. */
  readonly replaceAfterMs?: number;
  /** What the leader's cache of values takes at most; the default where left out. */
  readonly readCacheBytes?: number;
  readonly join: readonly string[];
  readonly valueBytesMax: number;
  /** Where nodes, clients and other coordinators reach this one, when that is not where it listens (containers, NAT). */
  readonly advertise?: Address | undefined;
  /** Whom this coordinator lets in, and what it shows to others. Default: everybody, nothing. */
  readonly security?: Security;
  /** The etcd that keeps epoch and state; undefined: storage nodes vote. */
  readonly etcd?: EtcdLocation | undefined;
  readonly role: (news: RoleNews) => void;
  readonly notice: (about: NoticeSubject, text: string) => void;
  /** Somebody was not let in. */
  readonly refused?: (text: string) => void;
  /** A file could not be written without which this coordinator must not go on. Must end the process. */
  readonly failed: (error: Error) => void;
}

/** Operations handled at a time where many came at once. */
const SLICE_OPS = 128;

/** A client inside this process: it speaks the coordinator protocol without a socket. */
export interface LocalClient {
  /** A request as it would be on a line, with its `id`. False where this coordinator does not run (any more). */
  send(message: Readonly<Record<string, unknown>>): boolean;
  /** Nobody waits for its answers any more. */
  close(): void;
}

export class CoordinatorServer {
  /** Where REST is served for this coordinator, once it is: `host:port`. */
  httpAddress: string | undefined;
  readonly #options: ServerOptions;
  readonly #etcd: EtcdGateway | undefined;
  #core: Coordinator | undefined;
  #listener: Listener | undefined;
  #voterPlace: VoterPlace | undefined;
  readonly #clients = new Map<number, { send(message: object): void; flush?(): void }>();
  readonly #dialers = new Map<string, Record<Channel, Dialer>>();
  #numbers = 0;
  readonly #texts = new LineTexts((text) => Buffer.from(text));
  #events: CoordinatorEvent[] = [];
  #scheduled = false;
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  #tellDecided: () => void = () => {};
  #retired: () => void = () => {};
  /** Resolves when the first role is decided: leader, standby, new or waiting. */
  readonly decided = new Promise<void>((resolve) => (this.#tellDecided = resolve));

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#etcd = options.etcd && new EtcdGateway(options.etcd.endpoints);
  }

  /** Where others reach it. */
  get address(): string {
    return reachableAt(this.#listening, this.#options.advertise);
  }

  /** Where it listens: an address for this machine. */
  get listening(): string {
    return formatAddress(this.#listening);
  }

  get #listening(): Address {
    return { host: this.#listener?.host ?? "", port: this.#listener?.port ?? 0 };
  }

  get #security(): Security {
    return this.#options.security ?? OPEN;
  }

  get role(): CoordinatorRole {
    return this.#core?.role ?? "waiting";
  }

  /** What this process has answered, whoever it led. */
  series(): LatencySeries[] {
    return this.#core?.metrics.series() ?? [];
  }

  /** What the leader counts beside what its views show; undefined while this coordinator does not lead. */
  gauges(): Gauges | undefined {
    return this.#core?.gauges;
  }

  /** Listens and begins. Rejects when the port is taken or a file cannot be read. */
  async start(): Promise<void> {
    const { host, port, clusterFile, join, valueBytesMax, etcd, replaceAfterMs, readCacheBytes } = this.#options;
    const connection = {
      lineBytesMax: lineBytesMax(valueBytesMax),
      requireObjectFirst: true,
      outputBytesMax: OUTPUT_BYTES_MAX,
    };
    const place = await claimVoterPlace(clusterFile);
    this.#voterPlace = place;
    try {
      const door = doorOf(this.#security, "coordinator", (peer, why) =>
        this.#options.refused?.(`${peer} was turned away: ${why}`),
      );
      const { tls } = this.#security.credentials;
      this.#listener = await listen({ host, port, connectionsMax: CONNECTIONS_MAX, connection, tls, door }, (client) =>
        this.#client(client),
      );
    } catch (error) {
      await place.release();
      throw error;
    }
    this.#core = new Coordinator(
      {
        owner: randomUUID() as OwnerId,
        address: this.address,
        clusterFile: readClusterFile(clusterFile),
        join,
        voterFile: readVoterFile(place.file),
        seat: `coordinator:${randomUUID()}`,
        valueBytesMax,
        ...(etcd && { etcd }),
        http: () => this.httpAddress,
        uuid: randomUUID,
        random: Math.random,
        ...(replaceAfterMs !== undefined && { upkeep: { replaceAfterMs } }),
        ...(readCacheBytes !== undefined && { readCacheBytes }),
      },
      monotonicMs(),
    );
    this.#happened({ type: "start" });
  }

  /** Answers what is open, then closes everything. */
  async stop(): Promise<void> {
    await this.#retire();
    clearTimeout(this.#timer);
    const effects = this.#core?.stop() ?? [];
    this.#core = undefined;
    for (const effect of effects) this.#carryOut(effect);
    for (const address of this.#dialers.keys()) this.#hangUp(address);
    this.#etcd?.close();
    await this.#listener?.close();
    await this.#voterPlace?.release();
  }

  /** Hands the leadership over, where a standby is there to take it. */
  async #retire(): Promise<void> {
    if (this.#core?.role !== "leader") return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, RETIRE_MS_MAX);
      this.#retired = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#happened({ type: "retire" });
    });
  }

  /** @param answered Called with every answer, which belongs to the coordinator: read it, do not change it. */
  local(answered: (message: Readonly<Record<string, unknown>>) => void): LocalClient {
    const client = ++this.#numbers;
    this.#clients.set(client, { send: (message) => answered(message as Readonly<Record<string, unknown>>) });
    return {
      send: (message) => {
        if (this.#core) this.#happened({ type: "lines", client, lines: [message] });
        return this.#core !== undefined;
      },
      close: () => {
        if (this.#clients.delete(client)) this.#happened({ type: "clientGone", client });
      },
    };
  }

  #client(connection: NdjsonConnection): ConnectionHandlers {
    const client = ++this.#numbers;
    this.#clients.set(client, connection);
    return {
      lines: (lines) => {
        for (const line of lines) this.#happened({ type: "lines", client, lines: [line] }); // slices end between lines
      },
      badLine: ({ code, message }) => {
        const refusal = code === "LINE_TOO_LONG" ? "TOO_LARGE" : "BAD_REQUEST";
        connection.send({ id: null, status: "error", code: refusal, message, retryable: false, outcome: "failed" });
      },
      closed: () => {
        this.#clients.delete(client);
        this.#happened({ type: "clientGone", client });
      },
    };
  }

  /** Gathers the events of this turn. */
  #happened(event: CoordinatorEvent): void {
    this.#events.push(event);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    const events = this.#events;
    this.#events = [];
    const core = this.#core;
    if (!core) return;
    for (let done = 0; done < events.length;) {
      const end = sliceEnd(events, done);
      const slice = done === 0 && end === events.length ? events : events.slice(done, end);
      const effects = core.handle(slice, monotonicMs());
      for (const effect of effects) this.#carryOut(effect);
      this.#texts.clear();
      this.#flush(effects);
      done = end;
    }
    this.#wake(core.wakeAt);
  }

  /** Nodes and clients begin at once: nothing is left of this slice that could join it, and by itself it would leave after the next poll. */
  #flush(effects: readonly CoordinatorEffect[]): void {
    for (const { data, control } of this.#dialers.values()) {
      data.connection?.flush();
      control.connection?.flush();
    }
    let flushed: number | undefined;
    for (const effect of effects) {
      if (effect.type !== "answer" || effect.client === flushed) continue;
      flushed = effect.client;
      this.#clients.get(flushed)?.flush?.();
    }
  }

  #wake(at: number | undefined): void {
    if (at === undefined || (at === this.#wakeAt && this.#timer !== undefined)) return;
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#happened({ type: "tick" });
      },
      Math.max(1, at - monotonicMs()),
    );
  }

  #carryOut(effect: CoordinatorEffect): void {
    switch (effect.type) {
      case "answer":
        this.#clients.get(effect.client)?.send(effect.message);
        return;
      case "send":
        this.#sendTo(this.#dialers.get(effect.address)?.[effect.channel].connection, effect.message);
        return;
      case "dial":
        this.#dial(effect.address);
        return;
      case "hangUp":
        this.#hangUp(effect.address);
        return;
      case "saveVoter":
        if (this.#voterPlace) this.#save(this.#voterPlace.file, effect.file, { create: false });
        this.#happened({ type: "voterSaved", token: effect.token });
        return;
      case "saveCluster":
        this.#save(this.#options.clusterFile, effect.file, { create: effect.create });
        return;
      case "agree":
        void this.#agree(effect.call, effect.request);
        return;
      case "role":
        this.#options.role(effect);
        this.#tellDecided();
        return;
      case "retired":
        this.#retired();
        return;
      case "notice":
        this.#options.notice(effect.about, effect.text);
        return;
    }
  }

  #sendTo(connection: NdjsonConnection | null | undefined, message: object): void {
    if (!connection) return;
    const line = this.#texts.of(message);
    if (typeof line === "string") connection.sendRaw(line);
    else connection.sendShared(line.head, line.rest);
  }

  async #agree(call: number, request: EtcdRequest): Promise<void> {
    const answer = await this.#etcd?.call(request);
    if (answer) this.#happened({ type: "agreed", call, answer });
  }

  /** Going on without a vote, or without the file that finds the cluster again, would be worse than ending. */
  #save(file: string, content: object, options: { readonly create: boolean }): void {
    try {
      writeDurably(file, content, options);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const why = code === "EEXIST" ? "another coordinator has made a cluster there meanwhile" : message;
      this.#options.failed(new Error(`cannot write ${file}: ${why}`));
    }
  }

  #dial(address: string): void {
    const [data, control] = CHANNELS.map((channel) => this.#dialer(address, channel));
    if (!data || !control) return;
    this.#dialers.set(address, { data, control });
    data.start();
    control.start();
  }

  #dialer(address: string, channel: Channel): Dialer {
    const connection = {
      // However small the values of this cluster are: a page of them is as long as anywhere.
      lineBytesMax: lineBytesMax(VALUE_BYTES_MAX_CEILING),
      requireObjectFirst: false,
      outputBytesMax: OUTPUT_BYTES_MAX,
    };
    return new Dialer(
      address,
      { connection, credentials: this.#security.credentials },
      {
        connected: () => this.#happened({ type: "linkUp", address, channel }),
        lines: (lines: Answer[]) => {
          for (const line of lines) this.#happened({ type: "linkLines", address, lines: [line] });
        },
        disconnected: () => this.#happened({ type: "linkDown", address, channel }),
      },
    );
  }

  #hangUp(address: string): void {
    const dialers = this.#dialers.get(address);
    this.#dialers.delete(address);
    dialers?.data.stop();
    dialers?.control.stop();
  }
}

/** Where the slice of a turn ends that begins at `start`: a turn of a thousand operations would keep everybody else waiting for its end. */
function sliceEnd(events: readonly CoordinatorEvent[], start: number): number {
  let operations = 0;
  let end = start;
  while (end < events.length && operations < SLICE_OPS) operations += operationsIn(events[end++] as CoordinatorEvent);
  return end;
}

function operationsIn(event: CoordinatorEvent): number {
  if (event.type !== "lines" && event.type !== "linkLines") return 0;
  let operations = 0;
  for (const { ops, results, found, rows } of event.lines as readonly Readonly<Record<string, unknown>>[]) {
    const list = ops ?? results;
    if (Array.isArray(list)) operations += list.length;
    else if (Array.isArray(found)) operations += found.length / FOUND_FIELDS;
    else operations += Array.isArray(rows) ? rows.length / ROW_FIELDS : 1;
  }
  return operations;
}
