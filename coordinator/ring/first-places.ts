// First places: the first member of a list is the preferred replica, asked first by reads at level one, so they should
// be spread like the slots themselves. That is done by order alone and only in lists whose members change anyway:
// kept members stay in their old order, new ones follow, and then one member is brought to the front — the one with the
// fewest first places for its quota; afterwards first places are passed on along chains of those lists while someone
// has more than its quota. All other lists stay exactly as they were; nothing is copied for a first place.
import { SLOTS } from "../../shared/limits.ts";
import type { Assignment } from "./assignment.ts";

export interface FirstPlacesInput {
  readonly table: Assignment;
  /** Per slot, how many members were listed before, gone ones included; empty for a new cluster. */
  readonly lengthsBefore: readonly number[];
  readonly targets: readonly number[];
  readonly copies: number;
}

/** A list whose order is open: who is to come first is chosen, perhaps several times, before anyone moves. */
interface OpenList {
  readonly members: number[];
  first: number;
}

interface Places {
  /** First places of each member. */
  readonly firsts: number[];
  /** First places each member may have: its share, rounded up. */
  readonly quotas: readonly number[];
  /** Per member, the open lists it comes first in. */
  readonly ledBy: readonly Set<OpenList>[];
}

/** The lists of the table, by slot, in the order they are to have. */
export function arrangeFirstPlaces(input: FirstPlacesInput): number[][] {
  const lists = Array.from({ length: SLOTS }, (_, slot) => inOldOrder(input.table, slot));
  if (input.copies === 0) return lists;
  const places: Places = {
    firsts: input.targets.map(() => 0),
    quotas: input.targets.map((target) => Math.ceil(target / input.copies)),
    ledBy: input.targets.map(() => new Set()),
  };
  const open: OpenList[] = [];
  for (const [slot, members] of lists.entries()) {
    if (isChanged(input, slot)) open.push({ members, first: members[0]! });
    else places.firsts[members[0]!]!++;
  }
  for (const list of open) choose(list, leastLoaded(list.members, places), places);
  while (passOn(places)) continue;
  for (const list of open) bringToFront(list);
  return lists;
}

function inOldOrder(table: Assignment, slot: number): number[] {
  const kept = table.listBefore(slot).filter((member) => table.has(slot, member));
  return [...kept, ...table.list(slot).filter((member) => !table.had(slot, member))];
}

function isChanged(input: FirstPlacesInput, slot: number): boolean {
  const list = input.table.list(slot);
  return list.length !== (input.lengthsBefore[slot] ?? 0) || list.some((member) => !input.table.had(slot, member));
}

function leastLoaded(list: readonly number[], places: Places): number {
  const load = (member: number): number => (places.firsts[member]! + 1) / places.quotas[member]!;
  return list.reduce((least, member) => (load(member) < load(least) ? member : least));
}

function choose(list: OpenList, first: number, places: Places): void {
  list.first = first;
  places.firsts[first]!++;
  places.ledBy[first]!.add(list);
}

/** The others keep their order. */
function bringToFront(list: OpenList): void {
  list.members.splice(list.members.indexOf(list.first), 1);
  list.members.unshift(list.first);
}

/**
 * Passes one first place from a member above its quota, over members in between, to one below. False when no chain
 * is left. Each success lowers what is above quota by one, so repeating it ends.
 */
function passOn(places: Places): boolean {
  const queue = [...places.firsts.keys()].filter((member) => places.firsts[member]! > places.quotas[member]!);
  const reachedBy = new Map<number, OpenList | undefined>(queue.map((member) => [member, undefined]));
  for (const member of queue) {
    for (const list of places.ledBy[member]!) {
      for (const next of list.members) {
        if (reachedBy.has(next)) continue;
        reachedBy.set(next, list);
        if (places.firsts[next]! < places.quotas[next]!) return passAlong(next, reachedBy, places);
        queue.push(next);
      }
    }
  }
  return false;
}

function passAlong(end: number, reachedBy: ReadonlyMap<number, OpenList | undefined>, places: Places): true {
  let next = end;
  for (let list = reachedBy.get(next); list !== undefined; list = reachedBy.get(next)) {
    const giver = list.first;
    places.firsts[giver]!--;
    places.ledBy[giver]!.delete(list);
    choose(list, next, places);
    next = giver;
  }
  return true;
}
