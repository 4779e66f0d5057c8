// The storage node's fence: whom it listens to (N1), which epochs (N2), and when it first answers at a new one (N3).
import { describe, expect, test } from "vitest";
import { EPOCH_JUMP_MAX } from "../../../shared/limits.ts";
import { FIRST, INCARNATION, KEY, NODE_A, NodeBench, OK, read, step, write } from "../../support/node-bench.ts";

const OTHER = "0000000f-0000-4000-8000-00000000000f";
const FENCED = { status: "error", code: "FENCED", fence: 3 };

describe("N1", () => {
  test.each([
    ["cluster", { cluster: OTHER }],
    ["node id", { node: "B" }],
    ["incarnation", { incarnation: OTHER }],
  ])("N1: a line for another %s is refused whole, and its epoch raises nothing", (_what, wrong) => {
    const node = NodeBench.member();
    const [answer] = node.send({ op: "batch", ...NODE_A, ...wrong, group: 0, epoch: 9, ops: [read()] });
    expect(answer).toMatchObject({ code: "WRONG_NODE", node: "A", incarnation: INCARNATION });
    expect(node.settle({ op: "inspect" })["fence"]).toBe(1);
  });

  test("N1: a blank node is nobody's", () => {
    const [answer] = new NodeBench().line([read()]);
    expect(answer).toMatchObject({ code: "WRONG_NODE", node: null });
  });
});

describe("N2", () => {
  test.each([
    ["reads", read()],
    ["writes", write([1, 9])],
    ["seals", step("seal", [1, 9])],
    ["incoming", step("incoming", [1, 9])],
    ["drops", step("drop", [1, 9])],
    ["roles", { op: "roles" }],
  ])("N2: a line of a lower epoch is refused, %s too", (_what, op) => {
    const node = NodeBench.member();
    node.ask([read([3, 0])], 3);
    expect(node.line([op])).toMatchObject([FENCED]);
    expect(node.ask([read([3, 0])], 3)).toMatchObject([{ ...OK, value: null }]);
  });

  test("N2, C6: a line of no reads raises the fence, and tells whether the epoch is that of the node", () => {
    const node = NodeBench.member();
    const ask = (epoch: number): unknown => node.settle({ op: "batch", ...NODE_A, group: 0, epoch, reads: [] });
    expect(ask(3)).toMatchObject({ ...OK, found: [] });
    expect(node.disk.control.fence).toBe(3);
    expect(ask(1)).toMatchObject(FENCED);
  });

  test("N2: a read raises the fence, durably before it is answered", () => {
    const node = NodeBench.member();
    expect(node.line([read([2, 0])], 2)).toEqual([]);
    expect(node.disk.control.fence).toBe(1);
    expect(node.sync()).toMatchObject([{ status: "ok" }]);
    expect(node.disk.control.fence).toBe(2);
  });

  test("N2: a refusal by a fence on its way to the disk waits until the fence is durable", () => {
    const node = NodeBench.member();
    node.line([read([3, 0])], 3);
    expect(node.line([read()])).toEqual([]);
    expect(node.sync()).toMatchObject([{ status: "ok" }, FENCED]);
  });

  test("N2: an epoch more than 2^20 above the fence is malformed and changes nothing", () => {
    const node = NodeBench.member();
    expect(node.line([read()], 1 + EPOCH_JUMP_MAX + 1)).toMatchObject([{ code: "BAD_REQUEST" }]);
    expect(node.settle({ op: "inspect" })["fence"]).toBe(1);
    expect(node.ask([read([1 + EPOCH_JUMP_MAX, 0])], 1 + EPOCH_JUMP_MAX)).toMatchObject([OK]);
  });

  test("N2: an adoption at a malformed epoch leaves the node blank", () => {
    const node = new NodeBench();
    const answer = node.settle({ op: "adopt", ...NODE_A, seed: 7, epoch: EPOCH_JUMP_MAX + 1 });
    expect(answer).toMatchObject({ code: "BAD_REQUEST" });
    expect(node.settle({ op: "inspect" })).toMatchObject({ cluster: null, node: null, fence: 0 });
  });

  test("N2: the fence outlives a crash once it was answered, and not before", () => {
    const node = NodeBench.member();
    node.line([read([2, 0])], 2);
    node.crash();
    expect(node.ask([read()])).toMatchObject([OK]);
    node.ask([read([3, 0])], 3);
    node.crash();
    expect(node.line([read()])).toMatchObject([FENCED]);
  });
});

describe("N3", () => {
  test("N3: the first answer at a higher epoch reflects every write accepted earlier", () => {
    const node = NodeBench.member();
    expect(node.line([write([1, 5], "earlier")])).toEqual([]);
    expect(node.line([read([2, 0])], 2)).toEqual([]);
    const [written, seen] = node.sync();
    expect(written).toMatchObject({ status: "ok", results: [OK] });
    expect(seen).toMatchObject({ results: [{ value: "earlier", version: [1, 5] }] });
  });

  test("N3: the first answer at a higher stamp reflects every write accepted earlier", () => {
    const node = NodeBench.member();
    node.line([write([1, 5], "earlier")]);
    expect(node.line([read([1, 2])])).toEqual([]);
    expect(node.sync()[1]).toMatchObject({ results: [{ value: "earlier" }] });
  });

  test("N3: a seal is answered only when the writes before it are durable", () => {
    const node = NodeBench.member();
    node.line([write([1, 5], "earlier")]);
    expect(node.line([step("seal", [1, 2])])).toEqual([]);
    expect(node.sync()).toHaveLength(2);
    expect(node.disk.register(read()["slot"] as number, KEY)?.value).toBe("earlier");
  });

  test("N3: a parked line is looked at again from the beginning, so a fence raised meanwhile refuses it", () => {
    const node = NodeBench.member();
    node.line([write([2, 1], "of epoch two", [2, 0])], 2);
    node.line([read([3, 0])], 3);
    const [late, read3] = node.sync();
    expect(late).toMatchObject(FENCED);
    expect(read3).toMatchObject({ results: [{ value: null }] });
  });

  test("N3: a parked line is looked at again, so a stamp raised meanwhile refuses it", () => {
    const node = NodeBench.member();
    node.line([write([1, 5], "late", [1, 2])]);
    node.line([step("seal", [1, 3])]);
    const [late, sealed] = node.sync();
    expect(late).toMatchObject({ results: [{ code: "STALE_SLOT", stamp: [1, 3] }] });
    expect(sealed).toMatchObject({ results: [OK] });
    expect(node.ask([read([1, 3])])).toMatchObject([{ value: null }]);
  });

  test("N3: lines at an epoch and a stamp that are durable do not wait for writes", () => {
    const node = NodeBench.member();
    node.line([write([1, 5])]);
    expect(node.line([read(FIRST)])).toMatchObject([{ results: [{ value: null }] }]);
  });
});
