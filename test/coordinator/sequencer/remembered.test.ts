// Remembered operations (C8): bounded in number and age, the oldest first; what runs is never forgotten.
import { expect, test } from "vitest";
import { OPERATIONS_REMEMBERED_MAX, OPERATIONS_REMEMBERED_MS } from "../../../shared/limits.ts";
import type { WriteOutcome } from "../../../coordinator/sequencer/operation.ts";
import { Remembered } from "../../../coordinator/sequencer/remembered.ts";

function written(n: number): WriteOutcome {
  return { type: "written", version: [1, n] };
}

function begin(remembered: Remembered, id: string, now: number): WriteOutcome | "begun" | "waits" {
  let told: WriteOutcome | undefined;
  if (remembered.begin(id, now, (outcome) => (told = outcome)) === "begun") return "begun";
  return told ?? "waits";
}

function carriedOut(remembered: Remembered, id: string, now: number): void {
  remembered.begin(id, now, () => {});
  remembered.end(id, written(now));
}

test("C8: a retry joins the attempt that runs, and is told the outcome of the one that ran", () => {
  const remembered = new Remembered();
  expect(begin(remembered, "a", 0)).toBe("begun");
  let told: WriteOutcome | undefined;
  expect(remembered.begin("a", 1, (outcome) => (told = outcome))).toBe("joined");
  remembered.end("a", written(7));
  expect(told).toEqual(written(7));
  expect(begin(remembered, "a", 2)).toEqual(written(7));
});

test("C8: a failed attempt is forgotten, and its next one is remembered for its own time", () => {
  const remembered = new Remembered();
  carriedOut(remembered, "first", 0);
  expect(begin(remembered, "a", 0)).toBe("begun");
  remembered.end("a", { type: "error", error: new Error() as never });
  carriedOut(remembered, "a", 10);
  carriedOut(remembered, "b", OPERATIONS_REMEMBERED_MS + 5); // forgets what is older than the limit: first, not a
  expect(begin(remembered, "a", OPERATIONS_REMEMBERED_MS + 6)).toEqual(written(10));
  expect(begin(remembered, "first", OPERATIONS_REMEMBERED_MS + 6)).toBe("begun");
});

test("C8: operations are remembered for their time, and no longer", () => {
  const remembered = new Remembered();
  carriedOut(remembered, "a", 0);
  carriedOut(remembered, "b", OPERATIONS_REMEMBERED_MS);
  expect(begin(remembered, "a", OPERATIONS_REMEMBERED_MS)).toEqual(written(0));
  carriedOut(remembered, "c", OPERATIONS_REMEMBERED_MS + 1);
  expect(begin(remembered, "a", OPERATIONS_REMEMBERED_MS + 1)).toBe("begun");
  expect(begin(remembered, "b", OPERATIONS_REMEMBERED_MS + 1)).toEqual(written(OPERATIONS_REMEMBERED_MS));
});

test("C8: a full table forgets the oldest, however often it turned over", () => {
  const remembered = new Remembered();
  const turns = OPERATIONS_REMEMBERED_MAX * 2;
  for (let n = 0; n < turns; n++) carriedOut(remembered, `op ${n}`, n / 1000);
  expect(begin(remembered, `op ${turns - OPERATIONS_REMEMBERED_MAX}`, turns / 1000)).not.toBe("begun");
  expect(begin(remembered, `op ${turns - OPERATIONS_REMEMBERED_MAX - 1}`, turns / 1000)).toBe("begun");
});
