// Row of a register in a generation: its numbers in one piece of memory, 32 bits a field.
import type { Counted } from "./slot-account.ts";

/** Fields of a row: as many as a cache line has room for. */
export const ROW = 16;
/** `SLOTS` where the slot was wiped behind it. */
export const SLOT = 0;
export const CHUNK = 1;
/** The body: bytes START to END of its chunk, room is kept up to LIMIT. END 0: the register is gone. */
export const START = 2;
export const END = 3;
export const LIMIT = 4;
export const EPOCH = 5;
export const N_HIGH = 6;
export const N_LOW = 7;
/** The next entry of the slot, plus one. */
export const NEXT = 8;
/** 1: it changed since the slot's summary was last settled. */
export const WAITING = 9;
/** What the slot's live summary includes for it: see `COUNTED_…`, bytes, and the two lanes of its digest. */
const COUNTED = 10;
const COUNTED_BYTES = 11;
const LANE_0 = 12;
const LANE_1 = 13;

/** It was settled at least once. */
const COUNTED_BEFORE = 1;
/** And is included; where it is not, none of those that follow is set. */
const COUNTED_IN = 2;
const COUNTED_LIVE = 4;
const COUNTED_DIGEST = 8;

/** What the slot's live summary includes for a register; undefined before it was settled. */
export function countedIn(rows: Uint32Array, entry: number): Counted | null | undefined {
  const row = entry * ROW;
  const kind = rows[row + COUNTED] as number;
  if (kind === 0) return undefined;
  if ((kind & COUNTED_IN) === 0) return null;
  return {
    live: (kind & COUNTED_LIVE) !== 0,
    bytes: rows[row + COUNTED_BYTES] as number,
    digest: (kind & COUNTED_DIGEST) === 0 ? undefined : [rows[row + LANE_0] as number, rows[row + LANE_1] as number],
  };
}

export function putCounted(rows: Uint32Array, entry: number, counted: Counted | null): void {
  const row = entry * ROW;
  rows[row + COUNTED] = COUNTED_BEFORE;
  if (!counted) return;
  const { live, bytes, digest } = counted;
  rows[row + COUNTED] = COUNTED_BEFORE | COUNTED_IN | (live ? COUNTED_LIVE : 0) | (digest ? COUNTED_DIGEST : 0);
  rows[row + COUNTED_BYTES] = bytes;
  if (!digest) return;
  rows[row + LANE_0] = digest[0];
  rows[row + LANE_1] = digest[1];
}
