// The checker against histories whose verdict is known by hand, and against its own budget.

import { describe, expect, test } from "vitest";
import { cas, done, get, put, refused, remove, unknown, verdictOf } from "../support/histories.ts";
import type { Operation } from "./history.ts";
import { checkHistory } from "./linearizability.ts";

function explanationOf(operations: readonly Operation[]): string {
  const result = checkHistory(operations);
  return result.ok === false ? result.explanation : verdictOf(result);
}

describe("histories of one register that are linearizable", () => {
  const good: Readonly<Record<string, readonly Operation[]>> = {
    "nothing at all": [],
    "the key is absent at first": [get([0, 1], null)],
    "a read during a put sees either value": [put([0, 1], "a"), put([2, 9], "b"), get([3, 4], "a"), get([5, 6], "b")],
    "operations that touch at one instant are concurrent": [put([0, 5], "a"), get([5, 6], null)],
    "an unknown put seen late": [
      put([0, 1], "a"),
      unknown("put", 2, { value: "b" }),
      get([3, 4], "a"),
      put([5, 6], "c"),
      get([7, 8], "c"),
      get([9, 10], "b"),
    ],
    "an unknown put never seen": [unknown("put", 0, { value: "a" }), get([1, 2], null), get([3, 4], null)],
    "an unknown delete explains absence after a put (C8)": [
      unknown("delete", 0),
      put([1, 2], "a"),
      get([3, 4], "a"),
      get([5, 6], null),
    ],
    "two unknown deletes explain absence twice": [
      unknown("delete", 0),
      unknown("delete", 0),
      put([1, 2], "a"),
      get([3, 4], null),
      put([5, 6], "b"),
      get([7, 8], null),
    ],
    "a chain of conditional writes": [
      done("create", [0, 1], { value: "a", result: { value: "a", version: "1.1" } }),
      cas([2, 3], "1.1", "b", "1.2"),
      cas([4, 5], "1.2", "c", "1.3"),
      get([6, 7], "c", "1.3"),
    ],
    "an unknown conditional write seen by a later one": [
      put([0, 1], "a", "1.1"),
      unknown("cas", 2, { expected: "1.1", value: "b" }),
      get([3, 4], "b", "1.2"),
      cas([5, 6], "1.2", "c", "1.3"),
    ],
    "a condition refused because an unseen unknown put came between": [
      put([0, 1], "a", "1.1"),
      unknown("put", 2, { value: "b" }),
      refused("cas", [3, 4], { expected: "1.1" }),
    ],
    "a create refused because an unseen unknown put came first": [
      unknown("put", 0, { value: "b" }),
      refused("create", [1, 2]),
    ],
    "a delete that found what an unseen unknown create had put": [
      unknown("create", 0, { value: "b" }),
      remove([1, 2], { found: true }),
      get([3, 4], null),
    ],
    "a condition refused after a conditional delete of unknown outcome": [
      put([0, 1], "a", "1.1"),
      unknown("delete", 2, { expected: "1.1" }),
      refused("cas", [3, 4], { expected: "1.1" }),
      get([5, 6], null),
    ],
    "an unread put waits for the delete it overwrites": [
      put([0, 1], "a"),
      put([2, 9], "b"),
      remove([3, 8]),
      get([4, 10], null),
      refused("create", [10, 11]),
    ],
    "a concurrent delete comes after the put it clears, however early it was sent": [
      put([0, 9], "a"),
      remove([0, 9]),
      get([10, 11], null),
    ],
    "a failed write without a condition has no effect": [
      put([0, 1], "a"),
      done("put", [2, 3], { value: "b", outcome: "failed" }),
      get([4, 5], "a"),
    ],
    "a get without an answer says nothing": [put([0, 1], "a"), unknown("get", 2)],
  };
  test.each(Object.entries(good))("%s", (_name, operations) => {
    expect(checkHistory(operations)).toEqual({ ok: true, operations: operations.length });
  });
});

