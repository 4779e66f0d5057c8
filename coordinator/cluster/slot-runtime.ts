// Slot runtime: what the leader keeps in memory for each slot beside the committed placement: the stamp it uses now, whether
// operations are held while the slot changes hands (M2), and who is filling up and gets uncounted copies meanwhile (M1).
import type { ClusterState } from "../../shared/cluster-state.ts";
import type { NodeId } from "../../shared/ids.ts";
import { majority } from "../../shared/quorum.ts";
import { highest, type Stamp } from "../../shared/version.ts";
import { InStep } from "./in-step.ts";

/** M1: added members at the stamp of an attempt. */
export interface Forward {
  readonly members: readonly NodeId[];
  readonly stamp: Stamp;
}

export interface SlotRuntime {
  readonly slot: number;
  members: readonly NodeId[];
  /** The same in one order, as one text, for what slots of the same members share. */
  memberList: string;
  /** W = R of these members. */
  quorum: number;
  /** Stamp in the committed placement. */
  committed: Stamp;
  /** Highest stamp committed or used by this leader, at least (its epoch, 0) (N6). */
  stamp: Stamp;
  forward: Forward | undefined;
  held: boolean;
  /** Quorum and all operations under way that a hold waits for. */
  inFlight: number;
  /** Drives begun in it by this leader: of versions issued, and of such as were in doubt. */
  issued: number;
  /** Whether its members hold the same. */
  readonly inStep: InStep;
}

/** Runtime of every slot at the beginning of a leadership. */
export function slotRuntimes(state: ClusterState, epoch: number): SlotRuntime[] {
  return state.slots.map(({ members, stamp }, slot) => ({
    slot,
    members,
    memberList: listOf(members),
    quorum: majority(members.length),
    committed: stamp,
    stamp: highest(stamp, [epoch, 0]),
    forward: undefined,
    held: false,
    inFlight: 0,
    issued: 0,
    inStep: new InStep(),
  }));
}

/** M4: the slot's members from now on. */
export function commitPlacement(runtime: SlotRuntime, members: readonly NodeId[], stamp: Stamp): void {
  runtime.members = members;
  runtime.memberList = listOf(members);
  runtime.quorum = majority(members.length);
  runtime.committed = stamp;
  runtime.stamp = highest(stamp, runtime.stamp);
  runtime.forward = undefined;
  runtime.inStep.disturb();
}

function listOf(members: readonly NodeId[]): string {
  return [...members].sort().join(" ");
}
