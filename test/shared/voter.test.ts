// Voters: the decisions by themselves (V1–V3), and on a storage node, where an answer waits for the disk.
import { describe, expect, test } from "vitest";
import { KvError } from "../../shared/errors.ts";
import type { OwnerId } from "../../shared/ids.ts";
import type { Ballot } from "../../shared/version.ts";
import { accept, applyVoterChange, prepare, type VoterDecision, type VoterRecord } from "../../shared/voter.ts";
import { CLUSTER, NodeBench, read, type Message } from "../support/node-bench.ts";

const ANN = "00000001-0000-4000-8000-000000000001" as OwnerId;
const BOB = "00000002-0000-4000-8000-000000000002" as OwnerId;
const RECORD: VoterRecord = { promised: 3, owner: ANN, ballot: [3, 2], state: "three" };

function codeOf(decide: () => VoterDecision): string {
  try {
    decide();
  } catch (error) {
    if (error instanceof KvError) return error.code;
    throw error;
  }
  return "yes";
}

/** The record after a decision. */
function after(decision: VoterDecision): VoterRecord | undefined {
  return decision.changes.reduce<VoterRecord | undefined>(applyVoterChange, RECORD);
}

describe("decisions", () => {
  test("V1: without a record a voter never says yes", () => {
    expect(codeOf(() => prepare(undefined, 9, ANN))).toBe("NO_VOTER");
    expect(codeOf(() => accept(undefined, { ballot: [9, 1], owner: ANN, state: "" }))).toBe("NO_VOTER");
  });

  test("V5: an accept that seats the voter makes its record", () => {
    const { changes } = accept(undefined, { ballot: [4, 1], owner: ANN, state: "four", seat: true });
    const seated = changes.reduce<VoterRecord | undefined>(applyVoterChange, undefined);
    expect(seated).toEqual({ promised: 4, owner: ANN, ballot: [4, 1], state: "four" });
  });

  test("V5: a seat is no way around the record that is there", () => {
    expect(codeOf(() => accept(RECORD, { ballot: [2, 9], owner: BOB, state: "", seat: true }))).toBe("OUT_PROMISED");
  });

  test("V2: a higher epoch is promised, and answered with the accepted state", () => {
    const decision = prepare(RECORD, 4, BOB);
    expect(decision.answer).toEqual({ promised: 4, ballot: [3, 2], state: "three" });
    expect(after(decision)).toEqual({ ...RECORD, promised: 4, owner: BOB });
  });

  test.each([
    ["a lower epoch", 2, ANN, "OUT_PROMISED"],
    ["the same epoch of another owner", 3, BOB, "OUT_PROMISED"],
    ["the same epoch and owner", 3, ANN, "yes"],
  ])("V2: prepare of %s is answered as the promise says", (_what, epoch, owner, code) => {
    expect(codeOf(() => prepare(RECORD, epoch, owner))).toBe(code);
  });

  test("V2: a refusal carries the promise and the accepted ballot", () => {
    expect(() => prepare(RECORD, 2, BOB)).toThrow(
      expect.objectContaining({ details: { promised: 3, ballot: [3, 2] } }),
    );
  });

  test.each<[string, Ballot, OwnerId, string]>([
    ["a higher ballot of the promised owner", [3, 3], ANN, "yes"],
    ["the accepted ballot again", [3, 2], ANN, "yes"],
    ["a lower ballot", [3, 1], ANN, "OUT_PROMISED"],
    ["the promised epoch by another owner", [3, 3], BOB, "OUT_PROMISED"],
    ["a lower epoch", [2, 9], ANN, "OUT_PROMISED"],
    ["a higher epoch that was never prepared here", [4, 1], BOB, "yes"],
  ])("V3: accept of %s", (_what, ballot, owner, code) => {
    expect(codeOf(() => accept(RECORD, { ballot, owner, state: "new" }))).toBe(code);
  });

  test("V3: an accept above the promise raises the promise with it", () => {
    const decision = accept(RECORD, { ballot: [5, 1], owner: BOB, state: "five" });
    expect(after(decision)).toEqual({ promised: 5, owner: BOB, ballot: [5, 1], state: "five" });
  });

  test("V3: the accepted ballot again changes nothing", () => {
    expect(accept(RECORD, { ballot: [3, 2], owner: ANN, state: "three" }).changes).toEqual([]);
  });

  test("V3: an accept between promise and ballot of two epochs is refused by the promise", () => {
    const promised = { ...RECORD, promised: 7, owner: BOB };
    expect(codeOf(() => accept(promised, { ballot: [6, 1], owner: ANN, state: "" }))).toBe("OUT_PROMISED");
  });
});

describe("on a storage node", () => {
  const asked = { cluster: CLUSTER, voter: "A" };
  const preparing = (epoch: number, owner: OwnerId): Message => ({ op: "prepare", ...asked, epoch, owner });
  const accepting = (ballot: Ballot, owner: OwnerId): Message => ({
    op: "accept",
    ...asked,
    ballot,
    owner,
    state: "s",
  });

  /** Node A as voter, with ballot 1.1 accepted. */
  function voter(): NodeBench {
    const node = NodeBench.member();
    node.settle({ ...accepting([1, 1], ANN), seat: true });
    return node;
  }

  test("V1: an adopted node that was not seated is no voter", () => {
    expect(NodeBench.adopted().settle(preparing(5, ANN))).toMatchObject({ code: "NO_VOTER" });
  });

  test("V1: a voter says nothing to another cluster, nor under another name", () => {
    const cluster = "0000000f-0000-4000-8000-00000000000f";
    expect(voter().settle({ ...preparing(5, ANN), cluster })).toMatchObject({ code: "WRONG_NODE" });
    expect(voter().settle({ ...preparing(5, ANN), voter: "B" })).toMatchObject({ code: "WRONG_NODE" });
  });

  test("V2: a promise is durable before its answer, and so is the refusal that rests on it", () => {
    const node = voter();
    expect(node.send(preparing(5, ANN))).toEqual([]);
    expect(node.send(preparing(5, ANN))).toEqual([]);
    expect(node.send(preparing(5, BOB))).toEqual([]);
    expect(node.send({ op: "inspect" })).toEqual([]);
    expect(node.sync()).toMatchObject([{ promised: 5 }, { promised: 5 }, { code: "OUT_PROMISED" }, { promised: 5 }]);
  });

  test("V2: a promise does not raise the data fence", () => {
    const node = voter();
    expect(node.settle(preparing(5, BOB))).toMatchObject({ status: "ok", fence: 1 });
    expect(node.ask([read()])).toMatchObject([{ status: "ok" }]);
  });

  test("V3: an accepted state is durable before its answer", () => {
    const node = voter();
    expect(node.send(accepting([6, 1], BOB))).toEqual([]);
    expect(node.disk.control.voter?.ballot).toEqual([1, 1]);
    expect(node.sync()).toMatchObject([{ status: "ok", ballot: [6, 1] }]);
    expect(node.disk.control.voter?.ballot).toEqual([6, 1]);
  });

  test("V2, V3: votes outlive a crash", () => {
    const node = voter();
    node.settle(accepting([6, 1], BOB));
    node.settle(preparing(7, ANN));
    node.crash();
    expect(node.settle(preparing(7, BOB))).toMatchObject({ code: "OUT_PROMISED", promised: 7, ballot: [6, 1] });
    expect(node.settle(preparing(7, ANN))).toMatchObject({ status: "ok", ballot: [6, 1], state: "s" });
    expect(node.settle(accepting([6, 2], BOB))).toMatchObject({ code: "OUT_PROMISED" });
  });
});
