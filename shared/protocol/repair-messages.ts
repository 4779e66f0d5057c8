// What a repair is asked for with, and what it answers. Part of the wire reference of the coordinator port (client-messages.ts).
import type { NodeId } from "../ids.ts";

/** Compares all replicas, or those of one node, and mends what differs. Answered by progress lines until one is `done`. */
export interface RepairRequest {
  readonly id: number;
  readonly op: "repair";
  readonly node?: NodeId;
}

/** One line of a repair; the last has `done: true`, or is an ErrorAnswer. */
export interface RepairAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly done: boolean;
  readonly slotsTotal: number;
  readonly slotsCompared: number;
  readonly slotsDifferent: number;
  readonly keysMended: number;
  /** Slots that could not be compared or mended now: too few members answer, or they change hands. */
  readonly slotsLeft: number;
}
