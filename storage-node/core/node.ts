// Node: takes lines in, gives answers out; everything a storage node decides. Order of checks for a batch line: is it for this
// node (N1), does its leader still lead (N2), are its stamps current (N6), is this node a member (N7); then registers (N4, N5).
//
// A line that raises the fence or a stamp, or touches one that is being raised, is *parked*: the change is appended, and the line is
// looked at again, from the beginning, once the change is durable. So nothing is answered at a new epoch or stamp before
// everything accepted earlier is durable and visible (N3), and every answer is true of one instant (N8).
//
// Pure: events come in through `handle` with the time, effects are returned. Does not know sockets, disks or clocks.
import { unreachable } from "../../shared/assert.ts";
import { errorAnswer, KvError } from "../../shared/errors.ts";
import { NODE_PARKED_LINES_MAX, SLOTS } from "../../shared/limits.ts";
import type {
  BatchRequest,
  ListResult,
  NodeRequest,
  OpResult,
  ProbeRequest,
  PullOp,
} from "../../shared/protocol/node-messages.ts";
import { foundFields } from "../../shared/protocol/compact.ts";
import { parseNodeRequest } from "../../shared/protocol/parse-node-request.ts";
import { slotOf } from "../../shared/slot.ts";
import type { Engine } from "../engine/engine.ts";
import { Control } from "./control.ts";
import { Introductions } from "./introductions.ts";
import { refuse } from "./refuse.ts";
import { asResult, Horizon, notOwner, OK, Registers } from "./register.ts";
import { SlotOperations } from "./slot-operations.ts";
import { copyOf, pullable, pullRequest } from "./transfer.ts";
import { Voting, type Introduction } from "./voting.ts";

/** A connection, by the number that the edge gave it. */
export type PeerNumber = number;

export type NodeEvent =
  /** Lines of one turn of one connection, in order. */
  | { readonly type: "lines"; readonly peer: PeerNumber; readonly lines: readonly Readonly<Record<string, unknown>>[] }
  | { readonly type: "durable"; readonly position: number }
  /** A connection closed. */
  | { readonly type: "gone"; readonly peer: PeerNumber }
  /** Answer to a `call` effect; null when the connection or the time was lost. */
  | { readonly type: "answer"; readonly call: number; readonly answer: Readonly<Record<string, unknown>> | null };

export type NodeEffect =
  | { readonly type: "answer"; readonly peer: PeerNumber; readonly message: object }
  /** Ask another node; its answer comes back as an event. */
  | { readonly type: "call"; readonly call: number; readonly address: string; readonly request: object };

interface Parked {
  readonly until: number;
  readonly peer: PeerNumber;
  readonly line: NodeRequest;
}

interface Waiting {
  readonly until: number;
  readonly peer: PeerNumber;
  readonly message: object;
}

interface Pull {
  readonly peer: PeerNumber;
  readonly line: BatchRequest;
  readonly op: PullOp;
}

export class StorageNode {
  readonly #engine: Engine;
  readonly #control: Control;
  readonly #registers: Registers;
  readonly #operations: SlotOperations;
  readonly #introductions: Introductions;
  readonly #voting: Voting;
  #now = 0;
  #effects: NodeEffect[] = [];
  /** In order of `until`, since positions only grow. */
  #parked: Parked[] = [];
  #waiting: Waiting[] = [];
  readonly #pulls = new Map<number, Pull>();
  /** Who waits to hear whether another node answers us. */
  readonly #probes = new Map<number, { readonly peer: PeerNumber; readonly id: number }>();
  #calls = 0;
  #draining = false;

