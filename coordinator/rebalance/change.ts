// Changes of the topology as functions of the cluster state: what an operation does to the state when it begins and when it ends, which
// slots it moves, and why it is refused. Pure in the narrowest sense; topology.ts decides when.
import { isAbsent, memberOf, type ClusterState } from "../../shared/cluster-state.ts";
import { KvError } from "../../shared/errors.ts";
import { NODES_MAX, TOPOLOGY_OPERATIONS_MAX } from "../../shared/limits.ts";
import type { OperationChange, TopologyChange } from "../../shared/protocol/client-messages.ts";
import { planMoves } from "../ring/plan.ts";
import type { Move } from "./context.ts";
import { goalOf } from "./goal.ts";

/** The moves that lead from the placements in the state to those it should have. */
export function movesOf(state: ClusterState): Move[] {
  const old = state.slots.map(({ members }) => members);
  return planMoves(old, goalOf(state)).map(({ slot, newMembers }) => ({ slot, members: newMembers }));
}

/**
 * Those moves that an operation makes. What the leader does by itself about a node that is gone concerns the slots that it takes from
 * that node: anything else that is left to do may need that node, and would keep the operation waiting for it.
 */
export function movesFor(state: ClusterState, change: OperationChange): Move[] {
  const moves = movesOf(state);
  if (change.op !== "replace" || change.as === "up") return moves;
  const { node } = change;
  return moves.filter(({ slot, members }) => state.slots[slot]?.members.includes(node) && !members.includes(node));
}

/** The state as it would be with the change begun. */
export function imagined(state: ClusterState, change: OperationChange): ClusterState {
  const joined =
    change.op === "addnode" && !memberOf(state, change.node)
      ? {
          ...state,
          members: [
            ...state.members,
            {
              id: change.node,
              address: change.address,
              weight: change.weight ?? 1,
              incarnation: "" as ClusterState["members"][number]["incarnation"],
              state: "joining" as const,
            },
          ],
        }
      : state;
  return begin(joined, "", change);
}

export function begin(state: ClusterState, id: string, change: OperationChange): ClusterState {
  const operations = state.operations.map((operation) =>
    operation.id === id ? { ...operation, begun: true, previousRf: state.rf } : operation,
  );
  if (change.op === "setreplica") return { ...state, rf: change.rf, operations };
  if (change.op === "addnode") {
    const members = state.members.map((member) =>
      member.id === change.node && change.weight !== undefined ? { ...member, weight: change.weight } : member,
    );
    return { ...state, members, operations };
  }
  const becomes: ClusterState["members"][number]["state"] = change.op === "replace" ? change.as : "draining";
  const members = state.members.map((member) => (member.id === change.node ? { ...member, state: becomes } : member));
  return { ...state, members, operations };
}

/**
 * The state with what waits in the queue begun where it only says that a node is there again: what runs may need that node, and would
 * wait for ever for what is behind it. Its slots come back to it when its turn comes.
 */
export function withThoseBack(state: ClusterState): ClusterState {
  const back = state.operations.filter(
    ({ change, begun }) =>
      !begun && change.op === "replace" && change.as === "up" && isAbsent(memberOf(state, change.node)),
  );
  return back.reduce((next, { id, change }) => begin(next, id, change), state);
}

export function finished(state: ClusterState, change: OperationChange): ClusterState {
  if (change.op === "removenode") {
    const members = state.members.filter(({ id }) => id !== change.node);
    return { ...state, members };
  }
  return { ...state, members: settledMembers(state) };
}

/** Nobody joins or leaves any more; who is away still is. */
export function settledMembers({ members }: ClusterState): ClusterState["members"] {
  return members.map((member) =>
    member.state === "joining" || member.state === "draining" ? { ...member, state: "up" } : member,
  );
}

export function withoutOperation(state: ClusterState, id: string): ClusterState {
  return { ...state, operations: state.operations.filter((operation) => operation.id !== id) };
}

/** Why a change is refused in this state; undefined when it is in order. */
export function checkChange(state: ClusterState, change: OperationChange): KvError | undefined {
  if (state.operations.length > TOPOLOGY_OPERATIONS_MAX) {
    return new KvError(
      "TOO_MANY_OPERATIONS",
      `${state.operations.length} operations wait already: see ops, cancel one`,
    );
  }
  switch (change.op) {
    case "addnode":
      return checkAdd(state, change);
    case "removenode": {
      if (!memberOf(state, change.node)) return noSuchNode(state, change.node);
      if (state.members.length > 1) return undefined;
      return new KvError("LAST_COPY", `${change.node} is the only node: add another one first, its data would be lost`);
    }
    case "replace":
      return memberOf(state, change.node) ? undefined : noSuchNode(state, change.node);
    case "setreplica":
      return undefined;
  }
}

function checkAdd(state: ClusterState, change: Extract<TopologyChange, { op: "addnode" }>): KvError | undefined {
  const same = memberOf(state, change.node);
  const taken = state.members.find(({ address }) => address === change.address);
  if (same && same.address === change.address) {
    // The same command again: goes on where a cancelled one stopped, or changes the weight.
    const nothing = movesOf(imagined(state, change)).length === 0;
    return nothing ? new KvError("NODE_EXISTS", `node ${change.node} is in the cluster already: see nodes`) : undefined;
  }
  if (same)
    return new KvError("NODE_EXISTS", `there is a node ${change.node} already, at ${same.address}: choose another id`);
  if (taken) return new KvError("NODE_EXISTS", `${change.address} is node ${taken.id} already`);
  if (state.members.length < NODES_MAX) return undefined;
  return new KvError("BAD_REQUEST", `there are ${NODES_MAX} nodes, which is the limit`);
}

export function noSuchNode(state: ClusterState, id: string): KvError {
  return new KvError(
    "NO_SUCH_NODE",
    `no node ${id}; there are: ${state.members.map((member) => member.id).join(", ")}`,
  );
}

export function underReplicated({ members, rf }: ClusterState): string | undefined {
  if (members.length >= rf) return undefined;
  return `under-replicated: ${members.length} of ${rf} copies, add ${rf - members.length} more node${rf - members.length === 1 ? "" : "s"}`;
}
