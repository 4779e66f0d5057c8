// Counting up: every slot is asked for once, in groups that hold about as many keys, however the keys are spread.
import { expect, test } from "vitest";
import { countUp, type Holder } from "../../../coordinator/rebalance/count-up.ts";
import type { RebalanceContext } from "../../../coordinator/rebalance/context.ts";
import type { NodeId } from "../../../shared/ids.ts";
import type { DigestOp, OpResult } from "../../../shared/protocol/node-messages.ts";
import { Future, run } from "../../../shared/script.ts";

const SLOTS = 4_096;
const NODES = ["A", "B"] as NodeId[];

/** Counts all slots up. @returns the sizes of the groups, and the slots that were heard of, once for each node */
function counted(keysOf: (slot: number) => number): { sizes: number[]; heard: number[] } {
  const sizes: number[] = [];
  const ask = (op: DigestOp): Future<OpResult> => {
    sizes.push(op.slots.length);
    const answer = new Future<OpResult>();
    answer.resolve({ status: "ok", slots: op.slots.map((slot) => [0, 0, keysOf(slot), 0, 0]) } as OpResult);
    return answer;
  };
  const peers = { get: () => ({ link: { ask } }) };
  const context = { peers, active: () => true } as unknown as RebalanceContext;
  const holders = new Map<number, Holder[]>();
  for (let slot = 0; slot < SLOTS; slot++)
    holders.set(
      slot,
      NODES.map((node) => ({ node, stamp: [1, 1] })),
    );
  const heard: number[] = [];
  run(countUp(context, { holders, pacer: undefined }, (slot) => heard.push(slot)));
  return { sizes: sizes.filter((_, index) => index % NODES.length === 0), heard };
}

const everySlot = Array.from({ length: SLOTS }, (_, slot) => slot);

test("slots that hold little go together in large groups, full ones by themselves", () => {
  const empty = counted(() => 0);
  expect(empty.sizes.slice(0, 4)).toEqual([32, 128, 512, 512]);
  expect(empty.sizes.length).toBeLessThan(12);
  const usual = counted(() => 50);
  expect(usual.sizes.slice(0, 3)).toEqual([32, 64, 64]);
  const full = counted(() => 10_000);
  expect(full.sizes.slice(0, 3)).toEqual([32, 1, 1]);
  for (const { heard } of [empty, usual, full])
    expect(heard.toSorted((a, b) => a - b)).toEqual(everySlot.flatMap((slot) => NODES.map(() => slot)));
});

test("where full slots follow empty ones a group is four times as large as the one before, at most", () => {
  const { sizes } = counted((slot) => (slot < 2_048 ? 0 : 100));
  for (const [index, size] of sizes.entries()) if (index > 0) expect(size).toBeLessThanOrEqual(4 * sizes[index - 1]!);
  expect(sizes.at(-2)).toBe(32);
});
