// What shares a sending (C3, C6), and the order of one connection's operations on one key, in a whole sequencer, against members that
// answer when a test says so.
import { expect, test } from "vitest";
import { KvError } from "../../../shared/errors.ts";
import { DEADLINE_MS, KeyBench } from "./key-bench.ts";

test("C6: reads behind writes of their connection share the sending, and find what stands before each of them", () => {
  const bench = new KeyBench();
  bench.put("a");
  bench.get();
  bench.put("b");
  bench.get();
  bench.put("c");
  bench.get();
  expect(bench.sent).toEqual(["A 1.1=a", "B 1.1=a", "C 1.1=a"]);
  bench.answer("AB");
  expect(bench.told).toEqual({ 1: "1.1" }); // the others have begun after it was sent: it proves nothing for them
  expect(bench.sent).toEqual(["C 1.1=a", "A 1.3=c", "B 1.3=c", "C 1.3=c"]);
  bench.answer("AB");
  expect(bench.told).toEqual({ 1: "1.1", 2: "a 1.1", 3: "1.2", 4: "b 1.2", 5: "1.3", 6: "c 1.3" });
  expect(bench.sent).toEqual(["C 1.1=a", "C 1.3=c"]);
});

test("reads behind the last write ask the replicas, since nothing that is sent later confirms it", () => {
  const bench = new KeyBench();
  bench.put("a");
  bench.get();
  bench.answer("ABC");
  expect(bench.sent).toEqual(["A read", "B read"]);
  bench.answer("AB", { version: [1, 1], value: "a" });
  expect(bench.told).toEqual({ 1: "1.1", 2: "a 1.1" });
});

test("a write waits for the reads that its connection sent before, and holds nothing meanwhile; another's goes at once", () => {
  const bench = new KeyBench();
  bench.get();
  const own = bench.put("own");
  expect(bench.sent).toEqual(["A read", "B read"]);
  const behind = bench.get();
  bench.put("other", { key: "l", client: 2 });
  expect(bench.sent).toEqual(["A read", "B read", "A 1.1=other", "B 1.1=other", "C 1.1=other"]);
  bench.answer("AB", { version: [1, 0], value: "before" });
  expect(bench.told[1]).toBe("before 1.0");
  expect(bench.lastWrite()).toMatchObject({ value: "own", version: [1, 2] });
  bench.answer("AB");
  expect([bench.told[own], bench.told[behind]]).toEqual(["1.2", "own 1.2"]);
});

test("others do not wait behind a write that waits for a read of its connection, and what that connection sent later does", () => {
  const bench = new KeyBench();
  bench.get({ level: "all" });
  const own = bench.put("own");
  const ownRead = bench.get();
  const other = bench.put("other", { client: 2 });
  expect(bench.lastWrite()).toMatchObject({ value: "other" });
  bench.answer("AB", { version: [1, 0], value: "before" });
  expect(bench.told).toEqual({ [other]: "1.1" });
  bench.answer("C", { version: [1, 0], value: "before" });
  expect(bench.lastWrite()).toMatchObject({ value: "own" });
  bench.answer("ABC");
  expect([bench.told[own], bench.told[ownRead]]).toEqual(["1.2", "own 1.2"]);
});

test("when the epoch is over, nothing begins because what it waited for has ended", () => {
  const bench = new KeyBench();
  bench.get();
  bench.put("own");
  bench.sequencer.end((sent) => new KvError(sent ? "TIMEOUT" : "NOT_LEADER", "over"));
  expect(bench.told).toEqual({ 1: "NOT_LEADER", 2: "NOT_LEADER" });
  expect(bench.sent).toEqual(["A read", "B read"]);
});

test("C6: FIX of such a read goes before the write that waits for it", () => {
  const bench = new KeyBench();
  bench.get();
  bench.put("own");
  bench.answer("A", { version: [1, 0], value: "new" });
  bench.answer("B", { version: [0, 9], value: "old" });
  bench.answer("C", { version: [0, 8], value: "older" });
  expect(bench.sent).toEqual(["A read", "B read", "C read"]); // FIX asks again
  bench.answer("ABC", { version: [1, 0], value: "new" });
  expect(bench.told).toEqual({ 1: "new 1.0" });
  expect(bench.sent).toEqual(["A 1.1=own", "B 1.1=own", "C 1.1=own"]);
});

test("a write on condition keeps its place, too: behind reads of its connection, before those that come later", () => {
  const bench = new KeyBench();
  bench.get();
  const own = bench.put("own", { condition: "absent" });
  bench.get();
  expect(bench.sent).toEqual(["A read", "B read"]);
  bench.answer("AB", { version: [1, 0], value: "before" });
  expect(bench.sent).toEqual(["A read", "B read", "C read"]);
  for (let readings = 0; readings < 2; readings++) bench.answer("ABC", { version: [1, 0], value: "before" });
  expect(bench.told[own]).toBe("CONDITION_FAILED");
  expect(bench.sent).toEqual(["A read", "B read"]);
});

test("where the writes are refused by all, reads among them ask the replicas", () => {
  const bench = new KeyBench();
  bench.put("a");
  bench.get();
  bench.put("b");
  bench.get();
  bench.answer("ABC");
  bench.refuse("ABC");
  expect(bench.told).toEqual({ 1: "1.1", 3: "DISK_FULL" });
  bench.answer("AB", { version: [1, 1], value: "a" });
  expect(bench.told).toMatchObject({ 2: "a 1.1", 4: "a 1.1" });
});

