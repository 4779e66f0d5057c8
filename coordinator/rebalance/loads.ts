// Loads: how many keys and bytes each slot holds, asked of all members.
import type { NodeId } from "../../shared/ids.ts";
import type { Script } from "../../shared/script.ts";
import type { Pacer } from "../cluster/pacing.ts";
import type { SlotLoad } from "./batch.ts";
import type { RebalanceContext } from "./context.ts";
import { countUp } from "./count-up.ts";

/**
 * Keys and bytes of each slot, from whichever replica knows more.
 * @param pacer Undefined where somebody waits for them.
 */
export function* slotLoads(context: RebalanceContext, pacer?: Pacer): Script<(slot: number) => SlotLoad> {
  const { peers, slots } = context;
  const loads = new Map<number, SlotLoad>();
  const confirmed = (slot: number) => (node: NodeId) =>
    peers.get(node)?.up === true && peers.get(node)?.confirmed[slot] === 1;
  const holders = new Map(
    slots.map(({ slot, members, stamp }) => [slot, members.filter(confirmed(slot)).map((node) => ({ node, stamp }))]),
  );
  yield* countUp(context, { holders, pacer }, (slot, [, , keys, , bytes]) => {
    if (keys >= (loads.get(slot)?.keys ?? 0)) loads.set(slot, { keys, bytes });
  });
  return (slot) => loads.get(slot) ?? { keys: 0, bytes: 0 };
}
