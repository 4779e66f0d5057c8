// Cluster state: what voters keep is read back as it was.
import { expect, test } from "vitest";
import { decodeState, encodeState, type ClusterState, type Member } from "../../shared/cluster-state.ts";
import { KvError } from "../../shared/errors.ts";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "../../shared/ids.ts";
import { SEQ_MAX } from "../../shared/limits.ts";

const IDS = ["A", "B", "C", "D"] as NodeId[];
const members = IDS.map((id): Member => ({
  id,
  incarnation: "11111111-1111-4111-8111-111111111111" as Incarnation,
  address: `127.0.0.1:500${IDS.indexOf(id)}`,
  weight: 1,
  state: "up",
}));

/** With a table of that many rows, of one to four members each. */
function stateOf(rows: number): ClusterState {
  return {
    cluster: "22222222-2222-4222-8222-222222222222" as ClusterId,
    seed: 7,
    rf: 3,
    leader: { owner: "33333333-3333-4333-8333-333333333333" as OwnerId, address: "127.0.0.1:4000" },
    members,
    voters: [],
    operations: [],
    nextOperation: 1,
    slots: Array.from({ length: rows }, (_, row) => ({
      members: IDS.slice(0, 1 + ((row * 7) % 4)),
      stamp: [row + 1, SEQ_MAX - row] as const,
    })),
  };
}

test("what is decoded is what was encoded, whatever the length of the table", () => {
  for (const rows of [0, 1, 2, 3, 4, 5, 6, 7, 4096])
    expect(decodeState(encodeState(stateOf(rows)))).toEqual(stateOf(rows));
});

test("the table is base64 as others know it", () => {
  for (const rows of [1, 2, 3, 4, 4096]) {
    const { table } = JSON.parse(encodeState(stateOf(rows))) as { readonly table: string };
    expect(Buffer.from(table, "base64").toString("base64")).toBe(table);
  }
});

test("text that is no state, or that of a newer program, is refused", () => {
  expect(() => decodeState("{")).toThrow(KvError);
  expect(() => decodeState('{"format":2}')).toThrow(/no slot table/);
  expect(() => decodeState(encodeState(stateOf(1)).replace('"format":2', '"format":3'))).toThrow(
    /upgrade this program/,
  );
});

test("placements that many slots share are told once", () => {
  const placement = { members: IDS.slice(0, 3), stamp: [3, 7] as const };
  const state = { ...stateOf(1), slots: Array.from({ length: 4096 }, () => placement) };
  expect(encodeState(state).length).toBeLessThan(12_000);
  expect(decodeState(encodeState(state))).toEqual(state);
});

test("a table that names what is not there is refused", () => {
  const text = encodeState(stateOf(3));
  expect(() => decodeState(text.replace(/"placements":\[.*?\]\]/, '"placements":[]'))).toThrow(/unknown placement/);
  expect(() => decodeState(text.replace(/"placements":\[\[1,[^\]]*\]/, '"placements":[[1,1,9]'))).toThrow(
    /unknown member/,
  );
});

test("what programs wrote in format 1 is read", () => {
  const { members: _, slots: __, ...rest } = stateOf(0);
  const rows = Buffer.from("00000001000200000003020001000000000005000000000000010003", "hex");
  const text = JSON.stringify({ format: 1, ...rest, members, table: rows.toString("base64") });
  expect(decodeState(text).slots).toEqual([
    { members: ["B", "A"], stamp: [1, 2 * 2 ** 32 + 3] },
    { members: ["D"], stamp: [5, 0] },
  ]);
});

test("what is no slot table is refused, in either format", () => {
  const { members: _, slots: __, ...rest } = stateOf(0);
  const cut = Buffer.from("0000000100020000000302000100", "hex").toString("base64");
  const decoding = (format: number, table?: string) => () =>
    decodeState(JSON.stringify({ format, ...rest, members, placements: [], table }));
  for (const format of [1, 2]) {
    expect(decoding(format)).toThrow(/no slot table/);
    expect(decoding(format, "%")).toThrow(/no Base64/);
  }
  expect(decoding(1, cut)).toThrow(/cut short/);
  expect(decoding(3)).toThrow(/upgrade/);
});
