// Attempt: who is concerned by moving a batch of slots at one stamp S, and the messages for many slots at once. The steps themselves are
// in precopy.ts (M1), seal.ts (M2), reconcile.ts (M3) and reseat.ts (M4, M5).
import { withPlacements, type ClusterState, type Placement } from "../../shared/cluster-state.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { DataOp, OpResult, SlotsOp, SlotsResult } from "../../shared/protocol/node-messages.ts";
import { all, Future, wait, type Script } from "../../shared/script.ts";
import type { Stamp, Version } from "../../shared/version.ts";
import { difference } from "../ring/plan.ts";
import { heedFence } from "../sequencer/context.ts";
import { Abort, peerOf, type Move, type RebalanceContext } from "./context.ts";

export const STEP_TIMEOUT_MS = 1_000;

/** One slot of an attempt. */
export interface SlotChange {
  readonly slot: number;
  readonly old: readonly NodeId[];
  readonly next: readonly NodeId[];
  readonly kept: readonly NodeId[];
  readonly added: readonly NodeId[];
  readonly removed: readonly NodeId[];
}

export interface Attempt {
  readonly context: RebalanceContext;
  readonly stamp: Stamp;
  readonly changes: readonly SlotChange[];
  /** What M3 wrote under fresh versions, by key. */
  readonly retags: Map<string, Version>;
  /** The change of the state that commits it (M4): of one state it makes one other, the same each time. */
  readonly placed: (state: ClusterState) => ClusterState;
}

export function newAttempt(context: RebalanceContext, moves: readonly Move[]): Attempt {
  const changes = moves.map(({ slot, members: next }): SlotChange => {
    const old = context.slots[slot]?.members ?? [];
    return { slot, old, next, ...difference(old, next) };
  });
  return attemptOf(context, context.nextStamp(), changes);
}

/** Some slots of an attempt, at its stamp. */
export function partOf({ context, stamp }: Attempt, changes: readonly SlotChange[]): Attempt {
  return attemptOf(context, stamp, changes);
}

function attemptOf(context: RebalanceContext, stamp: Stamp, changes: readonly SlotChange[]): Attempt {
  return { context, stamp, changes, retags: new Map(), placed: placing(changes, stamp) };
}

function placing(changes: readonly SlotChange[], stamp: Stamp): Attempt["placed"] {
  const placements = new Map(changes.map(({ slot, next }): [number, Placement] => [slot, { members: next, stamp }]));
  const made = new WeakMap<ClusterState, ClusterState>();
  return (state) => {
    const next = made.get(state) ?? withPlacements(state, placements);
    made.set(state, next);
    return next;
  };
}

/** Slots by the nodes that `who` names for each. */
export function byNode(
  changes: readonly SlotChange[],
  who: (change: SlotChange) => readonly NodeId[],
): Map<NodeId, number[]> {
  const slots = new Map<NodeId, number[]>();
  for (const change of changes) {
    for (const id of who(change)) {
      const list = slots.get(id);
      if (list) list.push(change.slot);
      else slots.set(id, [change.slot]);
    }
  }
  return slots;
}

/** Asks each node about its slots, side by side; `LOST` and `NODE_UNREACHABLE` come back as refusals. */
export function* askEach(
  context: RebalanceContext,
  slots: ReadonlyMap<NodeId, readonly number[]>,
  ask: (id: NodeId, slots: readonly number[]) => Future<OpResult>,
): Script<Map<NodeId, OpResult>> {
  const ids = [...slots.keys()];
  const answers = ids.map((id) => ask(id, slots.get(id) ?? []));
  const results = yield* heeded(context, answers);
  return new Map(ids.map((id, index) => [id, results[index] as OpResult]));
}

/** Waits for answers. @throws Abort where the leadership is over */
function* heeded(context: RebalanceContext, answers: readonly Future<OpResult>[]): Script<OpResult[]> {
  const results = yield* wait(all(answers));
  for (const result of results) heed(context, result);
  return results;
}

/** A fence ends the leadership. @throws Abort where that is over */
export function heed(context: RebalanceContext, result: OpResult): void {
  heedFence(context.writing, result);
  if (!context.active()) throw new Abort("the leadership ended");
}

/** One step for many slots at the attempt's stamp. */
export function slotsStep(
  attempt: Attempt,
  op: SlotsOp["op"],
): (id: NodeId, slots: readonly number[]) => Future<OpResult> {
  return (id, slots) => askPeer(attempt.context, id, { op, slots, stamp: attempt.stamp });
}

/** One operation at a node; who is no member any more does not answer. */
export function askPeer(
  context: RebalanceContext,
  id: NodeId,
  op: DataOp,
  timeoutMs: number = STEP_TIMEOUT_MS,
): Future<OpResult> {
  const peer = context.peers.get(id);
  if (peer) return peer.link.ask(op, timeoutMs);
  const gone = new Future<OpResult>();
  gone.resolve({ status: "error", code: "NODE_UNREACHABLE", message: `node ${id} is no member` });
  return gone;
}

/** One step at several nodes, for the slots of each: asked for at once, and waited for when it is needed. */
export class AskedStep {
  readonly #context: RebalanceContext;
  readonly #op: SlotsOp["op"];
  readonly #slots: ReadonlyMap<NodeId, readonly number[]>;
  readonly #answers: Future<OpResult>[];

  /** @throws Abort where one of them is no member */
  constructor(attempt: Attempt, op: SlotsOp["op"], slots: ReadonlyMap<NodeId, readonly number[]>) {
    for (const id of slots.keys()) peerOf(attempt.context, id);
    this.#context = attempt.context;
    this.#op = op;
    this.#slots = slots;
    this.#answers = [...slots].map(([id, list]) => slotsStep(attempt, op)(id, list));
  }

  /** @throws Abort unless every node did the step for all its slots */
  *done(): Script<void> {
    const results = yield* heeded(this.#context, this.#answers);
    [...this.#slots].forEach(([id, slots], index) => {
      const result = results[index] as OpResult;
      if (accepted(result, slots).length < slots.length)
        throw new Abort(`node ${id} refused ${this.#op}: ${why(result)}`);
    });
  }
}

/** @throws Abort unless every node did the step for all its slots */
export function* everyone(
  attempt: Attempt,
  op: SlotsOp["op"],
  slots: ReadonlyMap<NodeId, readonly number[]>,
): Script<void> {
  yield* new AskedStep(attempt, op, slots).done();
}

/** The slots for which a step was done. */
export function accepted(result: OpResult, slots: readonly number[]): readonly number[] {
  if (result.status === "error") return [];
  const { refused = [] } = result as SlotsResult;
  if (refused.length === 0) return slots;
  const out = new Set(refused.map(([slot]) => slot));
  return slots.filter((slot) => !out.has(slot));
}

export function why(result: OpResult): string {
  if (result.status === "error") return `${result.code} ${result.message}`;
  const [first] = (result as SlotsResult).refused ?? [];
  return first ? `slot ${first[0]} ${first[1]}` : "";
}
