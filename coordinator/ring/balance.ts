// Quota of placement, step 3: bring every member to its target exactly, at the least copying.
// Three passes, cheapest first: (1) chains of hand-overs that copy nothing extra — a placement chosen a moment ago may
// be chosen differently, a dropped member may stay after all; (2) direct moves from the most over to the one under, the
// slot with the highest rendezvous hash first; (3) where those two alone are stuck, the chain through third members that
// copies least: the "two-step swap", and longer ones where two steps do not reach (very uneven weights).
// Ends always: each chain takes one from a surplus, and a chain exists while anyone is under target (two tables with
// equal list lengths differ by such chains).
// Not a minimum-cost flow by construction, but the tests find no table with the same counts that copies less.
import { assert } from "../../shared/assert.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { Assignment } from "./assignment.ts";

interface Step {
  readonly slot: number;
  readonly from: number;
  readonly to: number;
}

/** Which steps a search may use: only those that copy nothing extra, or any. */
type Kind = "free" | "any";

export interface Quota {
  /** Slots each member should hold, by member index. */
  readonly targets: readonly number[];
  /** 32-bit hash of each member, for rendezvous. */
  readonly memberHashes: readonly number[];
  /** 32-bit hash of each slot. */
  readonly slotHashes: readonly number[];
}

/** Moves slots until every member holds its target. Changes no list's length. */
export function balance(table: Assignment, quota: Quota): void {
  moveByChains(table, quota, "free");
  moveDirectly(table, quota);
  moveByChains(table, quota, "any");
  for (let member = 0; member < table.members; member++) {
    assert(table.held(member) === quota.targets[member], "every member holds its target");
  }
}

function surplus(table: Assignment, quota: Quota, member: number): number {
  return table.held(member) - quota.targets[member]!;
}

function membersBySurplus(table: Assignment, quota: Quota): number[] {
  const indices = Array.from({ length: table.members }, (_, member) => member);
  return indices.sort((a, b) => surplus(table, quota, b) - surplus(table, quota, a) || a - b);
}

function moveDirectly(table: Assignment, quota: Quota): void {
  for (const target of membersBySurplus(table, quota).reverse()) {
    if (surplus(table, quota, target) >= 0) return;
    fillFromMostOver(table, quota, target);
  }
}

function fillFromMostOver(table: Assignment, quota: Quota, target: number): void {
  const sources = new Set(membersBySurplus(table, quota).filter((member) => surplus(table, quota, member) > 0));
  const offers = new Map<number, number[]>();
  while (surplus(table, quota, target) < 0) {
    const source = mostOver(table, quota, sources);
    if (source === undefined) return;
    const offer = offers.get(source) ?? offerOf(table, quota, { from: source, to: target });
    offers.set(source, offer);
    const slot = offer.pop();
    if (slot === undefined) sources.delete(source);
    // Another source may have handed over the same slot since the offer was drawn up.
    else if (!table.has(slot, target)) table.move({ slot, from: source, to: target });
  }
}

/** Of equals the first of the set. */
function mostOver(table: Assignment, quota: Quota, sources: ReadonlySet<number>): number | undefined {
  let most: number | undefined;
  let mostSurplus = 0;
  for (const source of sources) {
    const over = surplus(table, quota, source);
    if (over <= mostSurplus) continue;
    most = source;
    mostSurplus = over;
  }
  return most;
}

/** The slots one member may hand to another, the highest rendezvous hash last. */
function offerOf(table: Assignment, quota: Quota, ends: Omit<Step, "slot">): number[] {
  const scores: number[] = [];
  for (const slot of table.slotsOf(ends.from)) {
    if (table.has(slot, ends.to)) continue;
    // Hash and slot in one number, exact in a double: sorted without a callback.
    scores.push(mix(quota.memberHashes[ends.to]! ^ quota.slotHashes[slot]!) * SLOTS + slot);
  }
  return Array.from(Float64Array.from(scores).sort(), (score) => score % SLOTS);
}

