// Registers of a storage node: which writes they take (N4), what they serve (N5), and what an answer states (N8).
import { describe, expect, test } from "vitest";
import { SLOTS } from "../../../shared/limits.ts";
import { KEY, NodeBench, read, SLOT, step, write, FIRST, type Message } from "../../support/node-bench.ts";

const STORED = { status: "ok", results: [{ status: "ok" }] };
const OTHER = (SLOT + 1) % SLOTS;
const ABSENT = { status: "ok", version: [0, 0], value: null };

function superseded(current: readonly number[]): Message {
  return { results: [{ status: "error", code: "SUPERSEDED", current }] };
}

function value(node: NodeBench): unknown {
  return node.ask([read()])[0]?.["value"];
}

describe("N4 against what is durable", () => {
  test("N4: a higher version is stored, and acknowledged when durable", () => {
    const node = NodeBench.member();
    node.ask([write([1, 5], "old")]);
    expect(node.line([write([1, 6], "new")])).toEqual([]);
    expect(node.disk.register(SLOT, KEY)?.value).toBe("old");
    expect(node.sync()).toMatchObject([STORED]);
    expect(node.disk.register(SLOT, KEY)?.value).toBe("new");
  });

  test("N4: an equal version is acknowledged at once and writes nothing", () => {
    const node = NodeBench.member();
    node.ask([write([1, 5])]);
    const { position } = node.disk;
    expect(node.line([write([1, 5])])).toMatchObject([STORED]);
    node.sync();
    expect(node.disk.position).toBe(position);
  });

  test("N4: a lower version is superseded, never acknowledged, and leaves the register as it is", () => {
    const node = NodeBench.member();
    node.ask([write([1, 5], "kept")]);
    expect(node.line([write([1, 4], "late")])).toMatchObject([superseded([1, 5])]);
    node.sync();
    expect(value(node)).toBe("kept");
  });

  test("N4: versions are ordered by epoch before sequence", () => {
    const node = NodeBench.member();
    node.ask([write([1, 900], "old epoch")]);
    expect(node.ask([write([2, 1], "new epoch", [2, 0])], 2)).toMatchObject([{ status: "ok" }]);
    expect(node.ask([write([1, 901], "late", [2, 0])], 2)).toMatchObject([{ code: "SUPERSEDED", current: [2, 1] }]);
  });

  test("N4: a tombstone supersedes like a value", () => {
    const node = NodeBench.member();
    node.ask([write([1, 5], null)]);
    expect(node.ask([write([1, 4], "late")])).toMatchObject([{ code: "SUPERSEDED", current: [1, 5] }]);
    expect(node.ask([read()])).toEqual([{ status: "ok", version: [1, 5], value: null }]);
  });
});

describe("N4 against what is on its way to the disk", () => {
  test("N4: a higher version replaces a pending one; both are acknowledged when durable", () => {
    const node = NodeBench.member();
    node.line([write([1, 5], "old")]);
    expect(node.line([write([1, 6], "new")])).toEqual([]);
    expect(node.sync()).toMatchObject([STORED, STORED]);
    expect(value(node)).toBe("new");
  });

  test("N4: an equal version waits for the pending one and writes nothing", () => {
    const node = NodeBench.member();
    const { position } = node.disk;
    node.line([write([1, 5])]);
    expect(node.line([write([1, 5])])).toEqual([]);
    expect(node.sync()).toMatchObject([STORED, STORED]);
    expect(node.disk.position).toBe(position + 1);
  });

  test("N4: a lower version is superseded by a pending one, which is durable by then (N8)", () => {
    const node = NodeBench.member();
    node.line([write([1, 5], "kept")]);
    expect(node.line([write([1, 4], "late")])).toEqual([]);
    expect(node.sync()).toMatchObject([STORED, superseded([1, 5])]);
    expect(value(node)).toBe("kept");
  });

  test("N4: within one line, writes of one key are compared in order", () => {
    const node = NodeBench.member();
    const results = node.ask([write([1, 5], "kept"), write([1, 4], "late"), write([1, 6], "last")]);
    expect(results).toMatchObject([{ status: "ok" }, { code: "SUPERSEDED", current: [1, 5] }, { status: "ok" }]);
    expect(value(node)).toBe("last");
  });

  test("N4: a write lost in a crash can be sent again under its version", () => {
    const node = NodeBench.member();
    node.line([write([1, 5], "again")]);
    node.crash();
    expect(node.ask([read()])).toEqual([ABSENT]);
    expect(node.ask([write([1, 5], "again")])).toEqual([{ status: "ok" }]);
    node.crash();
    expect(value(node)).toBe("again");
  });

  test("N4: registers outlive a crash, and go on superseding", () => {
    const node = NodeBench.member();
    node.ask([write([1, 5], "kept")]);
    node.crash();
    expect(node.line([write([1, 4], "late")])).toMatchObject([superseded([1, 5])]);
    expect(value(node)).toBe("kept");
  });
});

