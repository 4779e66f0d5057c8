// V5: what a leader makes of the answer of somebody who is to vote, when that comes. One seat, which answers when a test says so.
import { expect, test } from "vitest";
import { VoterAgreement } from "../../../coordinator/election/voter-agreement.ts";
import type { Voters } from "../../../coordinator/election/voters.ts";
import type { Answer } from "../../../coordinator/links/link.ts";
import type { ClusterState, VoterSeat } from "../../../shared/cluster-state.ts";
import type { OwnerId } from "../../../shared/ids.ts";
import { Future, run } from "../../../shared/script.ts";
import { Timers } from "../../../shared/timers.ts";

const seat = (id: string): VoterSeat => ({ id, kind: "node", address: `${id}:1` });
const RIVALLED = { status: "error", code: "OUT_PROMISED", promised: 9 };

/** Seats B beside A in epoch 9; B has promised that epoch to a rival. @returns how often another epoch was asked for */
function renewals({ leadsStill }: { readonly leadsStill: boolean }): number {
  const answer = new Future<Answer>();
  const agreement = new VoterAgreement(new Timers(0), { accept: () => answer } as unknown as Voters);
  const before = { members: [], slots: [], voters: [seat("A")] } as unknown as ClusterState;
  const next = { ...before, voters: [seat("A"), seat("B")] };
  let renewed = 0;
  let accepted: boolean | undefined;
  let active = true;
  const proposing = { active: () => active, outPromised: () => undefined, renew: () => void renewed++ };
  const proposal = { owner: "rival" as OwnerId, ballot: [9, 2] as const, before, next };
  run(agreement.accept(proposal, proposing)).whenDone((found) => (accepted = found));
  active = leadsStill;
  answer.resolve(RIVALLED);
  expect(accepted).toBe(false);
  return renewed;
}

test("V5: a leader takes another epoch where this one was promised to a rival", () => {
  expect(renewals({ leadsStill: true })).toBe(1);
});

test("V5: a leader that has ended meanwhile takes none: somebody else leads, perhaps itself again", () => {
  expect(renewals({ leadsStill: false })).toBe(0);
});
