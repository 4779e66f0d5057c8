// Counting up: the digests of many slots, asked of their nodes a few slots at a time. A node counts what changed since it was asked last,
// some microseconds a key, so that where clients are served they come in between, and the groups are paced like all upkeep. Slots that
// hold little go together in large groups: with few keys in thousands of slots, trips and rests would be all that takes time.
import type { NodeId } from "../../shared/ids.ts";
import type { DigestResult } from "../../shared/protocol/node-messages.ts";
import { all, wait, type Script } from "../../shared/script.ts";
import type { Stamp } from "../../shared/version.ts";
import { CLIENTS_GET, type Pacer, WORTH } from "../cluster/pacing.ts";
import { askPeer } from "./attempt.ts";
import type { RebalanceContext } from "./context.ts";

/** Keys that a node counts in one go, at most, roughly: a few milliseconds where all of them are new. */
const KEYS_AT_ONCE = { serving: 1_600, idle: 3_200 } as const;
/** Slots of the first group, about whose keys nothing is known, and of any. */
const SLOTS_FIRST = 32;
const SLOTS_MAX = 512;
/** How much larger a group is than the one before, at most: the next slots may hold more. */
const GROWTH_MAX = 4;

/** A node that is asked for a slot, at the stamp that it has there. */
export interface Holder {
  readonly node: NodeId;
  readonly stamp: Stamp;
}

/** Slots, and the stamp of each. */
interface SlotList {
  readonly slots: number[];
  readonly stamps: Stamp[];
}

/** What one node holds in one slot. */
export type DigestRow = DigestResult["slots"][number];

/**
 * Asks for all slots, in groups. Whoever does not answer is not asked again. Ends early with the leadership.
 * @param holders Whom to ask for each slot. `pacer`: undefined where somebody waits for the answer.
 * @param heard Takes every answer.
 */
export function* countUp(
  context: RebalanceContext,
  { holders, pacer }: { readonly holders: ReadonlyMap<number, readonly Holder[]>; readonly pacer: Pacer | undefined },
  heard: (slot: number, row: DigestRow) => void = () => {},
): Script<void> {
  const slots = [...holders.keys()];
  const silent = new Set<NodeId>();
  let size = SLOTS_FIRST;
  for (let start = 0; start < slots.length && context.active();) {
    const group = slots.slice(start, start + size);
    start += group.length;
    const asked = [...byHolder(group, holders)].filter(([node]) => !silent.has(node));
    const ask = (): Script<number[]> => counted(context, asked, { silent, heard });
    const worth = (held: number[]): number => sumOf(held) * WORTH.counted;
    const keys = yield* pacer ? pacer.step(ask, worth, CLIENTS_GET.rebalance) : ask();
    size = nextSize(group.length, Math.max(0, ...keys) / KEYS_AT_ONCE[pacer?.serving === true ? "serving" : "idle"]);
  }
}

/** Asks each node for its slots. @returns how many keys each of them holds there */
function* counted(
  context: RebalanceContext,
  asked: readonly (readonly [NodeId, SlotList])[],
  { silent, heard }: { readonly silent: Set<NodeId>; readonly heard: (slot: number, row: DigestRow) => void },
): Script<number[]> {
  const answers = yield* wait(all(asked.map(([node, list]) => askPeer(context, node, { op: "digest", ...list }))));
  return answers.map((answer, index) => {
    const [node, list] = asked[index] as (typeof asked)[number];
    if (answer.status === "error") {
      if (answer.code === "LOST") silent.add(node);
      return 0;
    }
    const rows = (answer as DigestResult).slots;
    rows.forEach((row, place) => heard(list.slots[place] as number, row));
    return sumOf(rows.map(([, , keys]) => keys));
  });
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

/** Slots of the next group. @param filled How much of what one node may count the group before came to. */
function nextSize(size: number, filled: number): number {
  const growth = Math.min(GROWTH_MAX, 1 / filled);
  return Math.min(SLOTS_MAX, Math.max(1, Math.floor(size * growth)));
}

/** Slots and their stamps, by the node that is asked. */
function byHolder(group: readonly number[], holders: ReadonlyMap<number, readonly Holder[]>): Map<NodeId, SlotList> {
  const lists = new Map<NodeId, SlotList>();
  for (const slot of group) {
    for (const { node, stamp } of holders.get(slot) ?? []) {
      const list = lists.get(node) ?? { slots: [], stamps: [] };
      lists.set(node, list);
      list.slots.push(slot);
      list.stamps.push(stamp);
    }
  }
  return lists;
}
