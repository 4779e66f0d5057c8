// Batches: how much one attempt moves. Bounded by keys and bytes, not by slots: all empty slots go in one.
import { FIRST_MOVE_KEYS_MAX, MOVE_BYTES_MAX, MOVE_KEYS_MAX } from "../../shared/limits.ts";

/** Filled slots of one attempt: each adds to how long all of them are held. */
const FILLED_SLOTS_MAX = 512;

export interface SlotLoad {
  readonly keys: number;
  readonly bytes: number;
}

/** The next moves to make together: at least one where there is any. @param first Whether the operation has moved nothing yet. */
export function nextBatch<T extends { readonly slot: number }>(
  moves: readonly T[],
  load: (slot: number) => SlotLoad,
  first: boolean,
): T[] {
  const keysMax = first ? FIRST_MOVE_KEYS_MAX : MOVE_KEYS_MAX;
  const batch: T[] = [];
  let keys = 0;
  let bytes = 0;
  let filled = 0;
  for (const move of moves) {
    const size = load(move.slot);
    const fits = keys + size.keys <= keysMax && bytes + size.bytes <= MOVE_BYTES_MAX && filled < FILLED_SLOTS_MAX;
    if (size.keys > 0 && !fits && batch.length > 0) continue;
    batch.push(move);
    keys += size.keys;
    bytes += size.bytes;
    if (size.keys > 0) filled++;
  }
  return batch;
}
