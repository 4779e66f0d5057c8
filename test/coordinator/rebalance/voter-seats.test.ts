// V5: which seat is given or taken next, from who is a member, who votes and who answers. Pure.
import { expect, test } from "vitest";
import type { ClusterState, Member, VoterSeat } from "../../../shared/cluster-state.ts";
import type { NodeId } from "../../../shared/ids.ts";
import { nextVoters } from "../../../coordinator/rebalance/voter-seats.ts";

const RECORD: VoterSeat = { id: "coordinator:1", kind: "coordinator", address: "127.0.0.1:7401" };

function seat(id: string): VoterSeat {
  return id === "r" ? RECORD : { id, kind: "node", address: `${id}:1` };
}

/** Ids of the voters after each step, until nothing is left to do. `r` stands for the record beside the coordinator's file. */
function steps(
  { members, voters }: { readonly members: string; readonly voters: string },
  { silent = "", leaving }: { readonly silent?: string; readonly leaving?: string } = {},
): string[] {
  const answers = (id: string): boolean => !silent.split("").some((quiet) => seat(quiet).id === id);
  const nodes = members.split("").map((id) => ({ id: id as NodeId, address: `${id}:1` }) as Member);
  let state = { members: nodes, voters: voters.split("").map(seat) } as unknown as ClusterState;
  const seen: string[] = [];
  for (;;) {
    const next = nextVoters(state, { leaving, answers, local: RECORD });
    if (!next) return seen;
    expect(Math.abs(next.length - state.voters.length)).toBe(1);
    state = { ...state, voters: next };
    const name = ({ id, kind }: VoterSeat): string => (kind === "coordinator" ? "r" : id);
    seen.push(next.map(name).toSorted().join(""));
    expect(seen.length).toBeLessThan(10);
  }
}

test("V5: one node votes alone; two do with a record beside the coordinator's file; then three nodes, then five", () => {
  expect(steps({ members: "A", voters: "A" })).toEqual([]);
  expect(steps({ members: "AB", voters: "A" })).toEqual(["AB", "ABr"]);
  expect(steps({ members: "ABC", voters: "ABr" })).toEqual(["ABCr", "ABC"]);
  expect(steps({ members: "ABCD", voters: "ABC" })).toEqual([]);
  expect(steps({ members: "ABCDE", voters: "ABC" })).toEqual(["ABCD", "ABCDE"]);
  expect(steps({ members: "A", voters: "ABr" })).toEqual(["AB", "A"]);
});

test("V5: a voter that is silent keeps its seat until its node is replaced; then one that answers gets it, whoever is silent", () => {
  expect(steps({ members: "ABCD", voters: "ABC" }, { silent: "B" })).toEqual([]);
  expect(steps({ members: "ACDE", voters: "ABC" }, { silent: "BE" })).toEqual(["ABCD", "ACD"]);
});

test("V5: no seat goes while the one that should come for it cannot be given: two voters could lose none (seed 444573)", () => {
  expect(steps({ members: "ABC", voters: "ABr" }, { silent: "C" })).toEqual([]);
  expect(steps({ members: "ABCDE", voters: "ABC" }, { silent: "E" })).toEqual(["ABCD"]);
});

test("V5: the record beside a cluster file comes after the second node, never in its place (seed 510749)", () => {
  expect(steps({ members: "AB", voters: "A" }, { silent: "B" })).toEqual([]);
  expect(steps({ members: "AB", voters: "Ar" })).toEqual(["ABr"]);
});

test("V5: who is removed does not keep its seat, whoever else is silent", () => {
  expect(steps({ members: "ABCD", voters: "ABC" }, { silent: "D", leaving: "C" })).toEqual(["AB"]);
  expect(steps({ members: "ABC", voters: "ABC" }, { leaving: "C" })).toEqual(["ABCr", "ABr"]);
});

test("V5: nothing is begun that a majority of the old or of the new voters could not agree on", () => {
  expect(steps({ members: "ABC", voters: "ABr" }, { silent: "Br" })).toEqual([]);
  expect(steps({ members: "ABC", voters: "ABC" }, { silent: "AB" })).toEqual([]);
});
