// Mend: makes the members of slots agree, key by key (C9). A version that a write quorum holds is copied to the others as it is (copies.ts).
// Where no quorum agrees, FIX decides under the key's lock (C6). Values flow through the coordinator, a bounded number of keys and bytes
// at a time.
import type { NodeId } from "../../shared/ids.ts";
import { PAGE_KEYS_MAX, PAGE_KEYS_SERVING } from "../../shared/limits.ts";
import type { Cursor, ListedRow, ListResult, OpResult } from "../../shared/protocol/node-messages.ts";
import { all, Future, run, wait, type Script } from "../../shared/script.ts";
import { compare, equal, highest, isZero, ZERO, type Version } from "../../shared/version.ts";
import { WORTH, type Pacer } from "../cluster/pacing.ts";
import { askPeer } from "../rebalance/attempt.ts";
import type { ReadOutcome } from "../sequencer/operation.ts";
import { unchanged, type Compared, type RepairContext } from "./compare.ts";
import { copyAll, type Copy } from "./copies.ts";

const LIST_TIMEOUT_MS = 5_000;
const KEY_TIMEOUT_MS = 2_000;
/** Keys mended side by side. */
const KEYS_AT_ONCE = 1_024;
/** While clients are served. */
const KEYS_AT_ONCE_SERVING = 256;
/** Bytes of values on their way at a time, as far as the slots' averages tell. */
const BYTES_AT_ONCE = 8 * 1024 * 1024;
/** Repairs are nobody's connection. */
const NO_CLIENT = -1;

/** A key that the members of its slot hold at different versions. */
export interface Difference {
  readonly compared: Compared;
  readonly key: string;
  /** By the places of `compared.members`; ZERO where one holds nothing. */
  readonly versions: Version[];
}

export interface Mended {
  readonly keys: number;
  /** Slots in which nothing differs, after all. */
  readonly equal: readonly Compared[];
  /** Slots in which something could not be mended now. */
  readonly left: ReadonlySet<Compared>;
}

/** Lists the slots at every member, from the version on from which something is known to be missing, and mends what differs. */
export function* mend(context: RepairContext, slots: readonly Compared[]): Script<Mended> {
  const { pacer } = context;
  const left = new Set<Compared>();
  let keys = 0;
  const differences = yield* differencesOf(context, slots, left);
  const differing = new Set(differences.map(({ compared }) => compared));
  const equalSlots = slots.filter((compared) => !differing.has(compared) && !left.has(compared));
  for (let start = 0; start < differences.length && context.active();) {
    const group = differences.slice(start, start + keysAtOnce(pacer, slots));
    start += group.length;
    const done = yield* pacer.step(
      () => mendKeys(context, group),
      () => group.length * WORTH.mended,
    );
    keys += done.size;
    for (const difference of group) if (!done.has(difference)) left.add(difference.compared);
  }
  return { keys, equal: equalSlots, left };
}

function keysAtOnce({ serving }: Pacer, slots: readonly Compared[]): number {
  const averages = slots.flatMap(({ held }) => [...held.values()].map(({ keys, bytes }) => bytes / Math.max(1, keys)));
  const heaviest = Math.max(1, ...averages);
  const most = serving ? KEYS_AT_ONCE_SERVING : KEYS_AT_ONCE;
  return Math.max(1, Math.min(most, Math.floor(BYTES_AT_ONCE / heaviest)));
}

// What differs.

/** What one member still has to list. */
interface Listing {
  readonly id: NodeId;
  /** Slots that no page has done with. */
  slots: readonly Compared[];
  /** Where the next page begins in them. */
  after: Cursor | undefined;
  complete: boolean;
}

/** @param left Takes the slots that could not be listed. */
function* differencesOf(context: RepairContext, slots: readonly Compared[], left: Set<Compared>): Script<Difference[]> {
  const found = new Map<string, Difference>();
  const bySlot = new Map(slots.map((compared) => [compared.runtime.slot, compared]));
  const note = (id: NodeId, [slot, key, version]: ListedRow): void => {
    const compared = bySlot.get(slot);
    if (!compared) return;
    const known = found.get(key) ?? { compared, key, versions: compared.members.map(() => ZERO) };
    known.versions[compared.members.indexOf(id)] = version;
    found.set(key, known);
  };
  let listings = [...new Set(slots.flatMap(({ members }) => members))].map((id): Listing => {
    const own = slots.filter(({ members }) => members.includes(id));
    return { id, slots: own, after: undefined, complete: false };
  });
  // A page of each member at a time: their nodes work side by side, and rest together.
  while (listings.length > 0) {
    const pages = (): Script<ListResult[]> => nextPages(context, listings, left);
    const told = yield* context.pacer.step(pages, (results) => listedIn(results) * WORTH.listed);
    listings.forEach(({ id }, index) => told[index]?.entries.forEach((row) => note(id, row)));
    listings = listings.filter(({ complete }) => !complete);
  }
  return [...found.values()].filter((difference) => !left.has(difference.compared) && differs(difference));
}

