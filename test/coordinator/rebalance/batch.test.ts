// Batches: how much of a move is made at a time.
import { expect, test } from "vitest";
import { nextBatch } from "../../../coordinator/rebalance/batch.ts";

const moves = Array.from({ length: 4096 }, (_, slot) => ({ slot }));
const of =
  (keys: number, bytes = 0) =>
  () => ({ keys, bytes });

test("all empty slots go together, with as many filled ones as one attempt moves", () => {
  expect(nextBatch(moves, of(0), false)).toEqual(moves);
  const odd = (slot: number) => ({ keys: slot % 2 === 1 ? 100 : 0, bytes: 0 });
  const batch = nextBatch(moves, odd, false);
  expect(batch.filter(({ slot }) => slot % 2 === 0)).toHaveLength(2048);
  expect(batch.filter(({ slot }) => slot % 2 === 1)).toHaveLength(200);
});

test("keys, bytes and filled slots are bounded", () => {
  expect(nextBatch(moves, of(50), false)).toHaveLength(400);
  expect(nextBatch(moves, of(1, 1024 * 1024), false)).toHaveLength(16);
  expect(nextBatch(moves, of(1), false)).toHaveLength(512);
});

test("the first one of an operation is small", () => {
  expect(nextBatch(moves, of(50), true)).toHaveLength(20);
});

test("one slot at least, however large it is", () => {
  expect(nextBatch(moves, of(10_000_000), true)).toEqual([{ slot: 0 }]);
  expect(nextBatch([], of(1), true)).toEqual([]);
});
