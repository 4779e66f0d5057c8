// Batches: how much one attempt moves. Bounded by keys and bytes, which is what copying takes, and by slots, all of which are held until
// the last of them has changed hands: what a hold does for each is small, but clients wait for the sum.
import { MOVE_BYTES_MAX, MOVE_KEYS_MAX } from "../../shared/limits.ts";

/** Slots of one attempt, the filled ones among them: what is written meanwhile is compared and copied while all of them are held. */
const SLOTS_MAX = 512;
const FILLED_SLOTS_MAX = 64;

export interface SlotLoad {
  readonly keys: number;
  readonly bytes: number;
}

/** The next moves to make together: at least one where there is any. */
export function nextBatch<T extends { readonly slot: number }>(
  moves: readonly T[],
  load: (slot: number) => SlotLoad,
): T[] {
  const batch: T[] = [];
  let keys = 0;
  let bytes = 0;
  let filled = 0;
  for (const move of moves) {
    if (batch.length >= SLOTS_MAX) break;
    const size = load(move.slot);
    const fits = keys + size.keys <= MOVE_KEYS_MAX && bytes + size.bytes <= MOVE_BYTES_MAX && filled < FILLED_SLOTS_MAX;
    if (size.keys > 0 && !fits && batch.length > 0) continue;
    batch.push(move);
    keys += size.keys;
    bytes += size.bytes;
    if (size.keys > 0) filled++;
  }
  return batch;
}
