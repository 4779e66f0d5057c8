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
    format: 1,
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
  expect(() => decodeState(encodeState(stateOf(1)).replace('"format":1', '"format":2'))).toThrow(
    /upgrade this program/,
  );
});
