// Node: takes lines in, gives answers out; everything a storage node decides. Order of checks for a batch line: is it for this
// node (N1), does its leader still lead (N2), are its stamps current (N6), is this node a member (N7); then registers (N4, N5).
//
// A line that raises the fence or a stamp, or touches one that is being raised, is *parked*: the change is appended, and the line is
// looked at again, from the beginning, once the change is durable. So nothing is answered at a new epoch or stamp before
// everything accepted earlier is durable and visible (N3), and every answer is true of one instant (N8).
//
// Pure: events come in through `handle` with the time, effects are returned. Does not know sockets, disks or clocks.
import { unreachable } from "../../shared/assert.ts";
import { ERRORS, KvError } from "../../shared/errors.ts";
import { EPOCH_JUMP_MAX, NODE_PARKED_LINES_MAX, SLOTS } from "../../shared/limits.ts";
import type {
  AdoptRequest,
  BatchRequest,
  DataOp,
  HelloRequest,
  InitRequest,
  ListResult,
  NodeRequest,
  OpResult,
  PullOp,
} from "../../shared/protocol/node-messages.ts";
import { parseNodeRequest } from "../../shared/protocol/parse-node-request.ts";
import { negotiate } from "../../shared/protocol/version.ts";
import { slotOf } from "../../shared/slot.ts";
import { compare, format, highest, ZERO, type Stamp } from "../../shared/version.ts";
import { accept, prepare, type VoterDecision } from "../../shared/voter.ts";
import type { Engine, LogRecord } from "../engine/engine.ts";
import { Control } from "./control.ts";
import { changeSlots, install, purge, raises, remove, roles, staleSlot } from "./ownership.ts";
import { refuse } from "./refuse.ts";
import { asResult, notOwner, Registers, type Settled } from "./register.ts";
import { copyOf, digest, list, pullable, pullRequest } from "./transfer.ts";

/** A connection, by the number that the edge gave it. */
export type PeerNumber = number;