describe("histories of one register that are not linearizable", () => {
  const bad: Readonly<Record<string, readonly Operation[]>> = {
    "a stale read": [put([0, 1], "a"), put([2, 3], "b"), get([4, 5], "a")],
    "a lost update: an acknowledged put that is not there": [put([0, 1], "a"), get([2, 3], null)],
    "absent after an acknowledged put over an earlier delete": [
      put([0, 1], "a"),
      remove([2, 3]),
      put([4, 5], "b"),
      get([6, 7], null),
    ],
    "A, B, A by a blind retry (C8)": [
      put([0, 20], "a"),
      get([1, 2], "a"),
      put([3, 4], "b"),
      get([5, 6], "b"),
      get([7, 8], "a"),
    ],
    "a retry that writes the same value under a second version (C8)": [
      put([0, 20], "a"),
      get([1, 2], "a", "1.1"),
      get([3, 4], "a", "2.1"),
    ],
    "a read that goes back during one put": [put([0, 1], "a"), put([2, 20], "b"), get([3, 4], "b"), get([5, 6], "a")],
    "two compare-and-sets that succeed on one version (C7)": [
      put([0, 1], "a", "1.1"),
      cas([2, 9], "1.1", "b", "1.2"),
      cas([3, 8], "1.1", "c", "1.3"),
    ],
    "a compare-and-set on a version that was overwritten (C7)": [
      put([0, 1], "a", "1.1"),
      put([2, 3], "b", "1.2"),
      cas([4, 5], "1.1", "c", "1.3"),
    ],
    "a compare-and-set that loses a concurrent update": [
      put([0, 1], "a", "1.1"),
      put([2, 3], "b", "1.2"),
      get([4, 5], "b", "1.2"),
      cas([4, 9], "1.1", "c", "1.3"),
      get([10, 11], "c"),
    ],
    "a compare-and-set on a version that no answer showed": [put([0, 1], "a"), cas([2, 3], "9.9", "b")],
    "a create over a value": [put([0, 1], "a"), done("create", [2, 3], { value: "b" })],
    "a condition refused while it was true throughout (C7)": [
      put([0, 1], "a", "1.1"),
      refused("cas", [2, 3], { expected: "1.1" }),
      get([4, 5], "a", "1.1"),
    ],
    "a condition refused while it was true, and nothing else asked (C7)": [
      put([0, 1], "a", "1.1"),
      refused("cas", [2, 3], { expected: "1.1" }),
    ],
    "a condition refused while it was true, though an unknown put could come later (C7)": [
      put([0, 1], "a", "1.1"),
      refused("cas", [2, 3], { expected: "1.1" }),
      unknown("put", 4, { value: "b" }),
    ],
    "a create refused while the key was absent throughout (C7)": [refused("create", [0, 1])],
    "a refusal that shows a value already overwritten": [
      put([0, 1], "a", "1.1"),
      put([2, 3], "b", "1.2"),
      refused("create", [4, 5], { result: { value: "a", version: "1.1" } }),
    ],
    "a refusal that shows the very version it required": [
      put([0, 1], "a", "1.1"),
      put([2, 9], "b", "1.2"),
      refused("cas", [3, 4], { expected: "1.1", result: { value: "a", version: "1.1" } }),
    ],
    "an unknown put seen, then unseen": [
      put([0, 1], "a"),
      unknown("put", 2, { value: "b" }),
      get([3, 4], "b"),
      get([5, 6], "a"),
    ],
    "an unknown put seen before it was sent": [get([0, 1], "a"), unknown("put", 2, { value: "a" })],
    "one unknown delete cannot clear two puts": [
      unknown("delete", 0),
      put([1, 2], "a"),
      get([3, 4], null),
      put([5, 6], "b"),
      get([7, 8], null),
    ],
    "one unseen unknown put cannot explain two refusals": [
      unknown("put", 0, { value: "x" }),
      refused("create", [1, 2]),
      remove([3, 4]),
      refused("create", [5, 6]),
    ],
    "an unknown delete sent only after the absence was seen": [
      put([0, 1], "a"),
      get([2, 3], null),
      unknown("delete", 4),
    ],
    "a delete that found something where nothing was": [remove([0, 1], { found: true })],
    "a delete that found nothing where something was": [put([0, 1], "a"), remove([2, 3], { found: false })],
    "a value nobody wrote": [get([0, 1], "ghost")],
    "the value of a failed write": [done("put", [0, 1], { value: "a", outcome: "failed" }), get([2, 3], "a")],
    "the value of a refused write": [
      put([0, 1], "a", "1.1"),
      refused("create", [2, 3], { value: "b" }),
      get([4, 5], "b"),
    ],
    "two writes that share a version (C3)": [put([0, 9], "a", "1.1"), put([0, 9], "b", "1.1")],
  };
  test.each(Object.entries(bad))("%s", (_name, operations) => {
    expect(verdictOf(checkHistory(operations))).toBe("violation");
  });
});