describe("N5", () => {
  test("N5: a read sees the durable value while a newer one is on its way", () => {
    const node = NodeBench.member();
    node.ask([write([1, 5], "durable")]);
    node.line([write([1, 6], "pending")]);
    expect(node.line([read()])).toMatchObject([{ results: [{ version: [1, 5], value: "durable" }] }]);
    expect(node.send({ op: "read", key: KEY })).toMatchObject([{ version: [1, 5], value: "durable" }]);
    node.sync();
    expect(value(node)).toBe("pending");
  });

  test("N5: digests and lists show only what is durable", () => {
    const node = NodeBench.member();
    node.line([write([1, 5])]);
    const digest = { op: "digest", slots: [SLOT], stamps: [FIRST] };
    const list = { op: "list", slots: [SLOT], stamps: [FIRST], limit: 10 };
    expect(node.line([digest, list])).toMatchObject([{ results: [{ slots: [[0, 0, 0, 0, 0]] }, { entries: [] }] }]);
    node.sync();
    expect(node.ask([list])).toMatchObject([{ entries: [[SLOT, KEY, [1, 5], 0]] }]);
  });
});

describe("N8", () => {
  test("N8: a line is answered when all of it is durable, refusals and reads in it included", () => {
    const node = NodeBench.member();
    expect(node.line([read(), write([1, 5])])).toEqual([]);
    expect(node.sync()).toMatchObject([{ results: [{ version: [0, 0] }, { status: "ok" }] }]);
  });

  test("N8: a line of writes that are all stored is answered with one ok, and with each result where one is not", () => {
    const node = NodeBench.member();
    node.line([write([1, 5]), write([1, 6])]);
    expect(node.sync()).toEqual([{ id: expect.any(Number) as number, status: "ok" }]);
    const answers = node.line([write([1, 6]), write([1, 4])]);
    expect(answers).toMatchObject([{ results: [{ status: "ok" }, { code: "SUPERSEDED" }] }]);
  });

  test("N8: reads that have more to tell than a line holds are answered in part, the first of them always", () => {
    const node = NodeBench.member();
    node.ask([write([1, 5], "v".repeat(200 * 1024))]);
    const brief = { ...read(), brief: true };
    const [answer] = node.line([brief, read(), read(), brief]);
    expect(answer).toMatchObject({ results: [{ version: [1, 5] }, { version: [1, 5] }] });
    expect(answer?.["results"]).toHaveLength(2);
    node.ask([write([1, 6], "v".repeat(1024 * 1024))]);
    expect(node.line([read(), read()])).toMatchObject([{ results: [{ version: [1, 6] }] }]);
  });

  test("N8: nothing is answered about a slot whose role is on its way to the disk", () => {
    const node = NodeBench.member();
    node.line([step("drop", [1, 2])]);
    expect(node.line([read([1, 2])])).toEqual([]);
    expect(node.send({ op: "read", key: KEY })).toEqual([]);
    expect(node.sync()).toMatchObject([
      { results: [{ status: "ok" }] },
      { results: [{ code: "NOT_OWNER" }] },
      { code: "NOT_OWNER" },
    ]);
  });

  test("N8: the roles that a node reports are durable", () => {
    const node = NodeBench.member();
    node.line([step("drop", [1, 2])]);
    expect(node.line([{ op: "roles" }])).toEqual([]);
    expect(node.sync()[1]).toMatchObject({ results: [{ roles: [{ role: "none", stamp: [1, 2], slots: [SLOT] }] }] });
  });

  test("N8: answers leave in the order in which their lines came", () => {
    const node = NodeBench.member();
    node.line([write([1, 5])]);
    node.line([write([1, 6])]);
    node.line([write([1, 5])]);
    const ids = node.sync().map((answer) => answer["id"] as number);
    expect(ids).toHaveLength(3);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  });
});

test("N5: a brief read tells the durable version alone, (0,0) where nothing was ever written", () => {
  const node = NodeBench.member();
  const brief = { ...read(), brief: true };
  expect(node.ask([brief])).toEqual([{ status: "ok", version: [0, 0] }]);
  node.ask([write([1, 5], "old")]);
  node.line([write([1, 6], "new")]);
  expect(node.line([brief])).toMatchObject([{ results: [{ status: "ok", version: [1, 5] }] }]);
  node.sync();
  expect(node.ask([brief])).toEqual([{ status: "ok", version: [1, 6] }]);
});

describe("a key in a slot that is not its own", () => {
  const astray = { ...write([1, 5]), slot: OTHER };
  const refused = { code: "BAD_REQUEST", message: `slot: the key belongs to slot ${SLOT}, not ${OTHER}` };

  test("is refused where it would be new, whether it waits for the disk in its own slot, is there, or is nowhere", () => {
    const node = NodeBench.member([SLOT, OTHER]);
    expect(node.ask([astray])).toMatchObject([refused]);
    expect(node.line([write([1, 4])])).toEqual([]);
    expect(node.line([astray])).toMatchObject([{ results: [refused] }]);
    node.sync();
    expect(node.ask([astray])).toMatchObject([refused]);
    expect(node.ask([read()])).toMatchObject([{ status: "ok", version: [1, 4] }]);
  });

  test("is not looked for there", () => {
    const node = NodeBench.member([SLOT, OTHER]);
    for (const brief of [true, false]) expect(node.ask([{ ...read(), slot: OTHER, brief }])).toMatchObject([refused]);
  });
});
