// What `recover --unsafe` makes of the answers it gets: who is missing, what that may cost, the voters and the epoch from then on.
import { expect, test } from "vitest";
import { isSamePlan, planRecovery, recoveredState, type Witness } from "../../../coordinator/election/recovery.ts";
import { assertState, encodeState, type ClusterState } from "../../../shared/cluster-state.ts";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "../../../shared/ids.ts";
import { allSlots } from "../../../shared/slot.ts";
import type { Ballot } from "../../../shared/version.ts";

const CLUSTER = "c" as ClusterId;
const NAMES = ["A", "B", "C", "D", "E"];

const addressOf = (name: string): string => `${name.toLowerCase()}:1`;

/** Members A to E, all of them voters unless others are named; slot n on the members named, all slots alike by default. */
function stateOf(
  voters: readonly string[] = NAMES,
  slots: (slot: number) => readonly string[] = () => ["A", "B", "C"],
): ClusterState {
  return {
    cluster: CLUSTER,
    seed: 1,
    rf: 3,
    leader: { owner: "o" as OwnerId, address: "first:1" },
    members: NAMES.map((id) => ({
      id: id as NodeId,
      incarnation: `disk ${id}` as Incarnation,
      address: addressOf(id),
      weight: 1,
      state: "up",
    })),
    voters: voters.map((id) => ({ id, kind: id.includes(":") ? "coordinator" : "node", address: addressOf(id) })),
    operations: [],
    nextOperation: 1,
    slots: allSlots().map((slot) => ({ members: slots(slot) as NodeId[], stamp: [1, 1] })),
  };
}

interface Told {
  readonly state?: ClusterState;
  readonly ballot?: Ballot;
  readonly votes?: boolean;
  readonly incarnation?: string;
  readonly promised?: number;
  readonly fence?: number;
}

function witness(name: string, { state = stateOf(), ballot = [3, 7], votes = true, ...rest }: Told = {}): Witness {
  return {
    status: "ok",
    cluster: CLUSTER,
    node: name as NodeId,
    voter: votes ? name : null,
    fence: rest.fence ?? 3,
    promised: rest.promised ?? 3,
    ballot,
    state: encodeState(state),
    incarnation: (rest.incarnation ?? `disk ${name}`) as Incarnation,
    address: `${addressOf(name)}2`,
  };
}

const ids = (seats: readonly { readonly id: string }[]): string[] => seats.map(({ id }) => id);

test("V2: with a majority of the voters there is nothing to recover; without, those that are left are the voters", () => {
  expect(
    planRecovery(
      CLUSTER,
      ["A", "B", "C"].map((name) => witness(name)),
    )?.electable,
  ).toBe(true);
  const plan = planRecovery(CLUSTER, [witness("A"), witness("D")]);
  expect(plan?.electable).toBe(false);
  expect(ids(plan?.missing ?? [])).toEqual(["B", "C", "E"]);
  // Where they answered, not where the state says.
  expect(plan?.voters).toEqual([
    { id: "A", kind: "node", address: "a:12" },
    { id: "D", kind: "node", address: "d:12" },
  ]);
});

test("V3: the epoch lies far above every promise, fence and ballot seen", () => {
  const plan = planRecovery(CLUSTER, [witness("A", { promised: 9 }), witness("B", { fence: 12, ballot: [11, 1] })]);
  expect(plan?.epoch).toBe(12 + 1_024);
});

test("the newest state counts, whoever tells it; a node that does not vote may take a seat where no voter is left", () => {
  const newer = stateOf(["A", "B", "coordinator:x"]);
  const taught = witness("D", { votes: false, state: newer, ballot: [4, 1] });
  expect(planRecovery(CLUSTER, [witness("A"), taught])).toMatchObject({ ballot: [4, 1], voters: [{ id: "A" }] });
  expect(ids(planRecovery(CLUSTER, [taught])?.voters ?? [])).toEqual(["D"]);
});

test("losses: slots without a replica, without a quorum of them, and with one missing are told apart", () => {
  const slots = (slot: number): string[] =>
    [
      ["C", "D", "E"],
      ["B", "C", "D"],
      ["A", "B", "C"],
      ["A", "B"],
    ][slot % 4] ?? [];
  const state = stateOf(["A", "C", "D", "E"], slots);
  const plan = planRecovery(CLUSTER, [witness("A", { state }), witness("B", { votes: false, state })]);
  expect(plan?.slots).toEqual({ gone: 1024, doubtful: 1024, thin: 1024 });
  expect(ids(plan?.missingMembers ?? [])).toEqual(["C", "D", "E"]);
});

test("a wiped disk is no replica, another cluster's answer is none at all, and nobody's answer gives no plan", () => {
  const wiped = witness("B", { votes: false, incarnation: "another disk" });
  expect(ids(planRecovery(CLUSTER, [witness("A"), wiped])?.missingMembers ?? [])).toEqual(["B", "C", "D", "E"]);
  expect(planRecovery("elsewhere", [witness("A")])).toBeUndefined();
  expect(planRecovery(CLUSTER, [])).toBeUndefined();
});

test("the state from then on is sound, keeps members and slots, and has another owner; a plan on other facts is another plan", () => {
  const plan = planRecovery(CLUSTER, [witness("A")]);
  const other = planRecovery(CLUSTER, [witness("A"), witness("B")]);
  if (!plan || !other) throw new Error("no plan");
  const state = recoveredState(plan, "rescuer" as OwnerId);
  assertState(state);
  expect(ids(state.voters)).toEqual(["A"]);
  expect(ids(state.members)).toEqual(NAMES);
  expect(state.members[0]?.address).toBe("a:12");
  expect(state.leader.owner).toBe("rescuer");
  expect(isSamePlan(plan, { ...plan, epoch: plan.epoch + 1 })).toBe(true);
  expect(isSamePlan(plan, other)).toBe(false);
});
