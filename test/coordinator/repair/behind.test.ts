// Behind: what the leader remembers of a node that missed writes: flags, and from which version on.
import { expect, test } from "vitest";
import { Behind } from "../../../coordinator/repair/behind.ts";
import type { NodeId } from "../../../shared/ids.ts";

const C = "C" as NodeId;

test("the lowest version that a node missed is where mending begins, whatever came first", () => {
  const behind = new Behind(() => 0);
  behind.missed(C, 7, [3, 20]);
  behind.missed(C, 9, [3, 12]);
  behind.missed(C, 7, [3, 31]);
  expect(behind.missedFrom(C, behind.take(C, 7))).toEqual([3, 12]);
  expect(behind.missedFrom(C, behind.take(C, 8))).toBeUndefined();
});

test("what was mended from there on is looked at once more, and only then in step", () => {
  const behind = new Behind(() => 5);
  behind.missed(C, 7, [3, 20]);
  behind.recheck(C, 7, behind.take(C, 7));
  expect(behind.lag(C)).toMatchObject({ missed: 0, unchecked: 1, since: 5 });
  const again = behind.take(C, 7);
  expect(behind.missedFrom(C, again)).toBeUndefined();
  behind.settled(C, again);
  expect(behind.lag(C)).toEqual({ missed: 0, unchecked: 0, since: undefined });
});

test("in step, a node begins anew", () => {
  const behind = new Behind(() => 0);
  behind.missed(C, 7, [3, 20]);
  behind.settled(C, behind.take(C, 7));
  behind.missed(C, 7, [3, 90]);
  expect(behind.missedFrom(C, behind.take(C, 7))).toEqual([3, 90]);
});
