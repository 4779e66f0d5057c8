// Reconcile (M3): make sealed members and newcomers agree, key by key, before the new set takes over. Only slots whose digests differ are
// listed. A key at the same version on all sealed members is copied as it is to the newcomers that lack it; any other key gets the
// highest value again under a fresh version (same origin), at every member of the new set that answers. Keys that no sealed member
// holds leave the newcomers. A re-tag is an issued version: it stays in doubt until the attempt commits (C5).
import { digestEqual, EMPTY_DIGEST, entryDigest, toggle, type Digest } from "../../shared/digest.ts";
import type { NodeId } from "../../shared/ids.ts";
import { PAGE_KEYS_MAX } from "../../shared/limits.ts";
import type {
  Cursor,
  DataOp,
  DigestResult,
  ListResult,
  ListedRow,
  OpResult,
  ReadResult,
  WriteOp,
} from "../../shared/protocol/node-messages.ts";
import { majority } from "../../shared/quorum.ts";
import { originOf } from "../../shared/record.ts";
import { all, Future, run, wait, type Script } from "../../shared/script.ts";
import { compare, equal, highest, isZero, ZERO, type Version } from "../../shared/version.ts";
import { accepted, askPeer, heed, STEP_TIMEOUT_MS, why, type Attempt, type SlotChange } from "./attempt.ts";
import { Abort, peerOf } from "./context.ts";
import type { Sealed } from "./seal.ts";

type Digests = ReadonlyMap<NodeId, ReadonlyMap<number, Digest>>;

/**
 * Digests at an attempt's stamp, on their way. They are asked for in one trip with the seal: lines to a node keep their order, so that a
 * member counts up when it is sealed, and a newcomer when it has the copies of all that ended before the hold.
 */
export class AskedDigests {
  readonly #attempt: Attempt;
  readonly #asked: { readonly id: NodeId; readonly slots: readonly number[]; readonly answer: Future<OpResult> }[] = [];

  constructor(attempt: Attempt) {
    this.#attempt = attempt;
  }

  ask(id: NodeId, slots: readonly number[]): void {
    const { context, stamp } = this.#attempt;
    const answer = askPeer(context, id, { op: "digest", slots, stamps: slots.map(() => stamp) });
    this.#asked.push({ id, slots, answer });
  }

