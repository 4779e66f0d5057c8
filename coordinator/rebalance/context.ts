// What re-seating works with: the leadership it belongs to. All of it ends with the epoch.
import type { ClusterState } from "../../shared/cluster-state.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import type { Stamp } from "../../shared/version.ts";
import type { Pacer } from "../cluster/pacing.ts";
import type { Peer, Peers } from "../cluster/peers.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { Sequencer } from "../sequencer/sequencer.ts";
import type { SequencerContext } from "../sequencer/context.ts";

export interface RebalanceContext {
  readonly timers: Timers;
  readonly slots: readonly SlotRuntime[];
  readonly peers: Peers;
  readonly sequencer: Sequencer;
  readonly writing: SequencerContext;
  /** How much is done at a time while clients are served. */
  readonly pacer: Pacer;
  /** Rules switched off, by the mutation check of the simulator only. */
  readonly without: ReadonlySet<string>;
  readonly active: () => boolean;
  /** A stamp that this leader has never used. */
  readonly nextStamp: () => Stamp;
  readonly state: () => ClusterState;
  /** Changes the cluster state; false when the leadership ended first. */
  readonly propose: (change: (state: ClusterState) => ClusterState) => Script<boolean>;
}

/** The slot's new members, decided by placement. */
export interface Move {
  readonly slot: number;
  readonly members: readonly NodeId[];
}

/** An attempt that cannot go on; what it did is undone, and it is tried again. */
export class Abort extends Error {}

/** @throws Abort where the member's connection is down */
export function peerOf(context: RebalanceContext, id: NodeId): Peer {
  const peer = context.peers.get(id);
  if (!peer?.up) throw new Abort(`node ${id} does not answer`);
  return peer;
}