/** Entries looked at, in a step that is paced: a page that was not the last may have left some out. */
function listedIn(pages: readonly ListResult[]): number {
  return pages.reduce((sum, { entries, next }) => sum + (next ? PAGE_KEYS_SERVING : entries.length), 0);
}

/** The next page of each listing, empty where there is none. @param left Takes the slots that could not be listed to the end. */
function* nextPages(context: RepairContext, listings: readonly Listing[], left: Set<Compared>): Script<ListResult[]> {
  const limit = context.pacer.serving ? PAGE_KEYS_SERVING : PAGE_KEYS_MAX;
  const results = yield* wait(all(listings.map((listing) => askPage(context, listing, limit))));
  return results.map((result, index) => {
    const listing = listings[index] as Listing;
    if (result.status === "error" || !context.active()) {
      for (const compared of listing.slots) left.add(compared);
      listing.complete = true;
      return NO_PAGE;
    }
    const page = result as ListResult;
    const { next } = page;
    listing.after = next;
    listing.complete = !next;
    // Slots that the page has done with need not be named again.
    if (next) listing.slots = listing.slots.slice(listing.slots.findIndex(({ runtime }) => runtime.slot === next.slot));
    return page;
  });
}

const NO_PAGE: ListResult = { status: "ok", entries: [] };

function askPage(context: RepairContext, { id, slots, after }: Listing, limit: number): Future<OpResult> {
  const since = slots[0]?.since;
  const op = {
    op: "list",
    slots: slots.map(({ runtime }) => runtime.slot),
    stamps: slots.map(({ stamp }) => stamp),
    limit,
    ...(since && { since }),
    ...(after && { after }),
  } as const;
  return askPeer(context, id, op, LIST_TIMEOUT_MS);
}

function differs({ versions: [first, ...others] }: Difference): boolean {
  return others.some((version) => !equal(version, first ?? ZERO));
}

// Mending.

/** Mends keys side by side. @returns those that are in order now */
function* mendKeys(context: RepairContext, group: readonly Difference[]): Script<Set<Difference>> {
  const copies = new Map<Copy, Difference>();
  const disputed: Difference[] = [];
  for (const difference of group) {
    if (!unchanged(difference.compared)) continue;
    const copy = copyOf(context, difference);
    if (copy) copies.set(copy, difference);
    else disputed.push(difference);
  }
  const fixing = all(disputed.map((difference) => run(fixed(context, difference))));
  const copied = yield* copyAll(context, [...copies.keys()]);
  const settled = yield* wait(fixing);
  const inOrder = new Set(disputed.filter((_, index) => settled[index] === true));
  for (const copy of copied) inOrder.add(copies.get(copy) as Difference);
  return inOrder;
}

/** What is to be copied; undefined where no write quorum holds the highest version. */
function copyOf({ without }: RepairContext, { compared, key, versions }: Difference): Copy | undefined {
  const { members } = compared;
  const version = versions.reduce(highest, ZERO);
  const lacking = members.filter((_, place) => compare(versions[place] ?? ZERO, version) < 0);
  const holder = members.find((id) => !lacking.includes(id));
  const needed = without.has("C9") ? 1 : compared.runtime.quorum;
  if (isZero(version) || members.length - lacking.length < needed || holder === undefined) return undefined;
  return { compared, key, version, holder, lacking };
}

/** C6: no quorum agrees. With all members there, all have to agree in the end; else as many as a quorum takes. */
function* fixed(context: RepairContext, { compared, key }: Difference): Script<boolean> {
  const { timers, sequencer } = context;
  const { runtime, held } = compared;
  const outcome = new Future<ReadOutcome>();
  const operation = {
    type: "read",
    client: NO_CLIENT,
    id: 0,
    key,
    slot: runtime.slot,
    level: held.size === runtime.members.length ? "all" : "quorum",
    deadline: timers.now + KEY_TIMEOUT_MS,
    startedAt: timers.now,
  } as const;
  sequencer.fix(operation, (found) => outcome.resolve(found));
  return (yield* wait(outcome)).type === "value";
}
