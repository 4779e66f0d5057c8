// Remembered operations (C8): bounded in number and age, the oldest first; what runs is never forgotten.
import { expect, test } from "vitest";
import { OPERATIONS_REMEMBERED_MAX, OPERATIONS_REMEMBERED_MS } from "../../../shared/limits.ts";
import { KvError } from "../../../shared/errors.ts";
import type { WriteOutcome } from "../../../coordinator/sequencer/operation.ts";
import { Remembered } from "../../../coordinator/sequencer/remembered.ts";

function written(n: number): WriteOutcome {
  return { type: "written", version: [1, n] };
}

const FAILED = new KvError("NO_QUORUM", "nothing was sent");
const UNKNOWN = new KvError("TIMEOUT", "may or may not have happened");

function begin(remembered: Remembered, id: string, now: number): WriteOutcome | "begun" | "waits" {
  if (remembered.begin(id, now, false) !== "known") return "begun";
  let told: WriteOutcome | undefined;
  remembered.join(id, (outcome) => (told = outcome));
  return told ?? "waits";
}

function carriedOut(remembered: Remembered, id: string, now: number): void {
  remembered.begin(id, now, false);
  remembered.end(id, written(now));
}

test("C8: a retry joins the attempt that runs, and is told the outcome of the one that ran", () => {
  const remembered = new Remembered(7);
  expect(begin(remembered, "a", 0)).toBe("begun");
  let told: WriteOutcome | undefined;
  expect(remembered.begin("a", 1, false)).toBe("known");
  remembered.join("a", (outcome) => (told = outcome));
  remembered.end("a", written(7));
  expect(told).toEqual(written(7));
  expect(begin(remembered, "a", 2)).toEqual(written(7));
});

test("C8: a failed attempt is forgotten, and its next one is remembered for its own time", () => {
  const remembered = new Remembered(7);
  expect(begin(remembered, "a", 0)).toBe("begun");
  remembered.end("a", { type: "error", error: FAILED });
  carriedOut(remembered, "a", 10);
  expect(begin(remembered, "a", OPERATIONS_REMEMBERED_MS + 6)).toEqual(written(10));
});

test("C8: an attempt that was told its entry ends there, and where the table has turned over meanwhile, too", () => {
  const remembered = new Remembered(7);
  carriedOut(remembered, "before", 0);
  const entries = ["a", "b"].map((id) => {
    expect(begin(remembered, id, 1)).toBe("begun");
    return remembered.entry;
  });
  remembered.end("b", written(2), entries[1]);
  carriedOut(remembered, "turns over", OPERATIONS_REMEMBERED_MS + 1);
  remembered.end("a", written(1), entries[0]);
  for (const [id, n] of [
    ["a", 1],
    ["b", 2],
  ] as const)
    expect(begin(remembered, id, OPERATIONS_REMEMBERED_MS + 2)).toEqual(written(n));
  expect(begin(remembered, "before", OPERATIONS_REMEMBERED_MS + 2)).toEqual(written(0));
  expect(begin(remembered, "turns over", OPERATIONS_REMEMBERED_MS + 2)).toEqual(written(OPERATIONS_REMEMBERED_MS + 1));
});

test("C8: operations are remembered for their time, and at most for twice as long", () => {
  const remembered = new Remembered(7);
  const half = OPERATIONS_REMEMBERED_MS / 2;
  carriedOut(remembered, "a", 0);
  for (let now = half; now <= OPERATIONS_REMEMBERED_MS; now += half) {
    carriedOut(remembered, `b ${now}`, now);
    expect(begin(remembered, "a", now)).toEqual(written(0));
  }
  carriedOut(remembered, "c", OPERATIONS_REMEMBERED_MS + 1);
  expect(begin(remembered, "a", OPERATIONS_REMEMBERED_MS + 2)).toEqual(written(0));
  carriedOut(remembered, "d", 2 * OPERATIONS_REMEMBERED_MS + 2);
  expect(begin(remembered, "a", 2 * OPERATIONS_REMEMBERED_MS + 3)).toBe("begun");
});

test("C8: a full table forgets old ones, never the latest half of its size, however often it turned over", () => {
  const remembered = new Remembered(7);
  const turns = OPERATIONS_REMEMBERED_MAX * 2 + 7;
  for (let n = 0; n < turns; n++) carriedOut(remembered, `op ${n}`, n / 1000);
  expect(begin(remembered, `op ${turns - OPERATIONS_REMEMBERED_MAX / 2}`, turns / 1000)).not.toBe("begun");
  expect(begin(remembered, `op ${turns - OPERATIONS_REMEMBERED_MAX - 1}`, turns / 1000)).toBe("begun");
});

test("C8: what runs is never forgotten, however many others end meanwhile", () => {
  const remembered = new Remembered(7);
  expect(begin(remembered, "slow", 0)).toBe("begun");
  for (let n = 0; n < OPERATIONS_REMEMBERED_MAX * 2; n++) carriedOut(remembered, `op ${n}`, 1);
  expect(begin(remembered, "slow", 2)).toBe("waits");
  expect(begin(remembered, "slow", 3 * OPERATIONS_REMEMBERED_MS)).toBe("waits");
  remembered.end("slow", { type: "error", error: FAILED });
  expect(begin(remembered, "slow", 3 * OPERATIONS_REMEMBERED_MS)).toBe("begun");
});

test("C8: what an earlier epoch of this process wrote is told with that epoch, and all that was told beside the version", () => {
  const remembered = new Remembered(7);
  remembered.epochBegins(1);
  carriedOut(remembered, "plain", 5);
  remembered.begin("delete", 6, false);
  remembered.end("delete", { type: "written", version: [1, 6], found: true });
  remembered.epochBegins(4);
  remembered.begin("later", 7, false);
  remembered.end("later", { type: "written", version: [4, 7] });
  expect(begin(remembered, "plain", 8)).toEqual(written(5));
  expect(begin(remembered, "delete", 8)).toEqual({ type: "written", version: [1, 6], found: true });
  expect(begin(remembered, "later", 8)).toEqual({ type: "written", version: [4, 7] });
});

test("C8: after an unknown outcome every attempt is a later one, whatever its client says, until one succeeds (seed 641397)", () => {
  const remembered = new Remembered(7);
  const attempt = (now: number, retried = false): string => remembered.begin("a", now, retried);
  expect(attempt(0)).toBe("first");
  remembered.end("a", { type: "error", error: FAILED });
  expect(attempt(1)).toBe("first");
  remembered.end("a", { type: "error", error: UNKNOWN });
  expect(attempt(2)).toBe("later");
  remembered.end("a", { type: "error", error: FAILED });
  expect(attempt(OPERATIONS_REMEMBERED_MS + 1)).toBe("later"); // the table has turned over
  remembered.end("a", written(9));
  expect(attempt(OPERATIONS_REMEMBERED_MS + 2)).toBe("known");
});

test("C8: an operation that its client says was tried before is a later attempt, and so are those that come after it", () => {
  const remembered = new Remembered(7);
  expect(remembered.begin("a", 0, true)).toBe("later");
  expect(begin(remembered, "a", 1)).toBe("waits");
  remembered.end("a", { type: "error", error: FAILED });
  expect(remembered.begin("a", 2, false)).toBe("later");
});
