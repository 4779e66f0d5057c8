// Counting up: the digests of many slots, asked of their nodes a few slots at a time. A node counts what changed since it was asked last,
// some microseconds a key, so that where clients are served they come in between, and the groups are paced like all upkeep.
import type { NodeId } from "../../shared/ids.ts";
import type { DigestResult } from "../../shared/protocol/node-messages.ts";
import { all, wait, type Script } from "../../shared/script.ts";
import type { Stamp } from "../../shared/version.ts";
import { WORTH, type Pacer } from "../cluster/pacing.ts";
import { askPeer } from "./attempt.ts";
import type { RebalanceContext } from "./context.ts";

/** Slots asked for in one go: of many nodes' keys a few milliseconds, where all of them are new. */
const AT_ONCE = { serving: 32, idle: 64 } as const;

/** A node that is asked for a slot, at the stamp that it has there. */
export interface Holder {
  readonly node: NodeId;
  readonly stamp: Stamp;
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
  for (let start = 0; start < slots.length && context.active();) {
    const group = slots.slice(start, start + (pacer?.serving === true ? AT_ONCE.serving : AT_ONCE.idle));
    start += group.length;
    const began = pacer?.begin();
    const asked = [...byHolder(group, holders)].filter(([node]) => !silent.has(node));
    const answers = yield* wait(all(asked.map(([node, list]) => askPeer(context, node, { op: "digest", ...list }))));
    let keys = 0;
    answers.forEach((answer, index) => {
      const [node, list] = asked[index] as (typeof asked)[number];
      if (answer.status === "error") return void (answer.code === "LOST" && silent.add(node));
      (answer as DigestResult).slots.forEach((row, place) => {
        keys += row[2];
        heard(list.slots[place] as number, row);
      });
    });
    if (pacer && began) yield* pacer.rest(began, keys * WORTH.counted);
  }
}

/** Slots and their stamps, by the node that is asked. */
function byHolder(
  group: readonly number[],
  holders: ReadonlyMap<number, readonly Holder[]>,
): Map<NodeId, { slots: number[]; stamps: Stamp[] }> {
  const lists = new Map<NodeId, { slots: number[]; stamps: Stamp[] }>();
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