test("C5: a read before a write that is in doubt does not tell what may be newer than itself; one behind it asks", () => {
  const bench = new KeyBench();
  bench.put("a");
  bench.get({ deadline: 10 * DEADLINE_MS });
  bench.put("b");
  bench.get({ deadline: 10 * DEADLINE_MS });
  bench.answer("ABC");
  bench.after(DEADLINE_MS + 20);
  expect(bench.told).toEqual({ 1: "1.1", 2: "NO_QUORUM", 3: "TIMEOUT" });
  expect(bench.sent.filter((sent) => sent.endsWith("read"))).toHaveLength(2);
});

test("a read whose write expired while the slot changed hands does not tell the write behind it (seed 640649)", () => {
  const bench = new KeyBench();
  bench.runtime.held = true;
  bench.put("a", { condition: "absent" });
  bench.put("b");
  const read = bench.get({ deadline: 10 * DEADLINE_MS });
  const last = bench.put("c", { deadline: 10 * DEADLINE_MS });
  bench.after(DEADLINE_MS + 20);
  bench.sequencer.release([1]);
  bench.answer("ABC");
  expect(bench.told).toMatchObject({ 1: "MOVING", 2: "MOVING", [read]: "NO_QUORUM", [last]: "1.1" });
});

test("a read that waits for its turn by the deadline leaves the queue, and says what it waited for", () => {
  const bench = new KeyBench();
  bench.put("a", { deadline: 10 * DEADLINE_MS });
  bench.get();
  bench.after(DEADLINE_MS + 20);
  expect(bench.told).toEqual({ 2: "NO_QUORUM" });
  bench.answer("ABC");
  expect(bench.sent).toEqual([]);
});

test("a write that waits for a read by the deadline leaves the queue, and what is behind it goes on", () => {
  const bench = new KeyBench();
  bench.get({ deadline: 10 * DEADLINE_MS });
  bench.put("own");
  bench.put("other", { client: 2, deadline: 10 * DEADLINE_MS });
  bench.after(DEADLINE_MS + 20);
  expect(bench.told).toEqual({ 2: "NO_QUORUM" });
  expect(bench.lastWrite()).toMatchObject({ value: "other" });
});

test("reads at levels one and all do not share a sending; one connection's reads do not wait for each other", () => {
  const bench = new KeyBench();
  bench.put("a");
  for (const level of ["one", "all"] as const) bench.get({ level });
  bench.put("b");
  bench.answer("ABC");
  expect(bench.sent).toEqual(["A read", "A read", "B read", "C read"]);
  bench.answer("ABC", { version: [1, 1], value: "a" });
  expect(bench.told).toEqual({ 1: "1.1", 2: "a 1.1", 3: "a 1.1" });
  expect(bench.lastWrite()).toMatchObject({ value: "b" });
});

test("C6: a slot's members are in step when all of them have acknowledged its writes, acknowledged to clients or not", () => {
  const { inStep } = new KeyBench().runtime;
  inStep.foundEqual(0);
  const bench = new KeyBench();
  Object.assign(bench.runtime, { inStep });
  bench.put("a");
  bench.answer("AB");
  expect([bench.told, inStep.now]).toEqual([{ 1: "1.1" }, false]);
  bench.get();
  expect(bench.sent).toEqual(["C 1.1=a", "A read", "B read"]);
  bench.answer("ABC", { version: [1, 1], value: "a" });
  expect(inStep.now).toBe(true);
  bench.get();
  expect(bench.sent).toEqual(["A read"]);
});

test("C6: a write that a member refused leaves the slot to be compared; what nobody has acknowledged keeps it from that", () => {
  const bench = new KeyBench();
  const { inStep } = bench.runtime;
  bench.put("a");
  bench.answer("AB");
  bench.refuse("C");
  inStep.foundEqual(inStep.disturbances);
  expect(inStep.now).toBe(true);
  bench.put("b");
  bench.refuse("C", "LOST");
  inStep.foundEqual(inStep.disturbances);
  expect(inStep.known).toBe(false);
  bench.answer("A");
  inStep.foundEqual(inStep.disturbances);
  expect(inStep.now).toBe(true);
});

test("C6: what every member has refused leaves the slot to be compared, at once or by its deadline", () => {
  for (const code of ["DISK_FULL", "LOST"] as const) {
    const bench = new KeyBench();
    const { inStep } = bench.runtime;
    bench.put("a");
    bench.refuse("ABC", code);
    for (let ms = 0; ms <= DEADLINE_MS; ms += 10) {
      bench.after(10);
      bench.refuse("ABC", code);
    }
    expect(bench.told).toEqual({ 1: code === "DISK_FULL" ? "DISK_FULL" : "TIMEOUT" });
    inStep.foundEqual(inStep.disturbances);
    expect(inStep.now).toBe(code === "DISK_FULL"); // what is lost may have been carried out
  }
});

test("M2: a slot that was held is compared before one member speaks for it", () => {
  const bench = new KeyBench();
  const { inStep } = bench.runtime;
  inStep.foundEqual(inStep.disturbances);
  bench.sequencer.hold([1]);
  expect(inStep.known).toBe(false);
});

test("C6: what reads found is told without asking, and so is what was written over it; nothing while that is on its way", () => {
  const bench = new KeyBench(1_000_000);
  for (const _time of [1, 2]) {
    bench.get();
    bench.answer("AB");
  }
  const again = bench.get();
  bench.confirm("AB");
  expect(bench.told[again]).toBe("- 1.0");
  const put = bench.put("new");
  const meanwhile = bench.get({ client: 2 });
  expect(bench.told).not.toHaveProperty(String(meanwhile));
  bench.answer("AB");
  const after = bench.get();
  bench.confirm("AB");
  expect([bench.told[put], bench.told[after], bench.sent]).toEqual(["1.1", "new 1.1", ["C 1.1=new"]]);
});