  /** @param without Rules switched off, by the mutation check of the simulator only. */
  constructor(engine: Engine, without: ReadonlySet<string> = new Set()) {
    this.#engine = engine;
    this.#control = new Control(engine, without);
    this.#registers = new Registers(engine, this.#control);
    this.#operations = new SlotOperations(engine, this.#control, this.#registers);
    this.#voting = new Voting(this.#control);
    this.#introductions = new Introductions(engine, this.#control, this.#voting, (epoch) =>
      this.#operations.raiseFence(epoch),
    );
  }

  /**
   * Events in, effects out, in the order in which they are to be carried out.
   * @param now Milliseconds of a monotonic clock: only what is known of the leader's life depends on it.
   */
  handle(event: NodeEvent, now = this.#now): NodeEffect[] {
    this.#now = now;
    switch (event.type) {
      case "lines":
        for (const line of event.lines) this.#line(event.peer, line);
        break;
      case "durable":
        this.#reached(event.position);
        break;
      case "answer":
        this.#called(event.call, event.answer);
        break;
      case "gone":
        this.#voting.connectionGone(event.peer, now);
        break;
      default:
        unreachable(event);
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** From now on new lines are refused; what was taken is answered. */
  drain(): void {
    this.#draining = true;
  }

  /** Whether everything taken was answered. */
  get idle(): boolean {
    return this.#waiting.length === 0 && this.#parked.length === 0 && this.#pulls.size === 0;
  }

  get identity(): Engine["recovered"]["identity"] {
    return this.#control.state.identity;
  }

  /** Where the leader takes clients, as far as this node knows. */
  get leader(): string | undefined {
    return this.#voting.leaderHint().leader;
  }

  /** What operators see of this node; what it holds, as it was counted last. */
  status(): Readonly<Record<string, unknown>> {
    const { identity, fence, slots } = this.#control.state;
    const totals = { keys: 0, tombstones: 0, bytes: 0, slots: 0 };
    for (let slot = 0; slot < SLOTS; slot++) {
      if (slots[slot]?.role !== "member") continue;
      const { keys, tombstones, bytes } = this.#engine.lastSummary(slot);
      totals.keys += keys;
      totals.tombstones += tombstones;
      totals.bytes += bytes;
      totals.slots++;
    }
    const { diskFull, tailCut } = this.#engine;
    const pendingWrites = this.#registers.pendingWrites;
    return {
      node: identity.id ?? null,
      incarnation: identity.incarnation,
      fence,
      ...totals,
      pendingWrites,
      diskFull,
      tailCut,
    };
  }

  #line(peer: PeerNumber, raw: Readonly<Record<string, unknown>>): void {
    try {
      if (this.#draining) throw new KvError("SHUTTING_DOWN", "the node is shutting down: try another replica");
      this.#dispatch(peer, parseNodeRequest(raw));
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      const id = typeof raw["id"] === "number" ? raw["id"] : null;
      this.#answer(peer, id, errorAnswer(error), 0);
    }
  }

  /** @throws KvError what the line is refused with */
  #dispatch(peer: PeerNumber, line: NodeRequest): void {
    switch (line.op) {
      case "batch":
        return this.#batch(peer, line);
      case "read":
        return this.#directRead(peer, line);
      case "hello":
        return this.#introduce(peer, line.id, this.#introductions.hello(line));
      case "ping":
        return this.#answer(peer, line.id, { status: "ok" }, 0);
      case "stats":
        return this.#answer(peer, line.id, { status: "ok", ...this.status() }, 0);
      case "init":
        return this.#introduce(peer, line.id, this.#introductions.init(line));
      case "adopt":
        return this.#introduce(peer, line.id, this.#introductions.adopt(line));
      case "inspect":
        return this.#introduce(peer, line.id, this.#voting.inspection());
      case "prepare":
        return this.#introduce(peer, line.id, this.#voting.prepare(line));
      case "accept":
        return this.#introduce(peer, line.id, this.#voting.accept(line));
      case "prevote":
        return this.#introduce(peer, line.id, this.#voting.prevote(line, this.#now));
      case "heartbeat":
        return this.#introduce(peer, line.id, this.#voting.heartbeat(line, peer, this.#now));
      case "learn":
        return this.#introduce(peer, line.id, this.#voting.learn(line));
      case "probe":
        return this.#probe(peer, line);
      case "misdirected":
        throw new KvError(
          "NOT_LEADER",
          `a storage node does not answer ${line.wanted}: ask the coordinator`,
          this.#voting.leaderHint(),
        );
      default:
        unreachable(line);
    }
  }

  // Answers and waiting.

  #answer(peer: PeerNumber, id: number | null, body: object, until: number): void {
    const message = { id, ...body };
    if (until <= this.#control.durable) this.#effects.push({ type: "answer", peer, message });
    // Positions that are waited for are rounded up to the newest, which keeps the queue in order.
    else this.#waiting.push({ until: this.#control.appended, peer, message });
  }

  #introduce(peer: PeerNumber, id: number, { body, until }: Introduction): void {
    this.#answer(peer, id, body, until);
  }

  #park(peer: PeerNumber, line: NodeRequest): void {
    if (this.#parked.length >= NODE_PARKED_LINES_MAX)
      throw new KvError("OVERLOADED", "too many lines wait for the disk");
    this.#parked.push({ until: this.#control.appended, peer, line });
  }

  #reached(position: number): void {
    this.#control.reached(position);
    this.#registers.reached(position);
    const ready = this.#waiting.findIndex(({ until }) => until > position);
    const released = this.#waiting.splice(0, ready < 0 ? this.#waiting.length : ready);
    for (const { peer, message } of released) this.#effects.push({ type: "answer", peer, message });
    const parked = this.#parked.findIndex(({ until }) => until > position);
    for (const { peer, line } of this.#parked.splice(0, parked < 0 ? this.#parked.length : parked))
      this.#again(peer, line);
  }

  #again(peer: PeerNumber, line: NodeRequest): void {
    try {
      this.#dispatch(peer, line);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      this.#answer(peer, line.id, errorAnswer(error), 0);
    }
  }

  // Batch lines.

  #batch(peer: PeerNumber, line: BatchRequest): void {
    this.#checkIdentity(line);
    const { without } = this.#control;
    if (!without.has("N2")) {
      const fenceUntil = this.#operations.raiseFence(line.epoch);
      if (fenceUntil > this.#control.durable && !without.has("N3")) return this.#park(peer, line);
      const { fence } = this.#control.state;
      if (line.epoch < fence)
        throw new KvError("FENCED", `epoch ${line.epoch} is over, this node is at ${fence}`, { fence });
    }
    const stampsUntil = this.#operations.raiseStamps(line.ops);
    if (stampsUntil > this.#control.durable && !without.has("N3")) return this.#park(peer, line);
    const [first] = line.ops;
    if (first?.op === "pull") return this.#pull(peer, line, first);
    const horizon = new Horizon();
    const results = this.#operations.performAll(line, horizon);
    this.#answer(peer, line.id, bodyOf(line, results), horizon.position);
  }

  /** N1. */
  #checkIdentity(line: { readonly cluster: string; readonly node: string; readonly incarnation: string }): void {
    const { cluster, id, incarnation } = this.#control.state.identity;
    if (line.cluster === cluster && line.node === id && line.incarnation === incarnation) return;
    const what = line.cluster !== cluster ? "cluster" : line.node !== id ? "node id" : "incarnation";
    throw new KvError(
      "WRONG_NODE",
      `this is another ${what}: node ${id ?? "(blank)"}, cluster ${cluster ?? "(none)"}`,
      {
        node: id ?? null,
        incarnation,
      },
    );
  }

  // Calls to other nodes.

  #called(call: number, answer: Readonly<Record<string, unknown>> | null): void {
    const probe = this.#probes.get(call);
    if (!probe) return this.#pulled(call, answer);
    this.#probes.delete(call);
    this.#answer(probe.peer, probe.id, { status: "ok", reachable: answer?.["status"] === "ok" }, 0);
  }

  #probe(peer: PeerNumber, { id, address }: ProbeRequest): void {
    const call = ++this.#calls;
    this.#probes.set(call, { peer, id });
    this.#effects.push({ type: "call", call, address, request: { op: "ping" } });
  }

  #pull(peer: PeerNumber, line: BatchRequest, op: PullOp): void {
    const refusal =
      line.ops.length > 1
        ? refuse("BAD_REQUEST", "pull: must be the only operation of its line")
        : pullable(this.#control, op);
    if (refusal) return this.#answer(peer, line.id, { status: "ok", results: [refusal] }, 0);
    const call = ++this.#calls;
    this.#pulls.set(call, { peer, line, op });
    this.#effects.push({ type: "call", call, address: op.source.address, request: pullRequest(line, op) });
  }

  #pulled(call: number, answer: Readonly<Record<string, unknown>> | null): void {
    const pull = this.#pulls.get(call);
    if (!pull) return;
    this.#pulls.delete(call);
    const page = pageOf(answer);
    const refusal = this.#pullRefusal(pull) ?? ("status" in page && page.status === "error" ? page : undefined);
    if (refusal) return this.#answer(pull.peer, pull.line.id, { status: "ok", results: [refusal] }, 0);
    this.#storePage(pull, page as ListResult);
  }

  /** The world may have moved on while the page was on its way. */
  #pullRefusal({ line, op }: Pull): OpResult | undefined {
    const { fence } = this.#control.state;
    if (line.epoch < fence) return refuse("FENCED", `epoch ${line.epoch} is over, this node is at ${fence}`, { fence });
    const stale = op.slots.map((slot) => this.#operations.stale(slot, op.stamp)).find((found) => found !== undefined);
    return stale ?? pullable(this.#control, op);
  }

  #storePage({ peer, line, op }: Pull, page: ListResult): void {
    const horizon = new Horizon();
    let bytes = 0;
    for (const row of page.entries) {
      const result = this.#registers.write(copyOf(row, op), horizon);
      // A forwarded write may have brought something newer: that is fine, the reconciliation sees both.
      const failed = result.status === "error" && result.code !== "SUPERSEDED";
      if (failed) return this.#answer(peer, line.id, { status: "ok", results: [result] }, 0);
      bytes += row[1].length + (typeof row[5] === "string" ? row[5].length : 0);
    }
    const result = { status: "ok", keys: page.entries.length, bytes, ...(page.next && { next: page.next }) };
    this.#answer(peer, line.id, { status: "ok", results: [result] }, horizon.position);
  }

  // Everything else.

  /** Level one, straight from here: any durable member answers, fenced and sealed or not. */
  #directRead(peer: PeerNumber, line: Extract<NodeRequest, { op: "read" }>): void {
    const { seed } = this.#control.state.identity;
    const slot = slotOf(line.key, seed ?? 0);
    if (this.#control.slotUntil(slot) > this.#control.durable) return this.#park(peer, line);
    if (this.#control.slot(slot).role !== "member") return this.#answer(peer, line.id, notOwner(slot), 0);
    this.#answer(peer, line.id, asResult(this.#engine.read(slot, line.key)), 0);
  }
}

/** What a batch line is answered with. */
function bodyOf({ form }: BatchRequest, results: readonly OpResult[]): object {
  if (form !== "reads") return results.length > 1 && results.every(isPlain) ? OK : { status: "ok", results };
  const found = foundFields(results);
  return found ? { status: "ok", found } : { status: "ok", results };
}

/** Whether a result says nothing but that it is ok. */
function isPlain(result: OpResult): boolean {
  return result === OK;
}

/** The page in a source's answer, or why there is none. */
function pageOf(answer: Readonly<Record<string, unknown>> | null): OpResult {
  if (answer === null) return refuse("NODE_UNREACHABLE", "the source of the copy did not answer");
  if (answer["status"] === "error") return answer as unknown as OpResult;
  const [page] = answer["results"] as OpResult[];
  return page ?? refuse("NODE_UNREACHABLE", "the source of the copy answered nothing");
}
