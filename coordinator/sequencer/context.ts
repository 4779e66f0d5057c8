// What every part of the sequencer shares: the leadership it serves, the peers it talks to, the clock. All of it ends with the epoch.
import type { NodeId } from "../../shared/ids.ts";
import type { Timers } from "../../shared/timers.ts";
import type { Version } from "../../shared/version.ts";
import type { DataOp } from "../../shared/protocol/node-messages.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { EpochListener, OpListener } from "../links/link.ts";

export interface SequencerContext {
  readonly epoch: number;
  readonly timers: Timers;
  /** Rules switched off, by the mutation check of the simulator only. */
  readonly without: ReadonlySet<string>;
  slot(slot: number): SlotRuntime;
  /** Sends an operation to a member at the end of this turn. */
  send(node: NodeId, op: DataOp, listener: OpListener): void;
  /** Asks a member at the end of this turn whether it is still at this epoch, with whatever else it is asked. */
  confirmEpoch(node: NodeId, listener: EpochListener): void;
  /** Whether a member's connection is up. */
  reachable(node: NodeId): boolean;
  /** Whether a member answers, or did until a moment ago: worth waiting for. */
  hopeful(node: NodeId): boolean;
  /** Whether a member is slow or suspect: asked last. */
  sluggish(node: NodeId): boolean;
  /** Members of a slot, those first that reads of this turn are to ask first. @param several Whether a read asks more than one. */
  inTurn(members: readonly NodeId[], several: boolean): readonly NodeId[];
  /** C10: whether operations are to wait; `forlorn` where that has lasted too long to be worth it. */
  paused(): false | "waiting" | "forlorn";
  /** C2: the next version of this epoch. */
  nextVersion(): Version;
  /** A member did not acknowledge a write: its replica of the slot is to be compared. */
  missed(node: NodeId, slot: number, version: Version): void;
  /** C4, C10: a node has seen a higher epoch. */
  fenced(epoch: number): void;
}

/** What a node answered, as far as it tells of a higher epoch. */
interface Answered {
  readonly status: string;
  readonly code?: unknown;
  readonly fence?: unknown;
}

/** C4, C10: a node that has seen a higher epoch ends this one; any other answer means nothing here. */
export function heedFence(context: Pick<SequencerContext, "fenced">, { code, fence }: Answered): void {
  if (code === "FENCED") context.fenced(Number(fence));
}
