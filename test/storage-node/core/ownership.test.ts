// Ownership of slots on a storage node: stamps (N6), and the roles that the steps of a re-seating give and take (N7).
import { describe, expect, test } from "vitest";
import type { Stamp } from "../../../shared/version.ts";
import {
  copy,
  FIRST,
  install,
  KEY,
  NodeBench,
  OK,
  read,
  refused,
  SLOT,
  step,
  write,
  type Message,
} from "../../support/node-bench.ts";

const S: Stamp = [1, 5];
const LATER: Stamp = [1, 6];

const firstInstall = { ...install(FIRST), first: true };

function incoming(): NodeBench {
  const node = NodeBench.adopted();
  node.ask([step("incoming", S)]);
  return node;
}

function roleOf(node: NodeBench): Message {
  const { role, stamp, since, copied } = node.disk.control.slots[SLOT] ?? {};
  return { role, stamp, since, copied };
}

describe("N6", () => {
  test.each([
    ["reads", read(FIRST)],
    ["writes", write([1, 9], "late", FIRST)],
    ["digests", { op: "digest", slots: [SLOT], stamps: [FIRST] }],
    ["lists", { op: "list", slots: [SLOT], stamps: [FIRST], limit: 1 }],
    ["removals", { op: "remove", slot: SLOT, stamp: FIRST, keys: [KEY] }],
  ])("N6: %s below the slot's stamp are refused with that stamp", (_what, op) => {
    const node = NodeBench.member();
    node.ask([step("seal", S)]);
    expect(node.ask([op])).toMatchObject([{ code: "STALE_SLOT", stamp: S }]);
  });

  test.each(["seal", "incoming", "drop"] as const)("N6: %s below the slot's stamp is refused", (op) => {
    const node = NodeBench.member();
    node.ask([write([1, 2], "kept")]);
    node.ask([step("seal", S)]);
    expect(node.ask([step(op, [1, 4])])).toEqual([refused("STALE_SLOT")]);
    expect(node.ask([read(S)])).toMatchObject([{ value: "kept" }]);
  });

  test.each(["incoming", "copied"] as const)("N6: %s of an attempt that a higher stamp ended is refused", (op) => {
    const node = incoming();
    node.ask([read(LATER)]);
    expect(node.ask([step(op, S)])).toEqual([refused("STALE_SLOT")]);
    expect(roleOf(node)).toMatchObject({ role: "incoming", stamp: LATER, since: S, copied: false });
  });

  test.each(["incoming", "copied"] as const)("N6: %s of an attempt below (fence, 0) is refused", (op) => {
    const node = incoming();
    expect(node.ask([step(op, S)], 2)).toEqual([refused("STALE_SLOT")]);
  });

  test("N6: install below the slot's stamp is refused", () => {
    const node = NodeBench.member();
    node.ask([step("seal", S)]);
    expect(node.ask([install([1, 4])])).toEqual([refused("STALE_SLOT")]);
  });

  test("N6: a stamp below (fence, 0) is refused, however new it is to the slot", () => {
    const node = NodeBench.member();
    expect(node.ask([read([1, 900])], 2)).toMatchObject([{ code: "STALE_SLOT", stamp: [2, 0] }]);
    expect(node.ask([read([2, 0])], 2)).toMatchObject([OK]);
  });

  test("N6: a higher stamp is durable before its answer, and outlives a crash", () => {
    const node = NodeBench.member();
    expect(node.line([read(S)])).toEqual([]);
    expect(roleOf(node)).toMatchObject({ stamp: FIRST });
    expect(node.sync()).toMatchObject([{ results: [OK] }]);
    node.crash();
    expect(node.ask([read(FIRST)])).toMatchObject([{ code: "STALE_SLOT", stamp: S }]);
  });

  test("N6: a stamp equal to (fence, 0) needs no record", () => {
    const node = NodeBench.member();
    node.ask([{ op: "roles" }], 2);
    const { position } = node.disk;
    expect(node.line([read([2, 0])], 2)).toMatchObject([{ results: [OK] }]);
    node.sync();
    expect(node.disk.position).toBe(position);
  });

  test("N6: a seal refuses writes of the old stamp and keeps the role", () => {
    const node = NodeBench.member();
    expect(node.ask([step("seal", S)])).toEqual([OK]);
    expect(node.ask([write([1, 9])])).toMatchObject([{ code: "STALE_SLOT" }]);
    expect(roleOf(node)).toMatchObject({ role: "member", stamp: S });
  });

  test("N6: a direct read at level one is answered by a sealed member", () => {
    const node = NodeBench.member();
    node.ask([write([1, 2], "seen")]);
    node.ask([step("seal", S)]);
    expect(node.settle({ op: "read", key: KEY })).toMatchObject({ value: "seen" });
  });
});

