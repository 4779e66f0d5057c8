// Copies: what is read at a holder is written where it lacks, as it is; and what becomes of a copy that meets something else.
import { expect, test } from "vitest";
import type { NodeId } from "../../../shared/ids.ts";
import type { DataOp, OpResult } from "../../../shared/protocol/node-messages.ts";
import { run } from "../../../shared/script.ts";
import { Timers } from "../../../shared/timers.ts";
import type { Version } from "../../../shared/version.ts";
import { failure, type OpListener } from "../../../coordinator/links/link.ts";
import type { RepairContext } from "../../../coordinator/repair/compare.ts";
import { copyAll, type Copy } from "../../../coordinator/repair/copies.ts";

const [A, B, C] = ["A", "B", "C"] as NodeId[] as [NodeId, NodeId, NodeId];
const VERSION: Version = [3, 20];
const ORIGIN: Version = [2, 7];

interface Sent {
  readonly node: NodeId;
  readonly op: DataOp;
  readonly answer: (result: OpResult) => void;
}

class Bench {
  readonly timers = new Timers(0);
  readonly sent: Sent[] = [];
  readonly fences: number[] = [];
  readonly runtime = { slot: 5, members: [A, B, C], quorum: 2, stamp: [3, 1] as Version, held: false };
  inOrder: ReadonlySet<Copy> | undefined;

  copy(key: string, lacking: readonly NodeId[] = [C]): Copy {
    const { runtime } = this;
    const compared = { runtime, stamp: runtime.stamp } as unknown as Copy["compared"];
    return { compared, key, version: VERSION, holder: A, lacking };
  }

  start(copies: readonly Copy[]): void {
    const writing = {
      send: (node: NodeId, op: DataOp, listener: OpListener) =>
        this.sent.push({ node, op, answer: (result) => listener.settled(node, result) }),
      fenced: (epoch: number) => this.fences.push(epoch),
    };
    const context = { timers: this.timers, writing } as unknown as RepairContext;
    run(copyAll(context, copies)).whenDone((inOrder) => (this.inOrder = inOrder));
  }

  /** Takes what was sent and not answered. */
  take(): Sent[] {
    return this.sent.splice(0);
  }
}

function found(version: Version = VERSION): OpResult {
  return { status: "ok", version, origin: ORIGIN, value: "v", operation: "op-1" } as OpResult;
}

const OK = { status: "ok" } as OpResult;

test("a key is read at its holder and written where it lacks, with its version, origin and operation", () => {
  const bench = new Bench();
  const copy = bench.copy("k", [B, C]);
  bench.start([copy]);
  const [read, ...others] = bench.take();
  expect(others).toEqual([]);
  expect(read).toMatchObject({ node: A, op: { op: "read", slot: 5, stamp: [3, 1], key: "k" } });
  read?.answer(found());
  const writes = bench.take();
  expect(writes.map(({ node }) => node)).toEqual([B, C]);
  const write = {
    op: "write",
    key: "k",
    stamp: [3, 1],
    version: VERSION,
    origin: ORIGIN,
    operation: "op-1",
    value: "v",
  };
  for (const { op, answer } of writes) {
    expect(op).toMatchObject(write);
    answer(OK);
  }
  expect(bench.inOrder).toEqual(new Set([copy]));
});

test("writes leave together, when all was read; each copy has its own outcome", () => {
  const bench = new Bench();
  const copies = ["written", "superseded", "refused", "overtaken", "older", "unread"].map((key) => bench.copy(key));
  bench.start(copies);
  const answers = [found(), found(), found(), found([3, 21]), found([3, 19]), failure("OVERLOADED", "full")];
  for (const [index, { answer }] of bench.take().entries()) {
    expect(bench.sent).toEqual([]);
    answer(answers[index] as OpResult);
  }
  const writes = bench.take();
  expect(writes.map(({ op }) => (op as { key: string }).key)).toEqual(["written", "superseded", "refused"]);
  const results = [OK, failure("SUPERSEDED", "newer"), failure("STALE_SLOT", "moved")];
  for (const [index, { answer }] of writes.entries()) answer(results[index] as OpResult);
  expect([...(bench.inOrder ?? [])].map(({ key }) => key).sort()).toEqual(["overtaken", "superseded", "written"]);
});

test("nothing is written in a slot that was sealed meanwhile (M2)", () => {
  const bench = new Bench();
  bench.start([bench.copy("k")]);
  const [read] = bench.take();
  bench.runtime.held = true;
  read?.answer(found());
  expect(bench.take()).toEqual([]);
  expect(bench.inOrder?.size).toBe(0);
});

test("who does not answer in time is not waited for, neither for reads nor for writes", () => {
  const bench = new Bench();
  const copies = [bench.copy("silent"), bench.copy("k")];
  bench.start(copies);
  bench.take()[1]?.answer(found());
  bench.timers.advance(2_000);
  const writes = bench.take();
  expect(writes.map(({ op }) => (op as { key: string }).key)).toEqual(["k"]);
  expect(bench.inOrder).toBeUndefined();
  bench.timers.advance(4_000);
  expect(bench.inOrder?.size).toBe(0);
  writes[0]?.answer(OK); // too late to count
  expect(bench.inOrder?.size).toBe(0);
});

test("a fence that a node tells is passed on", () => {
  const bench = new Bench();
  bench.start([bench.copy("k")]);
  bench.take()[0]?.answer({ ...failure("FENCED", "newer"), fence: 9 });
  expect(bench.fences).toEqual([9]);
  expect(bench.inOrder?.size).toBe(0);
});
