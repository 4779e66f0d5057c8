// Mend: makes the members of slots agree, key by key (C9). A version that a write quorum holds is copied to the others as it is: no version
// of its own, no lock, since that version can only be overtaken. Where no quorum agrees, FIX decides under the key's lock (C6). Values
// flow through the coordinator, a bounded number of keys and bytes at a time.
import type { NodeId } from "../../shared/ids.ts";
import { PAGE_KEYS_MAX, PAGE_KEYS_SERVING } from "../../shared/limits.ts";
import type { Cursor, DataOp, ListResult, OpResult, ReadResult } from "../../shared/protocol/node-messages.ts";
import { all, Future, run, wait, type Script } from "../../shared/script.ts";
import { compare, equal, highest, isZero, ZERO, type Version } from "../../shared/version.ts";
import { failure } from "../links/link.ts";
import { WORTH, type Pacer } from "../cluster/pacing.ts";
import type { ReadOutcome } from "../sequencer/operation.ts";
import { unchanged, type Compared, type RepairContext } from "./compare.ts";

const LIST_TIMEOUT_MS = 5_000;
const KEY_TIMEOUT_MS = 2_000;
/** Reading and writing: two answers after each other. */
const GROUP_TIMEOUT_MS = 2 * KEY_TIMEOUT_MS;
/** Keys mended side by side. */
const KEYS_AT_ONCE = 1_024;
/** While clients are served. */
const KEYS_AT_ONCE_SERVING = 256;
/** Bytes of values on their way at a time, as far as the slots' averages tell. */
const BYTES_AT_ONCE = 8 * 1024 * 1024;
/** Repairs are nobody's connection. */
const NO_CLIENT = -1;

/** Keys mended side by side wait for answers until it is late. */
interface MendContext extends RepairContext {
  readonly late: Future<void>;
}

/** A key that the members of its slot hold at different versions. */
export interface Difference {
  readonly compared: Compared;
  readonly key: string;
  /** By member; those that hold nothing are left out. */
  readonly versions: ReadonlyMap<NodeId, Version>;
}

export interface Mended {
  readonly keys: number;
  /** Slots in which nothing differs, after all. */
  readonly equal: readonly Compared[];
  /** Slots in which something could not be mended now. */
  readonly left: ReadonlySet<Compared>;
}

