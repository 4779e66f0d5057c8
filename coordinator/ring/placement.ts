// Placement: the slot table, 4096 lists of members, made from the table before it, the live members and their weights.
//   1. targets     how many slots each member should hold                                      (targets.ts)
//   2. keep, drop, fill   keep what live members hold; from a list too long drop the member most over target; to one too
//                  short add the first member below target met clockwise on the ring (unless someone below target
//                  needs every slot it can still get)
//   3. balance     move slots until every member holds its target exactly                      (balance.ts)
//   4. first places   the first of a list is the preferred replica: spread without moving data (first-places.ts)
// Deterministic in (old table, members as a set, weights, copies, seed), so any coordinator computes the same table.
// Knows nothing of keys, sizes or racks, and copies nothing: what has to move is plan.ts, moving it is rebalance/.
import { assert } from "../../shared/assert.ts";
import { hash32 } from "../../shared/hash.ts";
import { NODES_MAX, SLOTS, WEIGHT_MAX } from "../../shared/limits.ts";
import { allSlots } from "../../shared/slot.ts";
import { Assignment } from "./assignment.ts";
import { balance } from "./balance.ts";
import { arrangeFirstPlaces } from "./first-places.ts";
import { buildRing, byId, firstTokenAt } from "./ring.ts";
import type { Ring, RingNode } from "./ring.ts";
import { slotTargets } from "./targets.ts";

/** Members of every slot, by slot number; the first of a list is the preferred replica. */
export type SlotTable<Id extends string = string> = readonly (readonly Id[])[];

export interface PlacementInput<Id extends string = string> {
  /** SLOTS lists of distinct ids, possibly naming members that are gone; `[]` (or empty lists) for a new cluster. */
  readonly old: SlotTable<Id>;
  /** Live members, in any order: at most NODES_MAX, ids distinct, weights above 0 and at most WEIGHT_MAX. */
  readonly members: readonly RingNode<Id>[];
  /** Replication factor wanted, at least 1; with fewer members every slot gets all of them. */
  readonly copies: number;
  /** The cluster's hash seed. */
  readonly seed: number;
}

/**
 * The table to go to. Every slot gets min(copies, members) distinct live members, every member exactly its target;
 * a slot whose set of members does not change keeps its list as it is. Without members every list is empty.
 */
export function place<Id extends string>(input: PlacementInput<Id>): Id[][] {
  const members = input.members.toSorted(byId);
  assertUsable(input, members);
  const copies = Math.min(input.copies, members.length);
  const table = new Assignment(keptByIndex(input.old, members), members.length);
  const targets = slotTargets(
    members.map((member, index) => ({ weight: member.weight, held: table.held(index) })),
    copies,
  );
  dropExcess(table, targets, copies);
  fillShort(table, targets, copies, { members, seed: input.seed });
  balance(table, {
    targets,
    memberHashes: members.map((member) => hash32(member.id, input.seed)),
    slotHashes: slotHashes(input.seed),
  });
  const lengths = input.old.map((list) => list.length);
  const lists = arrangeFirstPlaces({ table, lengthsBefore: lengths, targets, copies });
  return lists.map((list) => list.map((index) => members[index]!.id));
}

function assertUsable(input: PlacementInput, members: readonly RingNode[]): void {
  assert(input.old.length === 0 || input.old.length === SLOTS, "an old table is empty or has every slot");
  assert(Number.isInteger(input.copies) && input.copies >= 1, "copies is a whole number of at least 1");
  assert(members.length <= NODES_MAX, "members stay within NODES_MAX");
  for (const [index, member] of members.entries()) {
    assert(member.weight > 0 && member.weight <= WEIGHT_MAX, "a weight is above 0 and within WEIGHT_MAX");
    assert(member.id !== members[index + 1]?.id, "member ids are distinct");
  }
}

/** The old lists as member indices, without those who are gone. */
function keptByIndex(old: SlotTable, members: readonly RingNode[]): number[][] {
  const indexOf = new Map(members.map((member, index) => [member.id, index]));
  return Array.from({ length: SLOTS }, (_, slot) =>
    (old[slot] ?? []).map((id) => indexOf.get(id)).filter((index) => index !== undefined),
  );
}

function dropExcess(table: Assignment, targets: readonly number[], copies: number): void {
  const surplus = (member: number): number => table.held(member) - targets[member]!;
  for (let slot = 0; slot < SLOTS; slot++) {
    while (table.list(slot).length > copies) {
      // Of equals the later one goes, so that the preferred replica stays.
      table.remove(
        slot,
        table.list(slot).reduce((most, member) => (surplus(member) >= surplus(most) ? member : most)),
      );
    }
  }
}

function fillShort(
  table: Assignment,
  targets: readonly number[],
  copies: number,
  from: { readonly members: readonly RingNode[]; readonly seed: number },
): void {
  const short = allSlots().filter((slot) => table.list(slot).length < copies);
  if (short.length === 0) return;
  const ring = buildRing(from.members, from.seed);
  const chances = targets.map((_, member) => short.filter((slot) => !table.has(slot, member)).length);
  for (const slot of short) {
    while (table.list(slot).length < copies) {
      const member = mostPressed(slot, table, targets, chances) ?? nextOnRing(ring, { slot, ...from }, table, targets);
      table.add(slot, member);
      chances[member]!--;
    }
    for (let member = 0; member < chances.length; member++) if (!table.has(slot, member)) chances[member]!--;
  }
}

/**
 * A member that needs every slot it can still get (`chances`) must have this one, whatever the ring says: otherwise
 * it ends under target and others are moved to make up for it. Matters where weights are very uneven.
 */
function mostPressed(
  slot: number,
  table: Assignment,
  targets: readonly number[],
  chances: readonly number[],
): number | undefined {
  let most: number | undefined;
  let mostPressure = 0;
  for (let member = 0; member < targets.length; member++) {
    const need = targets[member]! - table.held(member);
    const pressure = need - chances[member]!;
    if (need <= 0 || pressure < mostPressure || table.has(slot, member)) continue;
    if (most !== undefined && pressure === mostPressure) continue;
    most = member;
    mostPressure = pressure;
  }
  return most;
}

/** First member below target clockwise from the slot; where all of those hold the slot already, first of the others. */
function nextOnRing(
  ring: Ring,
  from: { readonly slot: number; readonly seed: number },
  table: Assignment,
  targets: readonly number[],
): number {
  const start = firstTokenAt(ring, slotHash(from.slot, from.seed));
  let otherwise: number | undefined;
  for (let step = 0; step < ring.owners.length; step++) {
    const member = ring.owners[(start + step) % ring.owners.length]!;
    if (table.has(from.slot, member)) continue;
    if (table.held(member) < targets[member]!) return member;
    otherwise ??= member;
  }
  assert(otherwise !== undefined, "copies never exceeds the members, so someone does not hold the slot yet");
  return otherwise;
}

function slotHash(slot: number, seed: number): number {
  return hash32(`slot:${slot}`, seed);
}

function slotHashes(seed: number): number[] {
  return Array.from({ length: SLOTS }, (_, slot) => slotHash(slot, seed));
}
