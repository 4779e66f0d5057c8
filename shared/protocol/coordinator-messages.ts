// What coordinators say to each other, on the coordinator port: a standby follows the leader, a leader hands over. (They also vote, where
// one keeps a voter record: node-messages.ts.)
import type { OwnerId } from "../ids.ts";
import type { Ballot } from "../version.ts";

/** From a standby to the leader, again and again: answered after one heartbeat's time, or at once when there is news. */
export interface FollowRequest {
  readonly id: number;
  readonly op: "follow";
  readonly owner: OwnerId;
  /** Where clients reach the standby. */
  readonly address: string;
  /** The newest state that the standby knows. */
  readonly ballot: Ballot;
}

export interface FollowAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly leader: string;
  readonly owner: OwnerId;
  readonly epoch: number;
  readonly ballot: Ballot;
  /** JSON text of the cluster state, where it is news. */
  readonly state?: string;
  readonly http?: string;
  /** Planned hand-over: lead from now on. */
  readonly takeover?: boolean;
}

/** Hands the leadership to a standby; answered with where the leader is then. */
export interface StepdownRequest {
  readonly id: number;
  readonly op: "stepdown";
}

export interface StepdownAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly leader: string;
}
