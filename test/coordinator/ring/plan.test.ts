import { describe, expect, test } from "vitest";
import { planMoves, summarise } from "../../../coordinator/ring/plan.ts";
import { place } from "../../../coordinator/ring/placement.ts";
import { SLOTS } from "../../../shared/limits.ts";
import { membersNamed } from "./placement-facts.ts";

/** A table of `[A, B]` everywhere, but for the slots given. */
function table(exceptions: Record<number, string[]> = {}): string[][] {
  return Array.from({ length: SLOTS }, (_, slot) => exceptions[slot] ?? ["A", "B"]);
}

describe("planMoves", () => {
  test("equal tables need no move, and another order inside a list is none", () => {
    expect(planMoves(table(), table({ 9: ["B", "A"] }))).toEqual([]);
  });

  test("names who is added and who is removed, slot by slot", () => {
    const moves = planMoves(table({ 5: ["A"] }), table({ 3: ["C", "A"], 5: ["A", "C"], 7: ["B"] }));
    expect(moves).toEqual([
      { slot: 3, oldMembers: ["A", "B"], newMembers: ["C", "A"], added: ["C"], removed: ["B"] },
      { slot: 5, oldMembers: ["A"], newMembers: ["A", "C"], added: ["C"], removed: [] },
      { slot: 7, oldMembers: ["A", "B"], newMembers: ["B"], added: [], removed: ["A"] },
    ]);
  });

  test("from no table at all, every slot is a move", () => {
    const moves = planMoves([], table());
    expect(moves).toHaveLength(SLOTS);
    expect(moves[0]).toEqual({ slot: 0, oldMembers: [], newMembers: ["A", "B"], added: ["A", "B"], removed: [] });
  });

  test("a table of another length is our own mistake", () => {
    expect(() => planMoves([["A"]], table())).toThrow("table");
  });
});

describe("summarise", () => {
  test("adds up slots, keys and bytes per node, each replica that is added counted", () => {
    const moves = planMoves(table(), table({ 3: ["C", "A"], 5: ["C", "D"], 7: ["B"] }));
    const sizes: Record<number, { keys: number; bytes: number }> = {
      3: { keys: 10, bytes: 100 },
      5: { keys: 1, bytes: 7 },
    };
    const none = { slotsIn: 0, keysIn: 0, bytesIn: 0 };
    const noneOut = { slotsOut: 0, keysOut: 0, bytesOut: 0 };
    expect(summarise(moves, (slot) => sizes[slot] ?? { keys: 0, bytes: 0 })).toEqual({
      nodes: [
        { id: "A", ...none, slotsOut: 2, keysOut: 1, bytesOut: 7 },
        { id: "B", ...none, slotsOut: 2, keysOut: 11, bytesOut: 107 },
        { id: "C", slotsIn: 2, keysIn: 11, bytesIn: 107, ...noneOut },
        { id: "D", slotsIn: 1, keysIn: 1, bytesIn: 7, ...noneOut },
      ],
      slotsChanged: 3,
      slotsMoved: 3,
      keysMoved: 12,
      bytesMoved: 114,
    });
  });

  test("adding a fourth node to three copies fills it from the three others alike", () => {
    const old = place({ old: [], members: membersNamed(3), copies: 3, seed: 1 });
    const next = place({ old, members: membersNamed(4), copies: 3, seed: 1 });
    const summary = summarise(planMoves(old, next), () => ({ keys: 2, bytes: 50 }));
    expect(summary).toMatchObject({ slotsChanged: 3072, slotsMoved: 3072, keysMoved: 6144, bytesMoved: 153_600 });
    expect(summary.nodes.map((node) => [node.id, node.slotsIn, node.slotsOut])).toEqual([
      ["node-0", 0, 1024],
      ["node-1", 0, 1024],
      ["node-2", 0, 1024],
      ["node-3", 3072, 0],
    ]);
  });
});