/** Lists the slots at every member, from the version on from which something is known to be missing, and mends what differs. */
export function* mend(context: RepairContext, slots: readonly Compared[], pacer: Pacer): Script<Mended> {
  const left = new Set<Compared>();
  let keys = 0;
  const differences = yield* differencesOf(context, slots, { left, pacer });
  const differing = new Set(differences.map(({ compared }) => compared));
  const equalSlots = slots.filter((compared) => !differing.has(compared) && !left.has(compared));
  for (let start = 0; start < differences.length && context.active();) {
    const began = pacer.begin();
    const group = differences.slice(start, start + keysAtOnce(pacer, slots));
    start += group.length;
    const done = yield* mendKeys(context, group);
    group.forEach(({ compared }, index) => {
      if (done[index] === true) keys++;
      else left.add(compared);
    });
    yield* pacer.rest(began, group.length * WORTH.mended);
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

interface Listing {
  /** Takes the slots that could not be listed. */
  readonly left: Set<Compared>;
  readonly pacer: Pacer;
}

function* differencesOf(
  context: RepairContext,
  slots: readonly Compared[],
  { left, pacer }: Listing,
): Script<Difference[]> {
  const ids = [...new Set(slots.flatMap(({ held }) => [...held.keys()]))];
  const found = new Map<string, { readonly compared: Compared; readonly versions: Map<NodeId, Version> }>();
  const listings = ids.map((id) => {
    const own = slots.filter(({ held }) => held.has(id));
    const bySlot = new Map(own.map((compared) => [compared.runtime.slot, compared]));
    const note = (slot: number, key: string, version: Version): void => {
      const compared = bySlot.get(slot);
      if (!compared) return;
      const known = found.get(key);
      if (known) known.versions.set(id, version);
      else found.set(key, { compared, versions: new Map([[id, version]]) });
    };
    return run(listAt(context, { id, slots: own, note, pacer }));
  });
  const complete = yield* wait(all(listings));
  ids.forEach((id, index) => {
    if (complete[index] === true) return;
    for (const compared of slots) if (compared.held.has(id)) left.add(compared);
  });
  return [...found]
    .map(([key, { compared, versions }]): Difference => ({ key, compared, versions }))
    .filter((difference) => !left.has(difference.compared) && differs(difference));
}

function differs({ compared, versions }: Difference): boolean {
  const [first, ...others] = [...compared.held.keys()].map((id) => versions.get(id) ?? ZERO);
  return others.some((version) => !equal(version, first ?? ZERO));
}

/** Everything that one member holds in these slots, page by page; false when it could not be listed to the end. */
function* listAt(
  context: RepairContext,
  {
    id,
    slots,
    note,
    pacer,
  }: {
    readonly id: NodeId;
    readonly slots: readonly Compared[];
    readonly note: (slot: number, key: string, version: Version) => void;
    readonly pacer: Pacer;
  },
): Script<boolean> {
  const since = slots[0]?.since;
  let after: Cursor | undefined;
  let left = slots;
  do {
    const began = pacer.begin();
    const limit = pacer.serving ? PAGE_KEYS_SERVING : PAGE_KEYS_MAX;
    const peer = context.peers.get(id);
    if (!peer?.up || !context.active()) return false;
    const op = {
      op: "list",
      slots: left.map(({ runtime }) => runtime.slot),
      stamps: left.map(({ stamp }) => stamp),
      limit,
      ...(since && { since }),
      ...(after && { after }),
    } as const;
    const result: OpResult = yield* wait(peer.link.ask(op, LIST_TIMEOUT_MS));
    if (result.status === "error") return false;
    const page = result as ListResult;
    for (const [slot, key, version] of page.entries) note(slot, key, version);
    after = page.next;
    // Slots that the page has done with need not be named again.
    left = left.slice(left.findIndex(({ runtime }) => runtime.slot === after?.slot));
    yield* pacer.rest(began, (after ? limit : page.entries.length) * WORTH.listed);
  } while (after);
  return true;
}

// Mending.

/** Mends keys side by side; true for each that is in order now. */
function* mendKeys(context: RepairContext, group: readonly Difference[]): Script<boolean[]> {
  // One timer for all of them: thousands a second would cost more than what they guard.
  const late = new Future<void>();
  const timer = context.timers.after(GROUP_TIMEOUT_MS, () => late.resolve());
  const futures = group.map((difference) => run(mendKey({ ...context, late }, difference)));
  const mended = yield* wait(all(futures));
  timer.cancel();
  return mended;
}

function* mendKey(context: MendContext, difference: Difference): Script<boolean> {
  const { compared, versions } = difference;
  if (!unchanged(compared)) return false;
  const top = [...versions.values()].reduce(highest, ZERO);
  const holders = [...versions].filter(([, version]) => equal(version, top)).map(([id]) => id);
  const needed = context.without.has("C9") ? 1 : compared.runtime.quorum;
  if (holders.length < needed || isZero(top)) return yield* fixed(context, difference);
  return yield* copied(context, difference, { top, holders });
}

/** Copies a version that a write quorum holds to those that lack it, as it is. */
function* copied(
  context: MendContext,
  { compared, key, versions }: Difference,
  { top, holders }: { readonly top: Version; readonly holders: readonly NodeId[] },
): Script<boolean> {
  const { runtime, stamp } = compared;
  const { slot } = runtime;
  const [holder] = holders;
  if (holder === undefined) return false;
  const read = yield* wait(tell(context, holder, { op: "read", slot, stamp, key }));
  if (read.status === "error") return false;
  const { version, origin, value, operation } = read as ReadResult;
  // Overtaken meanwhile: that write goes to every member by itself, and is remembered where it does not arrive.
  if (!equal(version, top)) return compare(version, top) > 0;
  const lacking = [...compared.held.keys()].filter((id) => compare(versions.get(id) ?? ZERO, top) < 0);
  // Nothing may be sent at the stamp of a seal (M2), nor at that of another membership.
  if (!unchanged(compared)) return false;
  const write: DataOp = {
    op: "write",
    slot,
    stamp,
    key,
    version,
    ...(origin && { origin }),
    value,
    ...(operation !== undefined && { operation }),
  };
  const results = yield* wait(all(lacking.map((id) => tell(context, id, write))));
  return results.every((result) => result.status === "ok" || result.code === "SUPERSEDED");
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

/** One operation at one member, in a line together with others of this turn. */
function tell(context: MendContext, id: NodeId, op: DataOp): Future<OpResult> {
  const future = new Future<OpResult>();
  context.late.whenDone(() => future.resolve(failure("LOST", "no answer")));
  context.writing.send(id, op, {
    settled: (_node, result) => {
      if (result.status === "error" && result.code === "FENCED") context.writing.fenced(Number(result["fence"]));
      future.resolve(result);
    },
  });
  return future;
}