function moveByChains(table: Assignment, quota: Quota, kind: Kind): void {
  for (;;) {
    const chain = cheapestChain(table, quota, kind);
    if (chain.length === 0) return;
    repeatChain(table, quota, chain);
  }
}

/**
 * From everyone over target to someone under it, by the fewest paid steps: level by level, each level first closed
 * under free steps. Empty when nobody under target can be reached.
 */
function cheapestChain(table: Assignment, quota: Quota, kind: Kind): Step[] {
  const everyone = Array.from({ length: table.members }, (_, member) => member);
  let level = everyone.filter((member) => surplus(table, quota, member) > 0);
  const search: Search = { table, quota, everyone, reachedBy: new Map(level.map((member) => [member, undefined])) };
  while (level.length > 0) {
    const end = expand(search, "free", level, level);
    if (end !== undefined) return chainTo(end, search.reachedBy);
    if (kind === "free") break;
    const next: number[] = [];
    const paidEnd = expand(search, "any", level, next);
    if (paidEnd !== undefined) return chainTo(paidEnd, search.reachedBy);
    level = next;
  }
  return [];
}

interface Search {
  readonly table: Assignment;
  readonly quota: Quota;
  readonly everyone: readonly number[];
  /** Members reached, and by which step; undefined for those over target, where chains begin. */
  readonly reachedBy: Map<number, Step | undefined>;
}

/** Adds to `into` (which may be `level` itself) whoever one step reaches from `level`; returns one under target. */
function expand(search: Search, kind: Kind, level: readonly number[], into: number[]): number | undefined {
  const { table, quota, everyone, reachedBy } = search;
  for (const from of level) {
    for (const slot of table.slotsOf(from)) {
      if (reachedBy.size === table.members) return undefined;
      // What a member held before passes freely only to others who held it: a short list instead of everyone.
      const takers = kind === "free" && table.had(slot, from) ? table.listBefore(slot) : everyone;
      for (const to of takers) {
        if (reachedBy.has(to) || table.has(slot, to)) continue;
        reachedBy.set(to, { slot, from, to });
        if (surplus(table, quota, to) < 0) return to;
        into.push(to);
      }
    }
  }
  return undefined;
}

function chainTo(end: number, reachedBy: ReadonlyMap<number, Step | undefined>): Step[] {
  const chain: Step[] = [];
  for (let step = reachedBy.get(end); step !== undefined; step = reachedBy.get(step.from)) chain.unshift(step);
  return chain;
}

/** Carries a chain out, and again over other slots at the same cost while both its ends need it: searches are dear. */
function repeatChain(table: Assignment, quota: Quota, chain: readonly Step[]): void {
  const offers = chain.map((step) => {
    const isFree = table.isFree(step.slot, step.from, step.to);
    return offerOf(table, quota, step).filter((slot) => table.isFree(slot, step.from, step.to) === isFree);
  });
  const start = chain[0]!.from;
  const end = chain.at(-1)!.to;
  while (surplus(table, quota, start) > 0 && surplus(table, quota, end) < 0) {
    const steps = chain.map((step, index) => ({ ...step, slot: takeValid(table, step, offers[index]!) }));
    if (!steps.every(isComplete)) return;
    for (const step of steps) table.move(step);
  }
}

/** Best slot left on offer that can still be handed over. Steps of a chain never disturb each other's slots. */
function takeValid(table: Assignment, step: Step, offer: number[]): number | undefined {
  for (let slot = offer.pop(); slot !== undefined; slot = offer.pop()) {
    if (table.has(slot, step.from) && !table.has(slot, step.to)) return slot;
  }
  return undefined;
}

function isComplete(step: { from: number; to: number; slot: number | undefined }): step is Step {
  return step.slot !== undefined;
}

/** Spreads the bits of a 32-bit number: the finaliser of MurmurHash3. Unsigned. */
function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