describe("N7: data operations", () => {
  test("N7: a node that is no member answers NOT_OWNER, never absent", () => {
    for (const node of [NodeBench.adopted(), incoming()]) {
      expect(node.ask([read(S), write([1, 9], "value", S)])).toMatchObject([
        { code: "NOT_OWNER" },
        { code: "NOT_OWNER" },
      ]);
      expect(node.settle({ op: "read", key: KEY })).toMatchObject({ code: "NOT_OWNER" });
    }
  });

  test("N7: a seal answers ok on a member only", () => {
    expect(incoming().ask([step("seal", LATER)])).toEqual([refused("NOT_OWNER")]);
    expect(NodeBench.adopted().ask([step("seal", S)])).toEqual([refused("NOT_OWNER")]);
  });

  test("N7: copies are taken only while incoming at exactly their stamp", () => {
    const node = incoming();
    expect(node.ask([copy([1, 2], S)])).toEqual([OK]);
    expect(node.ask([copy([1, 3], LATER)])).toMatchObject([{ code: "NOT_OWNER" }]);
    expect(NodeBench.member().ask([copy([1, 3], FIRST)])).toMatchObject([{ code: "NOT_OWNER" }]);
    expect(NodeBench.adopted().ask([copy([1, 3], S)])).toMatchObject([{ code: "NOT_OWNER" }]);
  });

  test("M3: keys are removed only while incoming at exactly that stamp", () => {
    const remove = (stamp: Stamp): Message => ({ op: "remove", slot: SLOT, stamp, keys: [KEY] });
    const node = incoming();
    node.ask([copy([1, 2], S)]);
    expect(node.ask([remove(S)])).toEqual([OK]);
    expect(node.disk.register(SLOT, KEY)).toBeUndefined();
    expect(node.ask([remove(LATER)])).toMatchObject([{ code: "NOT_OWNER" }]);
    expect(NodeBench.member().ask([remove(FIRST)])).toMatchObject([{ code: "NOT_OWNER" }]);
  });
});

describe("N7: incoming and drop", () => {
  test("N7: incoming at a higher stamp wipes, whatever the role was", () => {
    const member = NodeBench.member();
    member.ask([write([1, 2])]);
    const filling = incoming();
    filling.ask([copy([1, 2], S)]);
    const dropped = NodeBench.member();
    dropped.ask([write([1, 2]), step("drop", S)]);
    for (const node of [member, filling, dropped]) {
      expect(node.ask([step("incoming", LATER)])).toEqual([OK]);
      expect(node.disk.register(SLOT, KEY)).toBeUndefined();
      expect(roleOf(node)).toEqual({ role: "incoming", stamp: LATER, since: LATER, copied: false });
    }
  });

  test("N7: incoming wipes writes that were on their way to the disk", () => {
    const node = NodeBench.member();
    node.line([write([1, 9], "older membership")]);
    node.line([step("incoming", S)]);
    expect(node.line([copy([1, 2], S)])).toEqual([]);
    expect(node.sync()).toHaveLength(2);
    expect(node.sync()).toMatchObject([{ results: [OK] }]);
    expect(node.disk.register(SLOT, KEY)?.value).toBe("copy");
  });

  test("N7: incoming repeated at the same stamp does nothing and answers ok", () => {
    const node = incoming();
    node.ask([copy([1, 2], S), step("copied", S)]);
    const { position } = node.disk;
    expect(node.line([step("incoming", S)])).toMatchObject([{ results: [OK] }]);
    node.sync();
    expect(node.disk.position).toBe(position);
    expect(node.disk.register(SLOT, KEY)?.value).toBe("copy");
    expect(roleOf(node)).toMatchObject({ copied: true });
  });

  test("N7: incoming is refused where the slot has that stamp in another role", () => {
    const sealed = NodeBench.member();
    sealed.ask([write([1, 2], "kept")]);
    sealed.ask([step("seal", S)]);
    expect(sealed.ask([step("incoming", S)])).toEqual([refused("NOT_OWNER")]);
    expect(sealed.ask([read(S)])).toMatchObject([{ value: "kept" }]);
    const dropped = NodeBench.member();
    dropped.ask([step("drop", S)]);
    expect(dropped.ask([step("incoming", S)])).toEqual([refused("NOT_OWNER")]);
  });

  test("N7: drop wipes and takes the role; a lower stamp cannot bring it back", () => {
    const node = NodeBench.member();
    node.ask([write([1, 2])]);
    expect(node.ask([step("drop", S)])).toEqual([OK]);
    expect(node.disk.register(SLOT, KEY)).toBeUndefined();
    expect(roleOf(node)).toMatchObject({ role: "none", stamp: S });
    expect(node.ask([install(FIRST)])).toEqual([refused("STALE_SLOT")]);
    expect(node.ask([step("drop", S)])).toEqual([OK]);
  });

  test("N7: one slot's refusal leaves the others of the message alone", () => {
    const node = NodeBench.member();
    const other = (SLOT + 1) % 4096;
    const seal = { op: "seal", slots: [other, SLOT], stamp: S };
    expect(node.ask([seal])).toEqual([{ status: "ok", refused: [[other, "NOT_OWNER"]] }]);
    expect(roleOf(node)).toMatchObject({ role: "member", stamp: S });
  });
});

