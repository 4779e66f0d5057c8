// Quorum reads (C6) alone: who is asked for the value, who for the version, and when one speaks for all.
import { expect, test } from "vitest";
import { failure } from "../../../coordinator/links/link.ts";
import type { NodeId } from "../../../shared/ids.ts";
import { FIVE, HEDGE_MS, ReadBench } from "./read-bench.ts";

test("C6: one member is asked for the value, the other for its version; equal versions are the answer, in any order", () => {
  for (const order of [
    ["A", "B"],
    ["B", "A"],
  ]) {
    const bench = new ReadBench();
    bench.read.begin();
    expect(bench.asked).toEqual(["A", "B brief"]);
    for (const node of order) bench.answers(node, [1, 5]);
    expect(bench.outcomes).toEqual([FIVE]);
  }
});

test("C6: where the two disagree the third is asked for its value, and whoever agrees with it has the say", () => {
  for (const [a, b] of [
    [5, 4],
    [4, 5],
  ] as const) {
    const bench = new ReadBench();
    bench.read.begin();
    bench.answers("A", [1, a]);
    bench.answers("B", [1, b]);
    expect(bench.asked).toEqual(["A", "B brief", "C"]);
    bench.answers("C", [1, 5]);
    expect(bench.outcomes).toEqual([FIVE]);
  }
});

test("C6: three versions are a case for FIX", () => {
  const bench = new ReadBench();
  bench.read.begin();
  for (const [node, n] of [
    ["A", 3],
    ["B", 4],
    ["C", 5],
  ] as const)
    bench.answers(node, [1, n]);
  expect(bench.outcomes).toEqual(["fix"]);
});

test("a member that was asked for the value and is silent or refuses is passed over for one that is asked for it, too", () => {
  for (const event of ["silent", "refuses"]) {
    const bench = new ReadBench();
    bench.read.begin();
    bench.answers("B", [1, 5]);
    if (event === "refuses") bench.refuses("A");
    else bench.read.sweep(HEDGE_MS);
    expect(bench.asked).toEqual(["A", "B brief", "C"]);
    bench.answers("C", [1, 5]);
    expect(bench.outcomes).toEqual([FIVE]);
  }
});

test("a sluggish member is asked last; level one asks one for the value, level all the others for their versions", () => {
  const bench = new ReadBench();
  bench.sluggish.add("A");
  bench.read.begin();
  expect(bench.asked).toEqual(["B", "C brief"]);
  const one = new ReadBench("one");
  one.read.begin();
  expect(one.asked).toEqual(["A"]);
  const all = new ReadBench("all");
  all.read.begin();
  expect(all.asked).toEqual(["A", "B brief", "C brief"]);
  for (const node of ["C", "B", "A"]) all.answers(node, [1, 5]);
  expect(all.outcomes).toEqual([FIVE]);
});

test("C6: replicas that disagree while a write is under way answer with it once a quorum has it, and without FIX", () => {
  const bench = new ReadBench();
  bench.writeUnderWay = true;
  bench.read.begin();
  bench.answers("A", [1, 3]);
  expect(bench.follower).toBeUndefined(); // a majority has to have answered since the read began
  bench.answers("B", [1, 4]);
  bench.read.sweep(500);
  expect([bench.asked, bench.outcomes]).toEqual([["A", "B brief"], []]);
  const issued = {
    op: "write",
    slot: 1,
    stamp: [1, 1],
    key: "k",
    version: [1, 6],
    value: "value 5",
    origin: [1, 5],
  } as const;
  bench.follower?.landed(issued);
  expect(bench.outcomes).toEqual([FIVE]);
});

test("C6: by its deadline a read that waits for a write says that replicas disagree, not that too few answer", () => {
  const bench = new ReadBench();
  bench.writeUnderWay = true;
  bench.read.begin();
  bench.answers("A", [1, 3]);
  bench.answers("B", [1, 4]);
  expect(bench.read.sweep(1_000)).toBe(false);
  const error = { code: "NO_QUORUM", outcome: "failed", message: expect.stringContaining("disagree") as unknown };
  expect(bench.outcomes).toMatchObject([{ type: "error", error }]);
});

test("C6: a write that came to nothing has its follower begin again; level all does not follow", () => {
  const bench = new ReadBench();
  bench.writeUnderWay = true;
  bench.read.begin();
  bench.answers("A", [1, 3]);
  bench.answers("B", [1, 4]);
  bench.writeUnderWay = false;
  bench.follower?.landed(undefined);
  expect(bench.asked).toEqual(["A", "B brief", "A", "B brief"]);
  for (const node of ["A", "B"]) bench.answers(node, [1, 5]);
  expect(bench.outcomes).toEqual([FIVE]);
  const all = new ReadBench("all");
  all.writeUnderWay = true;
  all.read.begin();
  for (const [node, n] of [
    ["A", 3],
    ["B", 4],
    ["C", 4],
  ] as const)
    all.answers(node, [1, n]);
  expect(all.outcomes).toEqual(["fix"]);
});

/** A read of a slot whose members are in step, begun. */
function readInStep(level: "one" | "quorum" | "all" = "quorum"): ReadBench {
  const bench = new ReadBench(level);
  bench.inStep.foundEqual(0);
  bench.read.begin();
  return bench;
}

