// Compare: the digests of a batch of slots, at all members that answer. Equal digests mean equal contents. Slots that change hands (M2)
// or of which too few members answer are left for later. Under load digests differ by what is on its way: whoever acts on a difference
// looks at the keys (mend.ts).
import type { NodeId } from "../../shared/ids.ts";
import type { DigestResult } from "../../shared/protocol/node-messages.ts";
import { digestEqual, type Digest } from "../../shared/digest.ts";
import { all, wait, type Script } from "../../shared/script.ts";
import { compare, equal, ZERO, type Stamp, type Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { RebalanceContext } from "../rebalance/context.ts";
import { heedFence } from "../sequencer/context.ts";
import type { Behind, Flag } from "./behind.ts";

const DIGEST_TIMEOUT_MS = 2_000;

export interface RepairContext extends RebalanceContext {
  readonly behind: Behind;
  /** Whether an attempt is moving the slot right now. */
  readonly moving: (slot: number) => boolean;
}

/** What one member holds in a slot. */
export interface Held {
  readonly digest: Digest;
  readonly keys: number;
  readonly tombstones: number;
  readonly bytes: number;
}

/** One slot under comparison: which members were asked, under which stamp, and what they said. */
export interface Compared {
  readonly runtime: SlotRuntime;
  readonly stamp: Stamp;
  readonly held: ReadonlyMap<NodeId, Held>;
  /** Those who said so. */
  readonly members: readonly NodeId[];
  /** Flags that the comparison took away. */
  readonly taken: ReadonlyMap<NodeId, Flag>;
  /** What is known to be missing is at least this new; undefined where nothing is known of it. */
  readonly since: Version | undefined;
}

/** What the members of a slot are asked. */
interface Question {
  readonly stamp: Stamp;
  /** What had disturbed the slot by then (in-step.ts). */
  readonly disturbances: number;
  readonly taken: ReadonlyMap<NodeId, Flag>;
}

export interface Comparison {
  readonly same: readonly Compared[];
  readonly different: readonly Compared[];
  /** Slots that could not be compared now; their flags stand. */
  readonly skipped: readonly number[];
}

/** Members of a slot that can be compared now; undefined where there is nothing to compare, or it is not the time. */
export function comparable({ slots, peers, moving }: RepairContext, slot: number): readonly NodeId[] | undefined {
  const runtime = slots[slot];
  if (!runtime || runtime.held || moving(slot)) return undefined;
  const present = runtime.members.filter((id) => {
    const peer = peers.get(id);
    return peer?.up === true && peer.confirmed[slot] === 1;
  });
  return present.length >= runtime.quorum ? present : undefined;
}

/** Whether the slot is still the one that was compared: not held, not moved, at the same stamp. */
export function unchanged({ runtime, stamp }: Compared): boolean {
  return !runtime.held && equal(runtime.stamp, stamp);
}

export function* compareSlots(context: RepairContext, slots: readonly number[]): Script<Comparison> {
  const asked = new Map<number, Question>();
  const byNode = new Map<NodeId, number[]>();
  for (const slot of slots) {
    const present = comparable(context, slot);
    const runtime = context.slots[slot];
    if (!present || !runtime) continue;
    asked.set(slot, {
      stamp: runtime.stamp,
      disturbances: runtime.inStep.disturbances,
      taken: new Map(present.map((id) => [id, context.behind.take(id, slot)])),
    });
    for (const id of present) {
      const list = byNode.get(id);
      if (list) list.push(slot);
      else byNode.set(id, [slot]);
    }
  }
  const held = yield* digestsOf(context, byNode, (slot) => asked.get(slot)?.stamp);
  return sortOut(context, slots, asked, held);
}

/** What each node holds in its slots; nodes that did not answer are left out. */
function* digestsOf(
  context: RepairContext,
  byNode: ReadonlyMap<NodeId, readonly number[]>,
  stampOf: (slot: number) => Stamp | undefined,
): Script<Map<NodeId, Map<number, Held>>> {
  const ids = [...byNode.keys()];
  const futures = ids.flatMap((id) => {
    const slots = byNode.get(id) ?? [];
    const stamps = slots.map((slot) => stampOf(slot) ?? ZERO);
    const link = context.peers.get(id)?.link;
    return link ? [link.ask({ op: "digest", slots, stamps }, DIGEST_TIMEOUT_MS)] : [];
  });
  const results = yield* wait(all(futures));
  const found = new Map<NodeId, Map<number, Held>>();
  ids.forEach((id, index) => {
    const result = results[index];
    if (result) heedFence(context.writing, result);
    if (result?.status !== "ok") return;
    const rows = (result as DigestResult).slots;
    const entries = (byNode.get(id) ?? []).flatMap((slot, row): [number, Held][] => {
      const [lane0, lane1, keys, tombstones, bytes] = rows[row] ?? [];
      if (lane0 === undefined || lane1 === undefined) return [];
      return [[slot, { digest: [lane0, lane1], keys: keys ?? 0, tombstones: tombstones ?? 0, bytes: bytes ?? 0 }]];
    });
    found.set(id, new Map(entries));
  });
  return found;
}

function sortOut(
  context: RepairContext,
  slots: readonly number[],
  asked: ReadonlyMap<number, Question>,
  held: ReadonlyMap<NodeId, ReadonlyMap<number, Held>>,
): Comparison {
  const same: Compared[] = [];
  const different: Compared[] = [];
  const skipped: number[] = [];
  for (const slot of slots) {
    const question = asked.get(slot);
    const runtime = context.slots[slot];
    const answers = new Map(
      [...(question?.taken.keys() ?? [])].flatMap((id): [NodeId, Held][] => {
        const found = held.get(id)?.get(slot);
        return found ? [[id, found]] : [];
      }),
    );
    if (!question || !runtime) {
      skipped.push(slot);
      continue;
    }
    const { stamp, taken } = question;
    const members = [...answers.keys()];
    const compared: Compared = { runtime, stamp, held: answers, members, taken, since: missedSince(context, taken) };
    if (answers.size < question.taken.size || !unchanged(compared)) {
      restore(context, compared);
      skipped.push(slot);
    } else if (agree([...answers.values()])) {
      same.push(compared);
      if (members.length === runtime.members.length) runtime.inStep.foundEqual(question.disturbances);
    } else different.push(compared);
  }
  return { same, different, skipped };
}

/** The lowest version that a member is known to have missed. */
function missedSince({ behind }: RepairContext, taken: ReadonlyMap<NodeId, Flag>): Version | undefined {
  const versions = [...taken].map(([id, flag]) => behind.missedFrom(id, flag)).filter((found) => found !== undefined);
  return versions.reduce<Version | undefined>((low, next) => (low && compare(low, next) < 0 ? low : next), undefined);
}

/** The slot was not compared, or not mended: its members are not known to be in step. */
export function restore({ behind }: RepairContext, { runtime, taken }: Compared): void {
  for (const [id, flag] of taken) behind.restore(id, runtime.slot, flag);
}

/** The slot was compared, and nothing is done about what it found. */
export function putBack({ behind }: RepairContext, { runtime, taken }: Compared): void {
  for (const [id, flag] of taken) behind.putBack(id, runtime.slot, flag);
}

/** What differed was mended. Where only what is newer than a known version was looked at, the slot is compared once more. */
export function mended({ behind }: RepairContext, { runtime, taken, since }: Compared): void {
  for (const [id, flag] of taken) {
    if (since) behind.recheck(id, runtime.slot, flag);
    else behind.settled(id, flag);
  }
}

/** The slot was compared, and is in order. */
export function settled({ behind }: RepairContext, { taken }: Compared): void {
  for (const [id, flag] of taken) behind.settled(id, flag);
}

function agree([first, ...others]: readonly Held[]): boolean {
  return others.every(({ digest }) => digestEqual(digest, first?.digest ?? digest));
}
