// Voter: one durable record (promise, accepted state) that agrees with others on who leads and what the cluster state is (V1–V4).
// Kept by storage nodes in their log and, while there are only two of them, by a coordinator beside its cluster file (V5).
// Pure decisions: the caller makes `changes` durable before it sends `answer`. The state stays opaque text here.
import { KvError } from "./errors.ts";
import type { OwnerId } from "./ids.ts";
import type { LeaderSign } from "./leader-watch.ts";
import { compare, format, ZERO, type Ballot } from "./version.ts";

/** A voter's record; absent until initialised. */
export interface VoterRecord {
  promised: number;
  owner: OwnerId | "";
  ballot: Ballot;
  state: string;
}

export type VoterChange =
  | { readonly type: "promise"; readonly epoch: number; readonly owner: OwnerId }
  | { readonly type: "accept"; readonly ballot: Ballot; readonly state: string };

export interface VoterDecision {
  /** To be durable before the answer leaves. */
  readonly changes: readonly VoterChange[];
  readonly answer: { readonly promised: number; readonly ballot: Ballot; readonly state: string };
}

/**
 * V2: yes iff the epoch is above the promise, or it is the same promise again.
 * @throws KvError NO_VOTER, OUT_PROMISED
 */
export function prepare(record: VoterRecord | undefined, epoch: number, owner: OwnerId): VoterDecision {
  const known = initialised(record);
  const repeated = epoch === known.promised && owner === known.owner;
  if (epoch <= known.promised && !repeated) throw outPromised(known);
  return {
    changes: repeated ? [] : [{ type: "promise", epoch, owner }],
    answer: { promised: epoch, ballot: known.ballot, state: known.state },
  };
}

/**
 * V4: whether a candidate for that epoch is encouraged. Nothing is promised.
 * @param alive The leader, where this voter takes it for alive.
 * @throws KvError NO_VOTER, OUT_PROMISED, LEADER_ALIVE
 */
export function prevote(record: VoterRecord | undefined, epoch: number, alive: LeaderSign | undefined): void {
  const known = initialised(record);
  if (epoch <= known.promised) throw outPromised(known);
  if (alive)
    throw new KvError("LEADER_ALIVE", `the leader of epoch ${alive.epoch}, at ${alive.leader}, was heard just now`, {
      leader: alive.leader,
    });
}

/**
 * V3: yes iff the ballot's epoch is not below the promise (same owner where equal) and the ballot not below the accepted one.
 * @param seat V5: initialise the record where there is none.
 * @throws KvError NO_VOTER, OUT_PROMISED
 */
export function accept(
  record: VoterRecord | undefined,
  proposal: { readonly ballot: Ballot; readonly owner: OwnerId; readonly state: string; readonly seat?: boolean },
): VoterDecision {
  const { ballot, owner, state } = proposal;
  const known =
    proposal.seat && !record ? { promised: 0, owner: "" as const, ballot: ZERO, state: "" } : initialised(record);
  const rival = ballot[0] === known.promised && owner !== known.owner;
  if (ballot[0] < known.promised || rival || compare(ballot, known.ballot) < 0) throw outPromised(known);
  const changes: VoterChange[] = [];
  if (ballot[0] > known.promised) changes.push({ type: "promise", epoch: ballot[0], owner });
  if (compare(ballot, known.ballot) > 0) changes.push({ type: "accept", ballot, state });
  return { changes, answer: { promised: ballot[0], ballot, state: "" } };
}

/** Folds a change into a record. */
export function applyVoterChange(record: VoterRecord | undefined, change: VoterChange): VoterRecord {
  const known = record ?? { promised: 0, owner: "", ballot: ZERO, state: "" };
  if (change.type === "promise") return { ...known, promised: change.epoch, owner: change.owner };
  return { ...known, ballot: change.ballot, state: change.state };
}

/** V1. */
function initialised(record: VoterRecord | undefined): VoterRecord {
  if (!record) throw new KvError("NO_VOTER", "this process holds no voter record of the cluster");
  return record;
}

function outPromised(record: VoterRecord): KvError {
  return new KvError("OUT_PROMISED", `promised to epoch ${record.promised}, accepted ballot ${format(record.ballot)}`, {
    promised: record.promised,
    ballot: record.ballot,
  });
}