  /** @param ids Those whose digests count. @throws Abort where one of them did not answer, or the leadership ended */
  *of(ids: ReadonlySet<NodeId>): Script<Digests> {
    const digests = new Map<NodeId, Map<number, Digest>>([...ids].map((id) => [id, new Map()]));
    for (const { id, slots, answer } of this.#asked) {
      const held = digests.get(id);
      if (!held) continue;
      const result = yield* wait(answer);
      heed(this.#attempt.context, result);
      if (result.status === "error") throw new Abort(`digests of node ${id}: ${why(result)}`);
      const rows = (result as DigestResult).slots;
      slots.forEach((slot, index) => held.set(slot, [rows[index]?.[0] ?? 0, rows[index]?.[1] ?? 0]));
    }
    return digests;
  }
}

/** What one participant holds in one slot: version by key. */
type Contents = ReadonlyMap<string, Version>;

/** @param asked Digests of the old members and the newcomers, as of the seal or later. @throws Abort */
export function* reconcile(attempt: Attempt, sealed: Sealed, asked: AskedDigests): Script<void> {
  if (attempt.context.without.has("M3")) return;
  const sealedOf = ({ slot }: SlotChange): readonly NodeId[] => sealed.get(slot) ?? [];
  const digests = yield* asked.of(participants(attempt, sealedOf));
  const different = attempt.changes.filter((change) => !agree(change, sealedOf(change), digests));
  const work = different.map((change) => run(reconcileSlot(attempt, change, sealedOf(change))));
  const failures = (yield* wait(all(work))).filter((text) => text !== undefined);
  if (failures[0] !== undefined) throw new Abort(failures[0]);
}

// Run for every slot while it is held, and so seldom that nothing of it is compiled: no list is made for a slot.

function participants({ changes }: Attempt, sealedOf: (change: SlotChange) => readonly NodeId[]): Set<NodeId> {
  const ids = new Set<NodeId>();
  for (const change of changes) {
    for (const id of sealedOf(change)) ids.add(id);
    for (const id of change.added) ids.add(id);
  }
  return ids;
}

function agree({ slot, added }: SlotChange, sealed: readonly NodeId[], digests: Digests): boolean {
  let first: Digest | undefined;
  for (const ids of [sealed, added]) {
    for (const id of ids) {
      const digest = digests.get(id)?.get(slot) ?? EMPTY_DIGEST;
      if (first && !digestEqual(digest, first)) return false;
      first ??= digest;
    }
  }
  return true;
}

/** Returns why it failed, if it did. */
function* reconcileSlot(attempt: Attempt, change: SlotChange, sealed: readonly NodeId[]): Script<string | undefined> {
  try {
    const contents = new Map<NodeId, Contents>();
    const participants = [...sealed, ...change.added];
    const listings = participants.map((id) => run(listSlot(attempt, change.slot, id)));
    const found = yield* wait(all(listings));
    participants.forEach((id, index) => {
      const listing = found[index];
      if (typeof listing === "string" || !listing) throw new Abort(`listing node ${id}: ${listing ?? ""}`);
      contents.set(id, listing);
    });
    yield* reconcileKeys(attempt, change, sealed, contents);
    return undefined;
  } catch (error) {
    if (error instanceof Abort) return error.message;
    throw error;
  }
}

/** Everything a participant holds in a slot, or why it could not be listed. */
function* listSlot({ context, stamp }: Attempt, slot: number, id: NodeId): Script<Contents | string> {
  const contents = new Map<string, Version>();
  let after: Cursor | undefined;
  for (;;) {
    const peer = context.peers.get(id);
    if (!peer?.up) return `node ${id} does not answer`;
    const op = { op: "list", slots: [slot], stamps: [stamp], limit: PAGE_KEYS_MAX, ...(after && { after }) } as const;
    const result = yield* wait(peer.link.ask(op, STEP_TIMEOUT_MS));
    if (!context.active()) return "the leadership ended";
    if (result.status === "error") return why(result);
    const page = result as ListResult;
    for (const [, key, version] of page.entries as readonly ListedRow[]) contents.set(key, version);
    if (!page.next) return contents;
    after = page.next;
  }
}

/** @throws Abort */
function* reconcileKeys(
  attempt: Attempt,
  change: SlotChange,
  sealed: readonly NodeId[],
  contents: ReadonlyMap<NodeId, Contents>,
): Script<void> {
  const keys = new Set(sealed.flatMap((id) => [...(contents.get(id)?.keys() ?? [])]));
  let expected = EMPTY_DIGEST;
  const steps: Future<Version>[] = [];
  const settledKeys: string[] = [];
  for (const key of keys) {
    const version = sameEverywhere(key, sealed, contents);
    const lacking = change.added.filter((id) => !equal(contents.get(id)?.get(key) ?? ZERO, version ?? ZERO));
    const newer = lacking.some((id) => compare(contents.get(id)?.get(key) ?? ZERO, version ?? ZERO) > 0);
    if (version && lacking.length === 0) {
      expected = toggle(expected, entryDigest(key, version));
      continue;
    }
    settledKeys.push(key);
    const step =
      version && !newer
        ? copyAsIs(attempt, change, { key, version, sealed, contents, lacking })
        : retag(attempt, change, { key, contents });
    steps.push(run(step));
  }
  const versions = yield* wait(all(steps));
  versions.forEach((version, index) => {
    if (isZero(version)) throw new Abort(`key ${index + 1} of slot ${change.slot} could not be copied`);
    expected = toggle(expected, entryDigest(settledKeys[index] ?? "", version));
  });
  if (attempt.context.without.has("M3-extra")) return;
  yield* removeExtra(attempt, change, keys, contents);
  yield* checkAdded(attempt, change, expected);
}

/** The version of a key where all sealed members hold the same one. */
function sameEverywhere(
  key: string,
  sealed: readonly NodeId[],
  contents: ReadonlyMap<NodeId, Contents>,
): Version | undefined {
  const [first, ...others] = sealed.map((id) => contents.get(id)?.get(key) ?? ZERO);
  return first && others.every((version) => equal(version, first)) ? first : undefined;
}

interface KeyWork {
  readonly key: string;
  readonly contents: ReadonlyMap<NodeId, Contents>;
}

/** Copies a key to the newcomers that lack it; ZERO when that failed. A newcomer that turns out to hold more makes it a re-tag. */
function* copyAsIs(
  attempt: Attempt,
  change: SlotChange,
  work: KeyWork & {
    readonly version: Version;
    readonly sealed: readonly NodeId[];
    readonly lacking: readonly NodeId[];
  },
): Script<Version> {
  const record = yield* readFrom(attempt, change.slot, work.key, work.sealed, work.version);
  if (!record) return ZERO;
  const results = yield* storeAt(attempt, work.lacking, writeOp(attempt, change.slot, work.key, "copy", record));
  if (results.every(({ status }) => status === "ok")) return work.version;
  const superseded = results.some((result) => result.status === "error" && result.code === "SUPERSEDED");
  return superseded ? yield* retag(attempt, change, work) : ZERO;
}

/** Writes the highest value again, under a fresh version, to the new set; ZERO when too few have it. */
function* retag(attempt: Attempt, change: SlotChange, { key, contents }: KeyWork): Script<Version> {
  const { context } = attempt;
  const holders = [...contents].filter(([, versions]) => versions.has(key));
  const best = holders.reduce((top, [, versions]) => highest(top, versions.get(key) ?? ZERO), ZERO);
  const ids = holders.filter(([, versions]) => equal(versions.get(key) ?? ZERO, best)).map(([id]) => id);
  const record = yield* readFrom(attempt, change.slot, key, ids, best);
  if (!record) return ZERO;
  const version = context.writing.nextVersion();
  const tagged: ReadResult = { ...record, version, origin: originOf(record) };
  const issued = writeOp(attempt, change.slot, key, "write", tagged);
  attempt.retags.set(key, version);
  context.sequencer.inDoubt.add(issued);
  // Whether this attempt commits or not: members that did not take it are to be compared with those that did.
  for (const id of change.kept) context.writing.missed(id, change.slot, version);
  const kept = change.kept.filter((id) => context.peers.get(id)?.up === true);
  const keptResults = yield* storeAt(attempt, kept, issued);
  const addedResults = yield* storeAt(attempt, change.added, writeOp(attempt, change.slot, key, "copy", tagged));
  const oks = [...keptResults, ...addedResults].filter(({ status }) => status === "ok").length;
  const complete = addedResults.every(({ status }) => status === "ok");
  return complete && oks >= majority(change.next.length) ? version : ZERO;
}

/** The record at a version, from one of its holders (a newcomer is listed with values, since it serves no reads). */
function* readFrom(
  { context, stamp }: Attempt,
  slot: number,
  key: string,
  holders: readonly NodeId[],
  version: Version,
): Script<ReadResult | undefined> {
  for (const id of holders) {
    const peer = context.peers.get(id);
    if (!peer?.up) continue;
    const op: DataOp = { op: "list", slots: [slot], stamps: [stamp], prefix: key, limit: 1, values: true };
    const result = yield* wait(peer.link.ask(op, STEP_TIMEOUT_MS));
    if (!context.active() || result.status === "error") continue;
    const [row] = (result as ListResult).entries;
    if (!row || row[1] !== key || !equal(row[2], version)) continue;
    const [, , , , origin, value, operation] = row;
    return { status: "ok", version, value: value ?? null, ...(origin && { origin }), ...(operation && { operation }) };
  }
  return undefined;
}

function writeOp({ stamp }: Attempt, slot: number, key: string, op: "write" | "copy", record: ReadResult): WriteOp {
  const { version, origin, value, operation } = record;
  return { op, slot, stamp, key, version, value, ...(origin && { origin }), ...(operation && { operation }) };
}

function* storeAt({ context }: Attempt, ids: readonly NodeId[], op: WriteOp): Script<OpResult[]> {
  const asked = ids.map((id) => {
    const future = new Future<OpResult>();
    context.writing.send(id, op, { settled: (_node, result) => future.resolve(result) });
    context.timers.after(STEP_TIMEOUT_MS, () =>
      future.resolve({ status: "error", code: "LOST", message: "no answer" }),
    );
    return future;
  });
  return yield* wait(all(asked));
}

/** Keys that no sealed member holds leave the newcomers. @throws Abort */
function* removeExtra(
  { context, stamp }: Attempt,
  { slot, added }: SlotChange,
  keys: ReadonlySet<string>,
  contents: ReadonlyMap<NodeId, Contents>,
): Script<void> {
  for (const id of added) {
    const extra = [...(contents.get(id)?.keys() ?? [])].filter((key) => !keys.has(key));
    for (let start = 0; start < extra.length; start += PAGE_KEYS_MAX) {
      const op = { op: "remove", slot, stamp, keys: extra.slice(start, start + PAGE_KEYS_MAX) } as const;
      const result = yield* wait(peerOf(context, id).link.ask(op, STEP_TIMEOUT_MS));
      if (accepted(result, [slot]).length === 0) throw new Abort(`removing keys at node ${id}: ${why(result)}`);
    }
  }
}

/** Each newcomer's digest must be that of the reconciled contents. @throws Abort */
function* checkAdded(attempt: Attempt, change: SlotChange, expected: Digest): Script<void> {
  if (change.added.length === 0) return;
  const asked = new AskedDigests(attempt);
  for (const id of change.added) asked.ask(id, [change.slot]);
  const digests = yield* asked.of(new Set(change.added));
  for (const id of change.added) {
    if (!digestEqual(digests.get(id)?.get(change.slot) ?? EMPTY_DIGEST, expected)) {
      throw new Abort(`slot ${change.slot}: node ${id} does not hold what was reconciled`);
    }
  }
}
