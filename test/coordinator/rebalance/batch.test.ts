// Batches: what one attempt may move.
import { expect, test } from "vitest";
import { nextBatch } from "../../../coordinator/rebalance/batch.ts";
import { MOVE_KEYS_MAX } from "../../../shared/limits.ts";

const moves = Array.from({ length: 4_096 }, (_, slot) => ({ slot }));

test("all slots of a batch are held together: however empty they are, a batch has few", () => {
  expect(nextBatch(moves, () => ({ keys: 0, bytes: 0 }))).toHaveLength(512);
  expect(nextBatch(moves, () => ({ keys: 1, bytes: 10 }))).toHaveLength(64);
});

test("a batch is bounded by keys, and holds a slot that is fuller than that alone", () => {
  const heavy = (slot: number): number => (slot === 0 ? 2 * MOVE_KEYS_MAX : MOVE_KEYS_MAX / 4);
  const load = (slot: number): { keys: number; bytes: number } => ({ keys: heavy(slot), bytes: 0 });
  expect(nextBatch(moves, load)).toEqual([{ slot: 0 }]);
  expect(nextBatch(moves.slice(1), load)).toHaveLength(4);
});

test("batch after batch, every slot is moved once", () => {
  const load = (slot: number): { keys: number; bytes: number } => ({ keys: slot % 3 === 0 ? 0 : 50, bytes: 500 });
  const moved: number[] = [];
  for (let left = moves; left.length > 0;) {
    const batch = nextBatch(left, load);
    moved.push(...batch.map(({ slot }) => slot));
    const done = new Set(batch);
    left = left.filter((move) => !done.has(move));
  }
  expect(moved.toSorted((a, b) => a - b)).toEqual(moves.map(({ slot }) => slot));
});
