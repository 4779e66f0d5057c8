// Reads whose answer the leader knows already (C6), alone: a majority has to tell that it has no other leader.
import { expect, test } from "vitest";
import { FIVE, HEDGE_MS, ReadBench } from "./read-bench.ts";

/** A read of a key whose newest value is known, begun. */
function readKnown(): ReadBench {
  const bench = new ReadBench();
  bench.knows();
  bench.read.begin();
  return bench;
}

test("C6: what two reads have found is known to the next one, which asks a majority for the epoch alone", () => {
  const bench = new ReadBench();
  for (const read of [bench.read, bench.another()]) {
    read.begin();
    bench.answers("A", [1, 5]);
    bench.answers("B", [1, 5]);
  }
  bench.asked = [];
  bench.another().begin();
  expect(bench.asked).toEqual(["A epoch", "B epoch"]);
  bench.confirms("A");
  expect(bench.outcomes).toEqual([FIVE, FIVE]);
  bench.confirms("B");
  expect(bench.outcomes).toEqual([FIVE, FIVE, FIVE]);
});

test("C6: reads that begin before the question leaves share it, those that begin later ask again", () => {
  const bench = readKnown();
  bench.another().begin();
  expect(bench.asked).toEqual(["A epoch", "B epoch"]);
  bench.flush();
  bench.another().begin();
  expect(bench.asked).toEqual(["A epoch", "B epoch", "A epoch", "B epoch"]);
  bench.confirms("A");
  bench.confirms("B");
  expect(bench.outcomes).toEqual([FIVE]); // of the later round; the earlier one was not answered
});

test("C6: what is known is the answer as it was when the read began, also if the key is written meanwhile", () => {
  const bench = readKnown();
  bench.cache.issues({ op: "write", slot: 1, stamp: [1, 1], key: "k", version: [1, 6], value: "value 6" });
  bench.confirms("A");
  bench.confirms("B");
  expect(bench.outcomes).toEqual([FIVE]);
});

test("C6: a member that has another leader, or does not answer, has the read ask members for what they hold", () => {
  const fenced = readKnown();
  fenced.confirms("A", { status: "error", code: "FENCED", message: "over", fence: 9 });
  expect([fenced.fences, fenced.asked]).toEqual([[9], ["A epoch", "B epoch", "A", "B brief"]]);
  fenced.confirms("B");
  expect(fenced.outcomes).toEqual([]);
  const silent = readKnown();
  silent.confirms("A");
  silent.timers.advance(HEDGE_MS);
  silent.read.sweep(silent.timers.now);
  expect(silent.asked).toEqual(["A epoch", "B epoch", "A", "B brief"]);
  silent.confirms("B"); // too late: it is answered by what it asked since
  expect(silent.outcomes).toEqual([]);
  silent.answers("A", [1, 5]);
  silent.answers("B", [1, 5]);
  expect(silent.outcomes).toEqual([FIVE]);
});

test("M2: what could not be confirmed while its slot changes hands waits for that, and is asked for then", () => {
  const bench = readKnown();
  bench.runtime.held = true;
  bench.confirms("A", { status: "error", code: "NODE_UNREACHABLE", message: "gone" });
  expect(bench.asked).toEqual(["A epoch", "B epoch"]);
  Object.assign(bench.runtime, { held: false, stamp: [1, 2] });
  bench.free?.();
  expect(bench.asked).toEqual(["A epoch", "B epoch", "A", "B brief"]);
});

test("C6: members that are sluggish are not asked for the epoch; where too few others are left, versions are asked for", () => {
  const bench = new ReadBench();
  bench.knows();
  bench.sluggish.add("A");
  bench.read.begin();
  expect(bench.asked).toEqual(["B epoch", "C epoch"]);
  bench.flush();
  bench.sluggish.add("B");
  bench.another().begin();
  expect(bench.asked.slice(2)).toEqual(["C", "A brief"]);
});

test("C6: what a write may have overtaken is told, but not known to the next read", () => {
  const [onItsWay, issuedSince, heldSince] = [new ReadBench(), new ReadBench(), new ReadBench()];
  for (const bench of [onItsWay, issuedSince, heldSince]) bench.wasRead();
  onItsWay.unsettled = true;
  for (const bench of [onItsWay, issuedSince, heldSince]) bench.read.begin();
  onItsWay.unsettled = false;
  issuedSince.runtime.issued++;
  heldSince.runtime.stamp = [1, 2];
  for (const bench of [onItsWay, issuedSince, heldSince]) {
    bench.answers("A", [1, 5]);
    bench.answers("B", [1, 5]);
    expect([bench.outcomes, bench.cache.bytes]).toEqual([[FIVE], 0]);
  }
});

test("C6: levels one and all are told by replicas, whatever is known", () => {
  for (const level of ["one", "all"] as const) {
    const bench = new ReadBench(level);
    bench.knows();
    bench.read.begin();
    expect(bench.asked[0]).toBe("A");
  }
});
