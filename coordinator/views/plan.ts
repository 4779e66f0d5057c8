// Plan: what a topology operation would move, slot by slot, were it the only one and begun now. Refused as the operation itself would be;
// nothing is changed and nobody is asked but for the sizes of slots. Whether a new node answers is found out by adding it.
import { effectiveCopies, type ClusterState } from "../../shared/cluster-state.ts";
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { PlanAnswer, TopologyChange } from "../../shared/protocol/client-messages.ts";
import type { Script } from "../../shared/script.ts";
import { planMoves, summarise, type MoveSummary } from "../ring/plan.ts";
import { finished, imagined, underReplicated } from "../rebalance/change.ts";
import { commandOf } from "../rebalance/progress.ts";
import type { Leader } from "../leader.ts";

type Body = Omit<PlanAnswer, "id">;
type Table = readonly (readonly NodeId[])[];

/** A change against the state as it is. */
export function* plan(leader: Leader, change: TopologyChange): Script<Body | KvError> {
  const moves = leader.topology.planned(change);
  if (moves instanceof KvError) return moves;
  const before = leader.state;
  const after = finished(imagined(before, change), change);
  const goal = new Map(moves.map(({ slot, members }) => [slot, members]));
  const old: Table = before.slots.map(({ members }) => members);
  const next: Table = old.map((members, slot) => goal.get(slot) ?? members);
  const load = yield* leader.loads();
  const summary = summarise(planMoves(old, next), load);
  return {
    status: "ok",
    command: commandOf(change),
    slots: summary.slotsChanged,
    keys: summary.keysMoved,
    bytes: summary.bytesMoved,
    copiesBefore: effectiveCopies(before.rf, before.members.length),
    copiesAfter: effectiveCopies(after.rf, after.members.length),
    nodes: nodesOf([...before.members, ...after.members], { old, next, summary }),
    notes: [...notesOf(leader, before, change), ...[underReplicated(after)].filter((note) => note !== undefined)],
  };
}

function nodesOf(
  members: readonly { readonly id: NodeId }[],
  { old, next, summary }: { readonly old: Table; readonly next: Table; readonly summary: MoveSummary<NodeId> },
): PlanAnswer["nodes"] {
  const slotsBefore = placements(old);
  const slotsAfter = placements(next);
  const moved = new Map(summary.nodes.map((node) => [node.id, node]));
  const nothing = { slotsIn: 0, slotsOut: 0, keysIn: 0, keysOut: 0, bytesIn: 0, bytesOut: 0 };
  return [...new Set(members.map(({ id }) => id))].map((id) => ({
    slotsBefore: slotsBefore.get(id) ?? 0,
    slotsAfter: slotsAfter.get(id) ?? 0,
    ...nothing,
    ...moved.get(id),
    id,
  }));
}

/** Slots of each node. */
function placements(table: Table): Map<NodeId, number> {
  const counts = new Map<NodeId, number>();
  for (const members of table) for (const id of members) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/** What to know before doing it. */
function notesOf(leader: Leader, { operations, slots }: ClusterState, change: TopologyChange): string[] {
  const notes: string[] = [];
  if (operations.length > 0) {
    const count = operations.length === 1 ? "1 operation runs or waits" : `${operations.length} operations run or wait`;
    notes.push(`${count} before this one: what is left to move then may differ`);
  }
  if (change.op !== "removenode" || leader.peers.get(change.node)?.up === true) return notes;
  const only = slots.filter(({ members }) => members.length === 1 && members[0] === change.node).length;
  if (only > 0 && change.force !== true) {
    notes.push(`${only} slots have their only copy on ${change.node}, which does not answer: this would wait for it`);
  } else if (only > 0) {
    notes.push(`${only} slots have their only copy on ${change.node}, which does not answer: --force would lose them`);
  }
  return notes;
}
