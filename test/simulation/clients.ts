// Clients of a simulated cluster: they put, get, delete and compare-and-set on few keys, several at a time, over connections that break,
// retry as the client library does (its own state machine decides), and record what they were told.
import { KvError } from "../../shared/errors.ts";
import { Operation as Sending, type OperationMessage } from "../../shared/client/operation.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import type { Level } from "../../shared/protocol/client-messages.ts";
import { compare, format, parsePair, type Version } from "../../shared/version.ts";
import { HistoryRecorder, type OperationHandle } from "./history.ts";
import type { Message } from "./network.ts";
import { Process } from "./process.ts";
import { between, chance, pick, type Random } from "./random.ts";
import { Asking, type World } from "./world.ts";

export interface ClientPlan {
  readonly clients: number;
  /** Operations per client. */
  readonly operations: number;
  readonly keys: readonly string[];
  /** Longest pause between two operations of a client, ms. */
  readonly pauseMsMax: number;
  /** Chance of each level beside quorum. */
  readonly levelAll: number;
  readonly levelOne: number;
  /** Chance that a write is a plain delete, beside those drawn anyway. */
  readonly deletes?: number;
  /** How long a client retries, ms; a quarter of what C8 allows where left out. */
  readonly retryMsMax?: number;
  /** Chance that an operation is a write on condition of the version seen last, beside those drawn anyway. */
  readonly conditional?: number;
  /** Share of gets beyond the usual one. */
  readonly gets?: number;
  /** Deadlines that are drawn from. */
  readonly timeoutsMs?: readonly number[];
  /** Whether a client that has lost its connection turns to any coordinator, not to the one that leads. */
  readonly anyCoordinator?: boolean;
  /** Chance that a client sends several operations on one key at once. */
  readonly bursts?: number;
}

/** A deadline that has passed here is over at the coordinator too, some time later. */
const GRACE_MS = 500;
const TIMEOUTS_MS: readonly number[] = [300, 1_000, 2_000, 2_000];
/** C8: a write that was sent is retried for no longer. */
const RETRY_MS_MAX = 60_000;
const BURST_MAX = 8;

/** All clients of a run, and their common history. */
export class Clients {
  readonly history: HistoryRecorder;
  readonly #world: World;
  readonly #plan: ClientPlan;
  readonly #random: Random;
  /** Versions that some answer has shown, by key: what conditions can name. */
  readonly #seen = new Map<string, string[]>();
  #values = 0;
  #running = 0;
  acknowledged = 0;
  unknown = 0;
  /** What one connection sent in one order and was answered in another; undefined while that never happened. */
  disorder: string | undefined;

  constructor(world: World, plan: ClientPlan) {
    this.#world = world;
    this.#plan = plan;
    this.#random = world.random;
    this.history = new HistoryRecorder({ now: () => Math.round(world.timers.now * 1e6) });
  }

