// A slot is one of 4096 pieces of the key space; a key's slot never changes for the life of a cluster (its seed is fixed).
import { hash32 } from "./hash.ts";
import { SLOTS } from "./limits.ts";

/** Slot of a key, 0–4095. @param seed The cluster's hash seed. */
export function slotOf(key: string, seed: number): number {
  return hash32(key, seed) % SLOTS;
}

/** All slots, in order. */
export function allSlots(): number[] {
  return Array.from({ length: SLOTS }, (_, slot) => slot);
}
