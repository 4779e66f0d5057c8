// What the placement tests measure of a table, computed from the public lists alone, not with placement's own code.
import { SLOTS } from "../../../shared/limits.ts";
import type { SlotTable } from "../../../coordinator/ring/placement.ts";
import type { RingNode } from "../../../coordinator/ring/ring.ts";

export function membersNamed(count: number, weight: (index: number) => number = () => 1): RingNode[] {
  return Array.from({ length: count }, (_, index) => ({ id: `node-${index}`, weight: weight(index) }));
}

/** Slots per member. */
export function heldBy(table: SlotTable): Map<string, number> {
  // Counters that are found once: a string looked up twice a place was a quarter of the time of these tests.
  const counters = new Map<string, { held: number }>();
  for (const list of table) {
    for (const id of list) {
      const counter = counters.get(id);
      if (counter) counter.held++;
      else counters.set(id, { held: 1 });
    }
  }
  return new Map([...counters].map(([id, { held }]) => [id, held]));
}

/** First places per member. */
export function firstsBy(table: SlotTable): Map<string, number> {
  return heldBy(table.map((list) => list.slice(0, 1)));
}

/** Everything wrong with the lists: empty when every slot has min(copies, members) distinct live members. */
export function brokenSlots(table: SlotTable, members: readonly RingNode[], copies: number): string[] {
  const live = new Set(members.map((member) => member.id));
  const wanted = Math.min(copies, members.length);
  const complaints = table.length === SLOTS ? [] : [`${table.length} slots`];
  for (const [slot, list] of table.entries()) {
    const isSound = list.length === wanted && new Set(list).size === wanted && list.every((id) => live.has(id));
    if (!isSound) complaints.push(`slot ${slot}: [${list.join(" ")}]`);
  }
  return complaints;
}

/**
 * Weighted shares of the slots, nobody above all of them: found by raising one common level until all is handed out
 * (bisection), where placement divides what is left over and over.
 */
export function fairShares(members: readonly RingNode[], copies: number): Map<string, number> {
  const total = Math.min(copies, members.length) * SLOTS;
  let low = 0;
  let high = SLOTS / Math.min(...members.map((member) => member.weight));
  for (let step = 0; step < 200; step++) {
    const level = (low + high) / 2;
    const given = members.reduce((sum, member) => sum + Math.min(SLOTS, member.weight * level), 0);
    if (given < total) low = level;
    else high = level;
  }
  return new Map(members.map((member) => [member.id, Math.min(SLOTS, member.weight * high)]));
}

/** Largest distance of any member from its weighted share, in slots. */
export function worstDeviation(table: SlotTable, members: readonly RingNode[], copies: number): number {
  const held = heldBy(table);
  return Math.max(...[...fairShares(members, copies)].map(([id, share]) => Math.abs((held.get(id) ?? 0) - share)));
}

/** Replicas that have to be copied: members of a new list that were not in the old one. */
export function moved(old: SlotTable, next: SlotTable): number {
  return next.reduce((sum, list, slot) => sum + list.filter((id) => !old[slot]?.includes(id)).length, 0);
}

/**
 * Below this no table with the new one's counts can come: what each member, or each slot, lacks. With uneven weights
 * the least possible may be more, since a slot's members are distinct: see canCopyLess.
 */
export function leastMoved(old: SlotTable, next: SlotTable, members: readonly RingNode[]): number {
  const live = new Set(members.map((member) => member.id));
  const kept = next.map((_, slot) => (old[slot] ?? []).filter((id) => live.has(id)));
  const keptBy = heldBy(kept);
  const lackOfMembers = [...heldBy(next)].reduce(
    (sum, [id, held]) => sum + Math.max(0, held - (keptBy.get(id) ?? 0)),
    0,
  );
  const lackOfSlots = next.reduce((sum, list, slot) => sum + Math.max(0, list.length - kept[slot]!.length), 0);
  return Math.max(lackOfMembers, lackOfSlots);
}

/**
 * Whether some table with the same counts per member and per slot copies less: exactly when handing slots on around
 * some cycle of members saves copies (a flow is of least cost when its residual graph has no negative cycle).
 */
export function canCopyLess(old: SlotTable, next: SlotTable, members: readonly RingNode[]): boolean {
  const prices = stepPrices(old, next, members);
  const distances = members.map(() => 0);
  for (let round = 0; round <= members.length; round++) {
    if (!relax(prices, distances)) return false;
  }
  return true;
}

/** One round of Bellman and Ford; whether anything got nearer. */
function relax(prices: readonly (readonly number[])[], distances: number[]): boolean {
  let isNearer = false;
  for (const [from, row] of prices.entries()) {
    for (const [to, price] of row.entries()) {
      if (distances[from]! + price >= distances[to]!) continue;
      distances[to] = distances[from]! + price;
      isNearer = true;
    }
  }
  return isNearer;
}

/** Least change in copies for which one member can hand some slot to another: −1, 0, 1, or Infinity. */
function stepPrices(old: SlotTable, next: SlotTable, members: readonly RingNode[]): number[][] {
  const ids = members.map((member) => member.id);
  const prices = ids.map(() => ids.map(() => Infinity));
  for (const [slot, list] of next.entries()) {
    const copied = ids.map((id) => (old[slot]?.includes(id) ? 0 : 1));
    const has = ids.map((id) => list.includes(id));
    for (const [from, row] of prices.entries()) {
      if (!has[from]) continue;
      for (const to of row.keys()) if (!has[to]) row[to] = Math.min(row[to]!, copied[to]! - copied[from]!);
    }
  }
  return prices;
}

/** Largest number of first places of a member relative to its part of the slots. */
export function worstFirstPlaces(table: SlotTable): number {
  const firsts = firstsBy(table);
  const copies = table[0]!.length;
  return Math.max(...[...heldBy(table)].map(([id, held]) => (firsts.get(id) ?? 0) / (held / copies)));
}
