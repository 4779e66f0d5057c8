// Looking up a place in keys that are sorted by their bytes.
import { compareKeys } from "../../shared/key-order.ts";

/** Index of the first key above `after` in sorted keys. */
export function firstAbove(sorted: readonly string[], after: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(sorted[middle] ?? "", after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
