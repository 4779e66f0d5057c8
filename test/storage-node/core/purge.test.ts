// Collection of tombstones on a storage node (N9): only under a seal, and never a value.
import { describe, expect, test } from "vitest";
import type { Stamp, Version } from "../../../shared/version.ts";
import { FIRST, KEY, NodeBench, OK, read, refused, SLOT, step, write, type Message } from "../../support/node-bench.ts";

const S: Stamp = [1, 5];

function purge(stamp: Stamp, upTo: Version): Message {
  return { op: "purge", slots: [SLOT], stamp, upTo };
}

/** A member that holds a tombstone of version 1.3. */
function withTombstone(): NodeBench {
  const node = NodeBench.member();
  node.ask([write([1, 3], null)]);
  return node;
}

describe("N9", () => {
  test("N9: a tombstone up to the version goes while the slot is sealed with that stamp, once that is durable", () => {
    const node = withTombstone();
    node.ask([step("seal", S)]);
    expect(node.line([purge(S, [1, 3])])).toEqual([]);
    expect(node.disk.register(SLOT, KEY)).toBeDefined();
    expect(node.sync()).toMatchObject([{ results: [OK] }]);
    expect(node.disk.register(SLOT, KEY)).toBeUndefined();
    expect(node.ask([read(S)])).toEqual([{ status: "ok", version: [0, 0], value: null }]);
  });

  test("N9: a tombstone above the version stays", () => {
    const node = withTombstone();
    node.ask([step("seal", S)]);
    expect(node.ask([purge(S, [1, 2])])).toEqual([OK]);
    expect(node.disk.register(SLOT, KEY)?.version).toEqual([1, 3]);
  });

  test("N9: a value stays, whatever its version", () => {
    const node = NodeBench.member();
    node.ask([write([1, 3], "value")]);
    node.ask([step("seal", S)]);
    expect(node.ask([purge(S, [1, 9])])).toEqual([OK]);
    expect(node.ask([read(S)])).toMatchObject([{ value: "value" }]);
  });

  test.each([
    ["lower than the seal's", [1, 4]],
    ["higher than the seal's", [1, 6]],
  ] as const)("N9: a purge at a stamp %s is refused, and raises nothing", (_what, stamp) => {
    const node = withTombstone();
    node.ask([step("seal", S)]);
    expect(node.ask([purge(stamp, [1, 3])])).toEqual([refused("NOT_SEALED")]);
    expect(node.disk.register(SLOT, KEY)).toBeDefined();
    expect(node.disk.control.slots[SLOT]?.stamp).toEqual(S);
  });

  test("N9: a new leader's fence ends every older seal", () => {
    const node = withTombstone();
    node.ask([step("seal", S)]);
    expect(node.ask([purge(S, [1, 3])], 2)).toEqual([refused("NOT_SEALED")]);
    expect(node.ask([purge([2, 0], [1, 3])], 2)).toEqual([refused("NOT_SEALED")]);
    expect(node.disk.register(SLOT, KEY)).toBeDefined();
  });

  test("N9: a node that is no member collects nothing", () => {
    const node = NodeBench.adopted();
    node.ask([step("incoming", S)]);
    expect(node.ask([purge(S, [1, 3])])).toEqual([refused("NOT_OWNER")]);
  });

  test("N9: what was collected stays collected over a crash, and the seal holds", () => {
    const node = withTombstone();
    node.ask([step("seal", S)]);
    node.ask([purge(S, [1, 3])]);
    node.crash();
    expect(node.disk.register(SLOT, KEY)).toBeUndefined();
    expect(node.ask([read(FIRST)])).toMatchObject([{ code: "STALE_SLOT", stamp: S }]);
    expect(node.ask([purge(S, [1, 3])])).toEqual([OK]);
  });
});