test("C6: where members are in step one tells the value and another that it is at this epoch, in any order", () => {
  const bench = readInStep();
  expect(bench.asked).toEqual(["A", "B epoch"]);
  bench.answers("A", [1, 5]);
  expect(bench.outcomes).toEqual([]);
  bench.confirms("B");
  expect(bench.outcomes).toEqual([FIVE]);
  const other = readInStep();
  other.confirms("B");
  expect(other.outcomes).toEqual([]);
  other.answers("A", [1, 5]);
  expect(other.outcomes).toEqual([FIVE]);
});

test("C6: as many tell their epoch as have to agree otherwise", () => {
  const bench = new ReadBench();
  Object.assign(bench.runtime, { members: ["A", "B", "C", "D", "E"] as NodeId[], quorum: 3 });
  bench.inStep.foundEqual(0);
  bench.read.begin();
  expect(bench.asked).toEqual(["A", "B epoch", "C epoch"]);
  bench.answers("A", [1, 5]);
  bench.confirms("B");
  expect(bench.outcomes).toEqual([]);
  bench.confirms("C");
  expect(bench.outcomes).toEqual([FIVE]);
});

test("C6: what a member tells while a write is on its way, or after one went astray, is not told by it alone", () => {
  for (const event of ["sent", "strayed"]) {
    const bench = readInStep();
    bench.inStep.sent();
    if (event === "strayed") bench.inStep.strayed(true);
    bench.answers("A", [1, 5]);
    bench.confirms("B");
    expect([bench.asked, bench.outcomes]).toEqual([["A", "B epoch", "B brief"], []]);
    bench.answers("B", [1, 5]);
    expect(bench.outcomes).toEqual([FIVE]);
  }
});

test("C6: a write that came and has arrived since the read began does not hinder it", () => {
  const bench = readInStep();
  bench.inStep.sent();
  bench.confirms("B");
  bench.inStep.arrived();
  bench.answers("A", [1, 5]);
  expect([bench.asked, bench.outcomes]).toEqual([["A", "B epoch"], [FIVE]]);
});

test("C6: while a write is on its way, and at the other levels, more than one is asked from the beginning", () => {
  const bench = new ReadBench();
  bench.inStep.foundEqual(0);
  bench.inStep.sent();
  bench.read.begin();
  expect(bench.asked).toEqual(["A", "B brief"]);
  expect(readInStep("one").asked).toEqual(["A"]);
  expect(readInStep("all").asked).toEqual(["A", "B brief", "C brief"]);
});

test("C6: a refusal of the epoch, or of the value, has the read ask for versions; a fence is heeded", () => {
  const bench = readInStep();
  bench.answers("A", [1, 5]);
  bench.confirms("B", failure("LOST", "the connection closed"));
  expect([bench.asked, bench.outcomes]).toEqual([["A", "B epoch", "B brief"], []]);
  bench.answers("B", [1, 5]);
  expect(bench.outcomes).toEqual([FIVE]);
  const refused = readInStep();
  refused.refuses("A");
  expect(refused.asked).toEqual(["A", "B epoch", "B", "C brief"]);
  const fenced = readInStep();
  fenced.confirms("B", { ...failure("FENCED", "epoch 1 is over"), fence: 2 });
  expect(fenced.fences).toEqual([2]);
});

test("C6: silence of either has the read ask others for what they hold", () => {
  const bench = readInStep();
  bench.confirms("B");
  bench.timers.advance(HEDGE_MS - 1);
  bench.read.sweep(bench.timers.now);
  expect(bench.asked).toEqual(["A", "B epoch"]);
  bench.timers.advance(HEDGE_MS);
  bench.read.sweep(bench.timers.now);
  expect(bench.asked).toEqual(["A", "B epoch", "B", "C"]);
  for (const node of ["C", "B"]) bench.answers(node, [1, 5]);
  expect(bench.outcomes).toEqual([FIVE]);
  const other = readInStep();
  other.answers("A", [1, 5]);
  other.timers.advance(HEDGE_MS);
  other.read.sweep(other.timers.now);
  expect([other.asked, other.outcomes]).toEqual([["A", "B epoch", "B", "C"], []]);
  other.answers("C", [1, 5]);
  expect(other.outcomes).toEqual([FIVE]);
});

test("C6: a member that is sluggish neither speaks for all nor confirms; too few others, and versions are asked for", () => {
  const bench = new ReadBench();
  bench.inStep.foundEqual(0);
  bench.sluggish.add("A");
  bench.read.begin();
  expect(bench.asked).toEqual(["B", "C epoch"]);
  const lonely = new ReadBench();
  lonely.inStep.foundEqual(0);
  lonely.sluggish.add("A");
  lonely.sluggish.add("B");
  lonely.read.begin();
  expect(lonely.asked).toEqual(["C", "A brief"]);
});

test("C6: where the members changed meanwhile, those of now are asked", () => {
  const bench = readInStep();
  bench.runtime.members = ["B", "C", "D"] as NodeId[];
  bench.inStep.disturb();
  bench.confirms("B");
  expect(bench.asked).toEqual(["A", "B epoch", "B", "C brief"]);
  bench.answers("A", [1, 4]);
  expect(bench.outcomes).toEqual([]);
});
