// Plan: what going from one slot table to another would move, slot by slot, and added up per node. It serves the
// `plan` commands (a dry run) and is the work list of a rebalance. Order inside a list is not a move: no data follows.
import { assert } from "../../shared/assert.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { SlotTable } from "./placement.ts";

/** One slot whose set of members differs between two tables. */
export interface SlotMove<Id extends string = string> {
  readonly slot: number;
  /** As listed before, members that are gone included. */
  readonly oldMembers: readonly Id[];
  readonly newMembers: readonly Id[];
  /** In the new list only: each has to receive the slot. */
  readonly added: readonly Id[];
  /** In the old list only: each gives the slot up, or is gone. */
  readonly removed: readonly Id[];
}

/** What one slot holds: keys, and the bytes of their entries. */
export interface SlotSize {
  readonly keys: number;
  readonly bytes: number;
}

export interface NodeMoves<Id extends string = string> {
  readonly id: Id;
  readonly slotsIn: number;
  readonly slotsOut: number;
  readonly keysIn: number;
  readonly keysOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface MoveSummary<Id extends string = string> {
  /** Nodes that receive or give up anything, sorted by id. */
  readonly nodes: readonly NodeMoves<Id>[];
  /** Slots whose members change. */
  readonly slotsChanged: number;
  /** Copies made: a slot that gains two replicas counts twice here and in keys and bytes; giving up counts nothing. */
  readonly slotsMoved: number;
  readonly keysMoved: number;
  readonly bytesMoved: number;
}

/** Who is in the new list only, who in the old one only, and who in both. */
export function difference<Id extends string>(
  oldMembers: readonly Id[],
  newMembers: readonly Id[],
): { readonly kept: readonly Id[]; readonly added: readonly Id[]; readonly removed: readonly Id[] } {
  return {
    kept: newMembers.filter((id) => oldMembers.includes(id)),
    added: newMembers.filter((id) => !oldMembers.includes(id)),
    removed: oldMembers.filter((id) => !newMembers.includes(id)),
  };
}

/** The slots whose member *sets* differ, ascending. Either table may be `[]`, for a cluster without one. */
export function planMoves<Id extends string>(old: SlotTable<Id>, next: SlotTable<Id>): SlotMove<Id>[] {
  for (const table of [old, next]) assert(table.length === 0 || table.length === SLOTS, "a table is empty or whole");
  const moves: SlotMove<Id>[] = [];
  for (let slot = 0; slot < SLOTS; slot++) {
    const oldMembers = old[slot] ?? [];
    const newMembers = next[slot] ?? [];
    const { added, removed } = difference(oldMembers, newMembers);
    if (added.length + removed.length > 0) moves.push({ slot, oldMembers, newMembers, added, removed });
  }
  return moves;
}

/**
 * Adds moves up, per node and in all.
 * @param perSlot Size of one replica of a slot; asked once for each move.
 */
export function summarise<Id extends string>(
  moves: readonly SlotMove<Id>[],
  perSlot: (slot: number) => SlotSize,
): MoveSummary<Id> {
  const totals = new Map<Id, { in: Tally; out: Tally }>();
  const of = (id: Id): { in: Tally; out: Tally } => {
    const known = totals.get(id) ?? { in: emptyTally(), out: emptyTally() };
    totals.set(id, known);
    return known;
  };
  const moved = emptyTally();
  for (const move of moves) {
    const size = perSlot(move.slot);
    for (const id of move.added) for (const tally of [of(id).in, moved]) count(tally, size);
    for (const id of move.removed) count(of(id).out, size);
  }
  const nodes = [...totals].map(([id, total]) => ({
    id,
    slotsIn: total.in.slots,
    slotsOut: total.out.slots,
    keysIn: total.in.keys,
    keysOut: total.out.keys,
    bytesIn: total.in.bytes,
    bytesOut: total.out.bytes,
  }));
  return {
    nodes: nodes.sort((left, right) => (left.id < right.id ? -1 : 1)),
    slotsChanged: moves.length,
    slotsMoved: moved.slots,
    keysMoved: moved.keys,
    bytesMoved: moved.bytes,
  };
}

interface Tally {
  slots: number;
  keys: number;
  bytes: number;
}

function emptyTally(): Tally {
  return { slots: 0, keys: 0, bytes: 0 };
}

function count(tally: Tally, size: SlotSize): void {
  tally.slots++;
  tally.keys += size.keys;
  tally.bytes += size.bytes;
}
