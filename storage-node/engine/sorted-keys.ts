// Looking up a place in keys that are sorted by their bytes.
import { compareKeys } from "../../shared/key-order.ts";

/** Index of the first item whose key is above `after`, in items that are sorted by their keys. */
export function firstAbove<Item>(sorted: readonly Item[], after: string, keyOf: (item: Item) => string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keyOf(sorted[middle] as Item), after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