  start(): void {
    for (let number = 1; number <= this.#plan.clients; number++) {
      this.#running++;
      new Client(this.#world, number, this.#plan.operations, {
        draw: () => this.#draw(),
        drawBurst: () => this.#drawBurst(),
        inOrder: (burst) => (this.disorder ??= disorderIn(burst)),
        record: (client, message) => this.#record(client, message),
        ended: () => void this.#running--,
        retryMsMax: this.#plan.retryMsMax ?? RETRY_MS_MAX / 4,
        anyCoordinator: this.#plan.anyCoordinator === true,
      }).next();
    }
  }

  get done(): boolean {
    return this.#running === 0;
  }

  #draw(only?: string): { readonly message: OperationMessage; readonly pauseMs: number } {
    const random = this.#random;
    const { keys, pauseMsMax, levelAll, levelOne } = this.#plan;
    const key = only ?? pick(random, keys) ?? "k";
    const timeoutMs = pick(random, this.#plan.timeoutsMs ?? TIMEOUTS_MS) ?? 0;
    const dice = random();
    const level: Level = dice < levelOne ? "one" : dice < levelOne + levelAll ? "all" : "quorum";
    return { message: this.#message(key, level, timeoutMs), pauseMs: random() * pauseMsMax };
  }

  /** Operations on one key that are sent at once; undefined where it is to be one. */
  #drawBurst(): readonly OperationMessage[] | undefined {
    const { bursts, keys } = this.#plan;
    if (bursts === undefined || !chance(this.#random, bursts)) return undefined;
    const key = pick(this.#random, keys) ?? "k";
    return Array.from({ length: between(this.#random, 2, BURST_MAX) }, () => this.#draw(key).message);
  }

  #message(key: string, consistency: Level, timeoutMs: number): OperationMessage {
    const random = this.#random;
    const common = { key, consistency, timeoutMs };
    const seen = this.#seen.get(key) ?? [];
    const version = pick(random, seen.slice(-3));
    const { conditional, deletes, gets } = this.#plan;
    const newest = seen.at(-1);
    if (gets !== undefined && chance(random, gets)) return { op: "get", ...common };
    if (conditional !== undefined && newest !== undefined && chance(random, conditional))
      return { op: "put", ...common, value: this.#value(), ifVersion: newest };
    const dice = consistency === "one" ? random() * 0.75 : random();
    if (dice < 0.35) return { op: "get", ...common };
    if (deletes !== undefined && chance(random, deletes)) return { op: "delete", ...common };
    if (dice < 0.65) return { op: "put", ...common, value: this.#value() };
    if (dice < 0.75) return { op: "delete", ...common, ...(chance(random, 0.5) && { report: true }) };
    if (dice < 0.82) return { op: "put", ...common, value: this.#value(), ifAbsent: true };
    if (version === undefined) return { op: "get", ...common };
    if (dice < 0.86) return { op: "delete", ...common, ifVersion: version };
    return { op: "put", ...common, value: this.#value(), ifVersion: version };
  }

  #value(): string {
    return `v${++this.#values}`;
  }

  /** Level one is outside the guarantee (the key's other levels are not, as long as level one only reads). */
  #record(client: number, message: OperationMessage): Recorded {
    const { op, key } = message as { op: "put" | "get" | "delete"; key: string };
    const at = { client, key } as const;
    if (message.op === "get" && message.consistency === "one") return UNRECORDED;
    const handle = this.history.invoke(
      message.op === "put"
        ? message.ifVersion !== undefined
          ? { ...at, op: "cas", value: text(message.value), expected: message.ifVersion }
          : { ...at, op: message.ifAbsent === true ? "create" : "put", value: text(message.value) }
        : message.op === "delete" && message.ifVersion !== undefined
          ? { ...at, op: "delete", expected: message.ifVersion }
          : { ...at, op: op === "get" ? "get" : "delete" },
    );
    return {
      ok: (answer) => this.#ok(handle, message, key, answer),
      failed: (error) => this.#failed(handle, message, error),
    };
  }

  #ok(handle: OperationHandle, message: OperationMessage, key: string, answer: Message): void {
    const version = typeof answer["version"] === "string" ? answer["version"] : undefined;
    this.acknowledged++;
    if (message.op === "get") {
      if (version !== undefined) this.#show(key, version);
      return handle.ok({ result: { value: text(answer["value"]), ...(version !== undefined && { version }) } });
    }
    if (message.op === "put") {
      if (version !== undefined) this.#show(key, version);
      return handle.ok({ result: { value: text(message.value), ...(version !== undefined && { version }) } });
    }
    handle.ok(typeof answer["found"] === "boolean" ? { found: answer["found"] } : {});
  }

  #failed(handle: OperationHandle, message: OperationMessage, error: KvError): void {
    if (error.code === "NOT_FOUND") {
      if (message.op === "get") handle.ok({ result: { value: null } });
      else handle.ok({ found: false });
      return;
    }
    if (error.code === "CONDITION_FAILED") return handle.failed({ conditionMet: false });
    if (message.op === "get" || error.outcome !== "unknown") return handle.failed();
    this.unknown++;
    handle.unknown();
  }

  #show(key: string, version: string): void {
    const seen = this.#seen.get(key) ?? [];
    seen.push(version);
    this.#seen.set(key, seen);
  }
}

interface Recorded {
  ok(answer: Message): void;
  failed(error: KvError): void;
}

const UNRECORDED: Recorded = { ok: () => undefined, failed: () => undefined };

interface ClientHost {
  draw(): { readonly message: OperationMessage; readonly pauseMs: number };
  drawBurst(): readonly OperationMessage[] | undefined;
  inOrder(burst: readonly Answered[]): void;
  record(client: number, message: OperationMessage): Recorded;
  ended(): void;
  readonly retryMsMax: number;
  readonly anyCoordinator: boolean;
}

/** One of the operations that one connection sent on one key, and the version that it was answered with. */
interface Answered {
  readonly message: OperationMessage;
  version: Version | undefined;
}

/** One connection's operations on one key keep their order: what a later one shows is never older. */
function disorderIn(burst: readonly Answered[]): string | undefined {
  const shown = burst.filter(
    ({ message, version }) => version && !(message.op === "get" && message.consistency === "one"),
  );
  for (const [index, { message, version }] of shown.entries()) {
    const later = shown.slice(index + 1).find((other) => {
      const order = compare(version as Version, other.version as Version);
      if (message.op === "get" && other.message.op === "get") return false;
      return other.message.op === "get" ? order > 0 : order >= 0;
    });
    if (!later) continue;
    const told = burst.map((one) => `${one.message.op} -> ${one.version ? format(one.version) : "nothing"}`);
    return `one connection's operations on one key changed places: ${told.join(", ")}`;
  }
  return undefined;
}

/** One client, every other one with compact lines: one operation after the other, each over as many connections as it takes, or several at once, over one. */
class Client {
  readonly #world: World;
  readonly #number: number;
  readonly #host: ClientHost;
  readonly #process: Process;
  #left: number;
  #counter = 0;
  #connection: { readonly asking: Asking; readonly address: string; epoch: number } | undefined;

  constructor(world: World, number: number, operations: number, host: ClientHost) {
    this.#world = world;
    this.#number = number;
    this.#left = operations;
    this.#host = host;
    this.#process = new Process(`client ${number}`, world.timers);
    this.#process.start();
  }

  next(): void {
    if (this.#left-- <= 0) return this.#host.ended();
    const burst = this.#host.drawBurst();
    const { message, pauseMs } = this.#host.draw();
    this.#world.timers.after(pauseMs, () => (burst ? this.#beginAll(burst) : this.#begin(message)));
  }

  #begin(message: OperationMessage): void {
    const recorded = this.#host.record(this.#number, message);
    this.#attempt(this.#sendingOf(message), recorded, this.#world.timers.now);
  }

  #sendingOf(message: OperationMessage): Sending {
    const writes = message.op === "put" || message.op === "delete";
    const operation = `${this.#number}:${++this.#counter}`;
    return new Sending(writes ? ({ ...message, operation } as OperationMessage) : message);
  }

  /** None of them is sent again: that would change their order. */
  #beginAll(messages: readonly OperationMessage[]): void {
    const burst = messages.map((message): Answered => ({ message, version: undefined }));
    let open = burst.length;
    for (const one of burst) {
      const recorded = this.#host.record(this.#number, one.message);
      const sending = this.#sendingOf(one.message);
      this.#send(sending, (answer) => {
        if (answer["status"] === "ok") {
          one.version = parsePair(String(answer["version"]));
          recorded.ok(answer);
        } else recorded.failed(this.#finally(sending, errorOf(answer)));
        if (--open > 0) return;
        this.#host.inOrder(burst);
        this.next();
      });
    }
  }

  /** What a failed operation is, if it is not sent again. */
  #finally(sending: Sending, error: KvError): KvError {
    const decision = sending.failed(error, this.#connection?.epoch ?? 0);
    return decision.kind === "fail" ? decision.error : sending.finalError(error);
  }

  #attempt(sending: Sending, recorded: Recorded, startedAt: number): void {
    this.#send(sending, (answer) => this.#settled(sending, recorded, startedAt, answer));
  }

  /** @param settled Called once. */
  #send(sending: Sending, settled: (answer: Message) => void): void {
    const { timers } = this.#world;
    const connection = this.#connected();
    let over = false;
    const settle = (answer: Message): void => {
      if (over) return;
      over = true;
      late.cancel();
      settled(answer);
    };
    const timeoutMs = Number((sending.message as Message)["timeoutMs"]) + GRACE_MS;
    const late = timers.after(timeoutMs, () => {
      this.#leave();
      settle({ status: "error", code: "LOST", message: "no answer within the deadline" });
    });
    const compact = this.#number % 2 === 0;
    connection.asking.ask({ op: "hello", versions: [1, 1], compact }, (answer) => {
      if (answer["status"] === "ok") connection.epoch = Number(answer["epoch"]);
    });
    connection.asking.ask(sending.message as unknown as Message, settle, compact);
  }

  #settled(sending: Sending, recorded: Recorded, startedAt: number, answer: Message): void {
    if (answer["status"] === "ok") {
      recorded.ok(answer);
      return this.next();
    }
    const error = errorOf(answer);
    const decision = sending.failed(error, this.#connection?.epoch ?? 0);
    const over = this.#world.timers.now - startedAt > this.#host.retryMsMax;
    if (decision.kind === "fail" || over || (decision.kind === "elsewhere" && decision.moves > 5)) {
      recorded.failed(decision.kind === "fail" ? decision.error : sending.finalError(error));
      return this.next();
    }
    if (decision.kind === "elsewhere") this.#leave();
    this.#world.timers.after(between(this.#world.random, 1, 300), () => this.#attempt(sending, recorded, startedAt));
  }

  /** A connection to the leader, or to whichever coordinator comes first where nobody leads. */
  #connected(): { readonly asking: Asking; readonly address: string; epoch: number } {
    if (this.#connection?.asking.usable === true) return this.#connection;
    const { coordinators, network, random } = this.#world;
    const leader = this.#host.anyCoordinator ? undefined : this.#world.leader;
    const address = leader?.process.name ?? pick(random, [...coordinators.keys()]) ?? "";
    this.#connection = { asking: new Asking(network, this.#process, address), address, epoch: 0 };
    return this.#connection;
  }

  #leave(): void {
    this.#connection?.asking.close();
    this.#connection = undefined;
  }
}

function errorOf({ status: _status, code, message, ...details }: Message): KvError {
  return new KvError(code as ErrorCode, String(message), details);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
