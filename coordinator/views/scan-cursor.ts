// Cursor of a scan: where the next page begins, as text that clients hand back unread. It names a slot and the last key looked at
// there, never a node or an epoch, so it stays good across elections and while slots move; beside it, how far keys are spread.
import { KvError } from "../../shared/errors.ts";
import { compareKeys } from "../../shared/key-order.ts";
import { SLOTS } from "../../shared/limits.ts";

/** A place in the order of a scan: behind this key of this slot; at the start of the slot where there is no key. */
export interface Place {
  readonly slot: number;
  readonly key?: string | undefined;
}

export interface ScanCursor {
  readonly place: Place;
  /** Slots in which a thousand matching keys lie, by what was found so far. */
  readonly spread: number;
}

/** One match in the whole key space. */
export const SPREAD_MAX = SLOTS * 1_000;
const SPREAD_FIRST = 1_280;

export const START: ScanCursor = { place: { slot: 0 }, spread: SPREAD_FIRST };

/** Negative, zero or positive as `a` is before, at or behind `b`. */
export function comparePlaces(a: Place, b: Place): number {
  if (a.slot !== b.slot) return a.slot - b.slot;
  return compareKeys(a.key ?? "", b.key ?? "");
}

export function earlier(a: Place, b: Place): Place {
  return comparePlaces(a, b) <= 0 ? a : b;
}

/** Whether everything was looked at. */
export function atEnd({ slot }: Place): boolean {
  return slot >= SLOTS;
}

export function formatCursor({ place, spread }: ScanCursor): string {
  return place.key === undefined ? `${place.slot}.${spread}` : `${place.slot}.${spread}.${place.key}`;
}

/**
 * The inverse of `formatCursor`.
 * @throws KvError BAD_REQUEST for any other text, and for a cursor of another prefix
 */
export function parseCursor(text: string, prefix: string): ScanCursor {
  const match = /^(\d{1,4})\.(\d{1,7})(?:\.(.+))?$/s.exec(text);
  const slot = Number(match?.[1]);
  const spread = Number(match?.[2]);
  const key = match?.[3];
  if (!match || slot >= SLOTS || spread < 1 || spread > SPREAD_MAX || key?.startsWith(prefix) === false) {
    throw new KvError("BAD_REQUEST", "cursor: expected what an earlier page of a scan with the same prefix gave");
  }
  return { place: { slot, key }, spread };
}