describe("N7: copied and install", () => {
  test("N7: copied is taken only while incoming at that stamp, and outlives a crash", () => {
    const node = incoming();
    expect(node.ask([step("copied", LATER)])).toEqual([refused("NOT_OWNER")]);
    expect(node.line([step("copied", S)])).toEqual([]);
    expect(node.sync()).toMatchObject([{ results: [OK] }]);
    node.crash();
    expect(roleOf(node)).toEqual({ role: "incoming", stamp: S, since: S, copied: true });
    expect(node.ask([install(S)])).toEqual([OK]);
    expect(NodeBench.member().ask([step("copied", FIRST)])).toEqual([refused("NOT_OWNER")]);
  });

  test("N7: install succeeds on an incoming slot only when it is copied, at the committed stamp", () => {
    const node = incoming();
    expect(node.ask([install(S)])).toEqual([refused("NOT_OWNER")]);
    node.ask([copy([1, 2], S), step("copied", S)]);
    expect(node.ask([install([2, 0], LATER)], 2)).toEqual([refused("NOT_OWNER")]);
    expect(node.ask([install([2, 0], S)], 2)).toEqual([OK]);
    expect(node.ask([read([2, 0])], 2)).toMatchObject([{ value: "copy" }]);
  });

  test("N7: incoming again forgets what was copied at the stamp before", () => {
    const node = incoming();
    node.ask([step("copied", S)]);
    node.ask([step("incoming", LATER)]);
    expect(node.ask([install(LATER)])).toEqual([refused("NOT_OWNER")]);
    expect(node.ask([install(LATER, S)])).toEqual([refused("NOT_OWNER")]);
  });

  test("N7: install succeeds on a member, keeps its registers and raises its stamp", () => {
    const node = NodeBench.member();
    node.ask([write([1, 2], "kept")]);
    expect(node.ask([install(S)])).toEqual([OK]);
    expect(node.ask([read(FIRST)])).toMatchObject([{ code: "STALE_SLOT", stamp: S }]);
    expect(node.ask([read(S)])).toMatchObject([{ value: "kept" }]);
  });

  test("N7: a slot without a role is installed only first, and only while it never had one, whatever stamps it has seen", () => {
    expect(NodeBench.adopted().ask([install(FIRST)])).toEqual([refused("NOT_OWNER")]);
    expect(NodeBench.adopted().ask([firstInstall])).toEqual([OK]);
    const dropped = NodeBench.member();
    dropped.ask([step("drop", [1, 2])]);
    expect(dropped.ask([{ ...firstInstall, stamp: S }])).toEqual([refused("NOT_OWNER")]);
    const touched = NodeBench.adopted();
    touched.ask([read([1, 2])]);
    expect(touched.ask([{ ...firstInstall, stamp: S }])).toEqual([OK]);
  });

  test("N7: roles change only durably: a crash before that leaves the role and the registers", () => {
    const node = NodeBench.member();
    node.ask([write([1, 2], "kept")]);
    expect(node.line([step("drop", S)])).toEqual([]);
    node.crash();
    expect(node.ask([read()])).toMatchObject([{ value: "kept" }]);
    node.line([step("drop", S)]);
    node.crash(1);
    expect(node.ask([read(S)])).toMatchObject([{ code: "NOT_OWNER" }]);
    expect(node.disk.register(SLOT, KEY)).toBeUndefined();
  });
});
