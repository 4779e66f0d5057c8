// Replicas of a key, as they lie on the members' disks (C9).
import { memberOf } from "../../shared/cluster-state.ts";
import { slotOf } from "../../shared/slot.ts";
import { format, ZERO } from "../../shared/version.ts";
import type { World } from "./world.ts";

/** Whether all members of the key's slot hold it at the same version, by the leader's state; false while nobody leads. */
export function isEqual(world: World, key: string): boolean {
  const state = world.leader?.core?.state;
  if (!state) return false;
  const slot = slotOf(key, state.seed);
  const versions = state.slots[slot]?.members.map((id) => {
    const address = memberOf(state, id)?.address ?? "";
    return format(world.nodes.get(address)?.disk.register(slot, key)?.version ?? ZERO);
  });
  return new Set(versions).size <= 1;
}
