// Link: operations of a turn leave in one line, and each gets its own result, however the node's answer tells it.
import { expect, test } from "vitest";
import { type Answer, Link } from "../../../coordinator/links/link.ts";
import type { ClusterId, Incarnation, NodeId } from "../../../shared/ids.ts";
import type { DataOp, OpResult, Refusal } from "../../../shared/protocol/node-messages.ts";
import { Timers } from "../../../shared/timers.ts";

const ENVELOPE = {
  cluster: "c0000000-0000-4000-8000-000000000001" as ClusterId,
  node: "A" as NodeId,
  incarnation: "a0000000-0000-4000-8000-000000000001" as Incarnation,
  epoch: 1,
};

interface Line {
  readonly id: number;
  readonly ops: readonly { readonly key: string }[];
}

/** A connected link, the lines that it sent, and what came back for each key. */
function connected(): { link: Link; sent: Line[]; results: Map<string, OpResult>; ask: (...keys: string[]) => void } {
  const sent: Line[] = [];
  const results = new Map<string, OpResult>();
  const link = new Link("127.0.0.1:5001", {
    timers: new Timers(0),
    send: (_link, _channel, message) => void sent.push(message as Line),
  });
  link.connected("data");
  link.direct(ENVELOPE);
  const ask = (...keys: string[]): void => {
    for (const key of keys) {
      const op: DataOp = { op: "read", slot: 0, stamp: [1, 1], key };
      link.enqueue(op, { settled: (_node, result) => void results.set(key, result) });
    }
    link.flush();
  };
  return { link, sent, results, ask };
}

const value = (text: string): Answer => ({ status: "ok", version: [1, 1], value: text });

const keysOf = ({ ops }: Line): string[] => ops.map(({ key }) => key);

test("operations that an answer has no room for are asked again, until each has its result", () => {
  const { link, sent, results, ask } = connected();
  ask("a", "b", "c");
  link.received({ id: sent[0]?.id, status: "ok", results: [value("1")] });
  expect(sent.map(keysOf)).toEqual([
    ["a", "b", "c"],
    ["b", "c"],
  ]);
  link.received({ id: sent[1]?.id, status: "ok", results: [value("2"), value("3")] });
  expect([...results]).toEqual([
    ["a", value("1")],
    ["b", value("2")],
    ["c", value("3")],
  ]);
  expect(sent).toHaveLength(2);
});

test("what is asked again over a connection that closes is lost, as if it had been asked first", () => {
  const { link, sent, results, ask } = connected();
  ask("a", "b");
  link.received({ id: sent[0]?.id, status: "ok", results: [value("1")] });
  link.disconnected("data");
  expect(results.get("b")).toMatchObject({ status: "error", code: "LOST" });
});

test("an answer with no result at all says nothing of its operations, and is not asked again", () => {
  const { link, sent, results, ask } = connected();
  ask("a", "b");
  link.received({ id: sent[0]?.id, status: "ok", results: [] });
  expect([...results.values()]).toMatchObject([{ code: "LOST" }, { code: "LOST" }]);
  expect(sent).toHaveLength(1);
});

test("an ok without results, and a refusal, are those of each operation", () => {
  const { link, sent, results, ask } = connected();
  ask("a", "b");
  link.received({ id: sent[0]?.id, status: "ok" });
  expect([...results.values()]).toMatchObject([{ status: "ok" }, { status: "ok" }]);
  ask("a", "b");
  link.received({ id: sent[1]?.id, status: "error", code: "FENCED", message: "over" });
  expect([...results.values()]).toMatchObject([{ code: "FENCED" }, { code: "FENCED" }]);
});

/** Whoever asks for the epoch of a link's node, and what it was told. */
function epochAsked(link: Link): (string | undefined)[] {
  const told: (string | undefined)[] = [];
  const epochTold = (refusal: Refusal | undefined): void => void told.push(refusal?.code ?? "ok");
  link.confirmEpoch({ epochTold });
  return told;
}

test("C6: whether a node is at this epoch is told by the answer to the turn's reads, refused or not, or to a line without any", () => {
  const { link, sent, ask } = connected();
  const told = epochAsked(link);
  ask("a");
  expect(sent.map(keysOf)).toEqual([["a"]]);
  link.received({ id: sent[0]?.id, status: "ok", results: [{ status: "error", code: "NOT_OWNER", message: "" }] });
  expect(told).toEqual(["ok"]);
  const first = epochAsked(link);
  const second = epochAsked(link);
  link.flush();
  expect(sent.map(keysOf)).toEqual([["a"], []]);
  link.received({ id: sent[1]?.id, status: "ok", found: [] });
  expect([first, second]).toEqual([["ok"], ["ok"]]);
});

test("C6: who asks for the epoch is told when the question leaves: with the turn, or before, with a line of its own", () => {
  for (const leave of [
    (link: Link) => link.flush(),
    (link: Link) => link.ask({ op: "read", slot: 0, stamp: [1, 1], key: "b" }, 100),
  ]) {
    const { link } = connected();
    let asked = 0;
    link.confirmEpoch({ epochTold: () => {}, epochAsked: () => void asked++ });
    expect(asked).toBe(0);
    leave(link);
    link.flush();
    expect(asked).toBe(1);
  }
});

test("C6: a fence, a lost connection and one that never stood are no confirmation", () => {
  const { link, sent } = connected();
  const fenced = epochAsked(link);
  link.flush();
  link.received({ id: sent[0]?.id, status: "error", code: "FENCED", message: "epoch 1 is over", fence: 2 });
  const lost = epochAsked(link);
  link.flush();
  const queued = epochAsked(link);
  link.disconnected("data");
  const unconnected = epochAsked(link);
  link.flush();
  expect([fenced, lost, queued, unconnected]).toEqual([
    ["FENCED"],
    ["LOST"],
    ["NODE_UNREACHABLE"],
    ["NODE_UNREACHABLE"],
  ]);
  expect(sent).toHaveLength(2);
});
