// Loads: how many keys and bytes each slot holds, asked of all members side by side. A node counts what changed since it was asked last, so
// that it is asked for a bounded number of slots at a time: what clients ask comes in between.
import type { DigestResult } from "../../shared/protocol/node-messages.ts";
import { all, run, wait, type Script } from "../../shared/script.ts";
import type { Peer } from "../cluster/peers.ts";
import type { SlotLoad } from "./batch.ts";
import type { RebalanceContext } from "./context.ts";

const DIGEST_TIMEOUT_MS = 2_000;
const SLOTS_AT_ONCE = 64;

/** Keys and bytes of each slot, from whichever replica knows more. */
export function* slotLoads(context: RebalanceContext): Script<(slot: number) => SlotLoad> {
  const loads = new Map<number, SlotLoad>();
  yield* wait(all(context.peers.all().map((peer) => run(askLoads(context, peer, loads)))));
  return (slot) => loads.get(slot) ?? { keys: 0, bytes: 0 };
}

function* askLoads(context: RebalanceContext, peer: Peer, loads: Map<number, SlotLoad>): Script<void> {
  const own = context.slots.filter(({ members, slot }) => members.includes(peer.id) && peer.confirmed[slot] === 1);
  for (let start = 0; start < own.length && context.active(); start += SLOTS_AT_ONCE) {
    const group = own.slice(start, start + SLOTS_AT_ONCE);
    const slots = group.map(({ slot }) => slot);
    const op = { op: "digest", slots, stamps: group.map(({ stamp }) => stamp) } as const;
    const answer = yield* wait(peer.link.ask(op, DIGEST_TIMEOUT_MS));
    if (answer.status !== "ok") continue;
    const { slots: rows } = answer as DigestResult;
    slots.forEach((slot, row) => {
      const [, , keys, , bytes] = rows[row] ?? [0, 0, 0, 0, 0];
      if (keys >= (loads.get(slot)?.keys ?? 0)) loads.set(slot, { keys, bytes });
    });
  }
}