describe("verdicts", () => {
  test("keys are judged apart, and the key at fault is named", () => {
    const other = [put([0, 1], "a"), get([2, 3], "a")].map((operation) => ({ ...operation, key: "other" }));
    const result = checkHistory([...other, put([0, 1], "a"), get([2, 3], null)]);
    expect(result).toMatchObject({ ok: false, key: "k" });
    expect(checkHistory([...other, put([0, 1], "a")])).toEqual({ ok: true, operations: 3 });
  });

  test("the explanation ends at the first answer that no order explains", () => {
    const later = Array.from({ length: 50 }, (_, index) => put([100 + 2 * index, 101 + 2 * index], `later-${index}`));
    const explanation = explanationOf([put([0, 1], "a"), put([2, 3], "b"), get([4, 5], "a"), ...later]);
    expect(explanation.split("\n")).toEqual([
      "key k is not linearizable: the history fails once the operation marked > is answered at 5: " +
        '[0, 1] client 1: put "a" -> ok was in effect throughout a time in which [2, 3] client 1: put "b" -> ok was too, or had to be.',
      '  [0, 1] client 1: put "a" -> ok',
      '  [2, 3] client 1: put "b" -> ok',
      '> [4, 5] client 1: get -> ok "a"',
    ]);
  });

  test("the explanation of a long history stays short and keeps the write that was read", () => {
    const before = Array.from({ length: 500 }, (_, index) => put([2 * index, 2 * index + 1], `value-${index}`));
    const explanation = explanationOf([...before, get([1000, 1001], "value-7")]);
    expect(explanation.split("\n").length).toBeLessThan(30);
    expect(explanation).toContain('put "value-7" -> ok');
    expect(explanation).toContain('> [1000, 1001] client 1: get -> ok "value-7"');
  });

  test("beyond the budget a key is undecided, never linearizable; a violation elsewhere outweighs it", () => {
    const operations = [put([0, 1], "a"), get([2, 3], "a")];
    expect(checkHistory(operations, { stepsMax: 1 })).toEqual({ undecided: true, key: "k" });
    const other = { ...get([0, 1], "ghost"), key: "other" };
    expect(checkHistory([...operations, other], { stepsMax: 1 })).toMatchObject({ ok: false, key: "other" });
  });

  test("a history that contradicts itself is an error, not a verdict", () => {
    const malformed: readonly Operation[][] = [
      [put([5, 4], "a")],
      [{ ...put([0, 1], "a"), completed: null }],
      [done("put", [0, 1])],
      [done("get", [0, 1])],
      [done("cas", [0, 1], { value: "a" })],
      [put([0, 1], "a"), put([2, 3], "a")],
      [unknown("put", 0, { value: "a", result: { value: "a" } })],
      [done("cas", [0, 1], { value: "a", expected: "1.1", conditionMet: false })],
      [done("put", [0, 1], { value: "a", outcome: "failed", conditionMet: false })],
      [done("put", [0, 1], { value: "a", expected: "1.1" })],
    ];
    for (const operations of malformed) expect(() => checkHistory(operations)).toThrow(/malformed history of key k/);
  });
});