export type NodeEvent =
  /** Lines of one turn of one connection, in order. */
  | { readonly type: "lines"; readonly peer: PeerNumber; readonly lines: readonly Readonly<Record<string, unknown>>[] }
  | { readonly type: "durable"; readonly position: number }
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
  #effects: NodeEffect[] = [];
  /** In order of `until`, since positions only grow. */
  #parked: Parked[] = [];
  #waiting: Waiting[] = [];
  readonly #pulls = new Map<number, Pull>();
  #calls = 0;
  #leader: string | undefined;
  #draining = false;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#control = new Control(engine);
    this.#registers = new Registers(engine, this.#control);
  }

  /** Events in, effects out, in the order in which they are to be carried out. */
  handle(event: NodeEvent): NodeEffect[] {
    switch (event.type) {
      case "lines":
        for (const line of event.lines) this.#line(event.peer, line);
        break;
      case "durable":
        this.#reached(event.position);
        break;
      case "answer":
        this.#pulled(event.call, event.answer);
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

  /** What operators see of this node. */
  status(): Readonly<Record<string, unknown>> {
    const { identity, fence, slots } = this.#control.state;
    const totals = { keys: 0, tombstones: 0, bytes: 0, slots: 0 };
    for (let slot = 0; slot < SLOTS; slot++) {
      if (slots[slot]?.role !== "member") continue;
      const { keys, tombstones, bytes } = this.#engine.summary(slot);
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
        return this.#hello(peer, line);
      case "ping":
        return this.#answer(peer, line.id, { status: "ok" }, 0);
      case "stats":
        return this.#answer(peer, line.id, { status: "ok", ...this.status() }, 0);
      case "init":
        return this.#init(peer, line);
      case "adopt":
        return this.#adopt(peer, line);
      case "inspect":
        return this.#answer(peer, line.id, this.#inspection(), this.#control.voterUntil);
      case "prepare":
        this.#checkVoter(line.cluster, line.voter);
        return this.#vote(peer, line.id, () => prepare(this.#control.state.voter, line.epoch, line.owner));
      case "accept":
        this.#checkVoter(line.cluster, line.voter);
        return this.#vote(peer, line.id, () => accept(this.#control.state.voter, line));
      case "misdirected":
        throw new KvError(
          "NOT_LEADER",
          `a storage node does not answer ${line.wanted}: ask the coordinator`,
          this.#leaderHint(),
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
    if (this.#raiseFence(line.epoch) > this.#control.durable) return this.#park(peer, line);
    const { fence } = this.#control.state;
    if (line.epoch < fence)
      throw new KvError("FENCED", `epoch ${line.epoch} is over, this node is at ${fence}`, { fence });
    if (this.#raiseStamps(line.ops) > this.#control.durable) return this.#park(peer, line);
    const [first] = line.ops;
    if (first?.op === "pull") return this.#pull(peer, line, first);
    let until = 0;
    const results: OpResult[] = [];
    for (const op of line.ops) {
      const { result, position } = this.#operation(op);
      results.push(result);
      if (position > until) until = position;
    }
    this.#answer(peer, line.id, { status: "ok", results }, until);
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

  /** N2. Returns the position at which the fence is durable. */
  #raiseFence(epoch: number): number {
    const { fence } = this.#control.state;
    if (epoch > fence + EPOCH_JUMP_MAX) {
      throw new KvError("BAD_REQUEST", `epoch: ${epoch} is more than ${EPOCH_JUMP_MAX} above the fence ${fence}`);
    }
    if (epoch > fence) this.#control.append([{ type: "fence", group: 0, epoch }]);
    return this.#control.groupUntil;
  }

  /** N6. Raises the stamps that are news; returns the position at which all that the operations touch is durable. */
  #raiseStamps(ops: readonly DataOp[]): number {
    const raised = new Map<number, Stamp>();
    for (const op of ops) {
      forEachStamp(op, (slot, stamp) => {
        if (raises(this.#control, slot, stamp)) raised.set(slot, highest(stamp, raised.get(slot) ?? ZERO));
      });
    }
    if (raised.size > 0) this.#control.append(stampRecords(raised));
    let until = 0;
    for (const op of ops) {
      forEachSlot(op, (slot) => {
        const position = this.#control.slotUntil(slot);
        if (position > until) until = position;
      });
    }
    return until;
  }

  #operation(op: DataOp): Settled<OpResult> {
    switch (op.op) {
      case "read":
        return now(this.#stale(op.slot, op.stamp) ?? this.#misplaced(op) ?? this.#registers.read(op));
      case "write":
      case "copy": {
        const refusal = this.#stale(op.slot, op.stamp) ?? this.#misplaced(op);
        return refusal ? now(refusal) : this.#registers.write(op);
      }
      case "seal":
      case "incoming":
      case "copied":
      case "drop":
        return changeSlots(this.#control, op);
      case "install":
        return install(this.#control, op);
      case "remove": {
        const refusal = this.#stale(op.slot, op.stamp);
        return refusal ? now(refusal) : remove(this.#control, op);
      }
      case "purge":
        return purge(this.#control, op);
      case "digest":
        return now(this.#staleAny(op.slots, op.stamps) ?? digest(this.#engine, this.#control, op));
      case "list":
        return now(this.#staleAny(op.slots, op.stamps) ?? list(this.#engine, this.#control, op));
      case "roles":
        return { result: roles(this.#control), position: this.#control.appended };
      case "pull":
        return now(refuse("BAD_REQUEST", "pull: must be the only operation of its line"));
      default:
        return unreachable(op);
    }
  }

  #stale(slot: number, stamp: Stamp): OpResult | undefined {
    const floor = this.#control.floor(slot);
    return compare(stamp, floor) < 0 ? staleSlot(slot, floor) : undefined;
  }

  #staleAny(slots: readonly number[], stamps: readonly Stamp[]): OpResult | undefined {
    for (const [index, slot] of slots.entries()) {
      const refusal = this.#stale(slot, stamps[index] ?? ZERO);
      if (refusal) return refusal;
    }
    return undefined;
  }

  /** A key in the wrong slot would live twice: our own bug, refused before it does harm. */
  #misplaced(op: { readonly slot: number; readonly key: string }): OpResult | undefined {
    const slot = slotOf(op.key, this.#control.state.identity.seed ?? 0);
    return slot === op.slot
      ? undefined
      : refuse("BAD_REQUEST", `slot: the key belongs to slot ${slot}, not ${op.slot}`);
  }

  // Pulls.

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
    const stale = op.slots.map((slot) => this.#stale(slot, op.stamp)).find((found) => found !== undefined);
    return stale ?? pullable(this.#control, op);
  }

  #storePage({ peer, line, op }: Pull, page: ListResult): void {
    let until = 0;
    let bytes = 0;
    for (const row of page.entries) {
      const { result, position } = this.#registers.write(copyOf(row, op));
      // A forwarded write may have brought something newer: that is fine, the reconciliation sees both.
      const failed = result.status === "error" && result.code !== "SUPERSEDED";
      if (failed) return this.#answer(peer, line.id, { status: "ok", results: [result] }, 0);
      if (position > until) until = position;
      bytes += row[1].length + (typeof row[5] === "string" ? row[5].length : 0);
    }
    const result = { status: "ok", keys: page.entries.length, bytes, ...(page.next && { next: page.next }) };
    this.#answer(peer, line.id, { status: "ok", results: [result] }, until);
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

  #hello(peer: PeerNumber, line: HelloRequest): void {
    const { identity, fence } = this.#control.state;
    const body = {
      status: "ok",
      protocol: negotiate(line.versions),
      role: "node",
      cluster: identity.cluster ?? null,
      node: identity.id ?? null,
      incarnation: identity.incarnation,
      fence,
      tailCut: this.#engine.tailCut,
      ...this.#leaderHint(),
    };
    if (line.leader !== undefined && line.cluster === identity.cluster) this.#leader = line.leader;
    this.#answer(peer, line.id, body, this.#control.groupUntil);
  }

  #inspection(): object {
    const { identity, fence, voter } = this.#control.state;
    return {
      status: "ok",
      cluster: identity.cluster ?? null,
      node: identity.id ?? null,
      incarnation: identity.incarnation,
      voter: voter ? (identity.id ?? null) : null,
      fence,
      promised: voter?.promised ?? 0,
      ballot: voter?.ballot ?? ZERO,
      state: voter?.state ?? "",
    };
  }

  /** C0. */
  #init(peer: PeerNumber, line: InitRequest): void {
    const { identity } = this.#control.state;
    if (identity.cluster !== undefined && identity.cluster !== line.cluster) throw taken(identity.id, identity.cluster);
    if (identity.cluster === undefined) {
      const { cluster, node: id, seed, owner, ballot, state } = line;
      this.#control.append([
        { type: "identity", identity: { incarnation: identity.incarnation, cluster, id, seed } },
        { type: "fence", group: 0, epoch: ballot[0] },
        { type: "promise", epoch: ballot[0], owner },
        { type: "accept", ballot, state },
      ]);
    }
    this.#answer(peer, line.id, { status: "ok", incarnation: identity.incarnation }, this.#control.appended);
  }

  #adopt(peer: PeerNumber, line: AdoptRequest): void {
    const { identity, slots } = this.#control.state;
    const { cluster, node: id, seed } = line;
    if (line.incarnation !== identity.incarnation) throw new KvError("WRONG_NODE", "this is another incarnation");
    if (identity.cluster !== undefined && identity.cluster !== cluster) throw taken(identity.id, identity.cluster);
    if (line.epoch < this.#control.state.fence) {
      throw new KvError("FENCED", `epoch ${line.epoch} is over`, { fence: this.#control.state.fence });
    }
    if (identity.id !== id) {
      if (slots.some(({ role }) => role !== "none")) throw taken(identity.id, cluster);
      this.#control.append([{ type: "identity", identity: { incarnation: identity.incarnation, cluster, id, seed } }]);
    }
    this.#raiseFence(line.epoch);
    this.#answer(peer, line.id, { status: "ok" }, this.#control.groupUntil);
  }

  #checkVoter(cluster: string, voter: string): void {
    const { identity } = this.#control.state;
    if (identity.cluster !== cluster || identity.id !== voter) {
      throw new KvError(
        "WRONG_NODE",
        `this is node ${identity.id ?? "(blank)"} of cluster ${identity.cluster ?? "(none)"}`,
      );
    }
  }

  #vote(peer: PeerNumber, id: number, decide: () => VoterDecision): void {
    try {
      const { changes, answer } = decide();
      if (changes.length > 0) this.#control.append(changes);
      this.#answer(peer, id, { status: "ok", fence: this.#control.state.fence, ...answer }, this.#control.voterUntil);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      this.#answer(peer, id, errorAnswer(error), this.#control.voterUntil);
    }
  }

  #leaderHint(): { leader?: string } {
    return this.#leader === undefined ? {} : { leader: this.#leader };
  }
}

function now<T>(result: T): Settled<T> {
  return { result, position: 0 };
}

function taken(id: string | undefined, cluster: string): KvError {
  return new KvError(
    "NODE_TAKEN",
    `the node is ${id ?? "a node"} of cluster ${cluster} and holds its data: start it with an empty --data-dir`,
  );
}

/** An error as the rest of an answer. */
export function errorAnswer(error: KvError): object {
  const { outcome, retryable } = ERRORS[error.code];
  return { status: "error", code: error.code, message: error.message, retryable, outcome, ...error.details };
}

/** Operations whose stamp raises the slot's by itself; the steps of a re-seating do it with the role (N7). */
function forEachStamp(op: DataOp, visit: (slot: number, stamp: Stamp) => void): void {
  if (op.op === "read" || op.op === "write" || op.op === "copy" || op.op === "remove") visit(op.slot, op.stamp);
  else if (op.op === "seal") for (const slot of op.slots) visit(slot, op.stamp);
  else if (op.op === "digest" || op.op === "list")
    op.slots.forEach((slot, index) => visit(slot, op.stamps[index] ?? ZERO));
}

function forEachSlot(op: DataOp, visit: (slot: number) => void): void {
  if (op.op === "roles") return;
  if ("slot" in op) visit(op.slot);
  else for (const slot of op.slots) visit(slot);
}

/** One record for all slots that rise to the same stamp. */
function stampRecords(raised: ReadonlyMap<number, Stamp>): LogRecord[] {
  const byStamp = new Map<string, { type: "stamp"; slots: number[]; stamp: Stamp }>();
  for (const [slot, stamp] of raised) {
    const name = format(stamp);
    const record = byStamp.get(name);
    if (record) record.slots.push(slot);
    else byStamp.set(name, { type: "stamp", slots: [slot], stamp });
  }
  return [...byStamp.values()];
}

/** The page in a source's answer, or why there is none. */
function pageOf(answer: Readonly<Record<string, unknown>> | null): OpResult {
  if (answer === null) return refuse("NODE_UNREACHABLE", "the source of the copy did not answer");
  if (answer["status"] === "error") return answer as unknown as OpResult;
  const [page] = answer["results"] as OpResult[];
  return page ?? refuse("NODE_UNREACHABLE", "the source of the copy answered nothing");
}
