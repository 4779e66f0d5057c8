// Recovery: what to do when a majority of the voters is gone for good, so that nobody can be elected any more (V2, V3). The voters that are
// left get a state of their own, in which they are all the voters there are, under an epoch far above everything that any of them has seen.
// No rule of theirs is broken by that (an accept above the promise is always taken); what is broken is that a majority agreed: a change of
// topology that only the missing voters had accepted is forgotten. Old voters that come back are outranked: every node that hears of the
// new epoch refuses the old ones (N2), and a voter that was taught the new state answers a rival candidate with it (V5).
//
// Decides, asks nobody: see commands/recover.ts. It gives up no data; but it says which data needs the missing nodes.
import {
  decodeState,
  votesNeeded,
  type ClusterState,
  type Member,
  type VoterSeat,
} from "../../shared/cluster-state.ts";
import type { OwnerId } from "../../shared/ids.ts";
import { VOTERS_MAX } from "../../shared/limits.ts";
import type { InspectResult } from "../../shared/protocol/node-messages.ts";
import { majority } from "../../shared/quorum.ts";
import { compare, type Ballot } from "../../shared/version.ts";

/** Elections that the missing may have held among themselves without anybody left to tell of them. */
const EPOCH_MARGIN = 1_024;

/** A process that answered, and where. */
export interface Witness extends InspectResult {
  readonly address: string;
}

/** How many slots are how far gone. */
export interface SlotLosses {
  /** No replica answers: nothing in them can be read until one comes back. */
  readonly gone: number;
  /** Some replica answers, but as many are missing as make a quorum: acknowledged writes may be on the missing ones alone. */
  readonly doubtful: number;
  /** Replicas are missing, but every acknowledged quorum write is on one that answers. Level one is not counted. */
  readonly thin: number;
}

export interface Recovery {
  /** The newest state that anybody who answered has accepted or was taught. */
  readonly state: ClusterState;
  readonly ballot: Ballot;
  /** Whether a majority of the voters answers: then an election does, and nothing is to be recovered. */
  readonly electable: boolean;
  readonly missing: readonly VoterSeat[];
  readonly missingMembers: readonly Member[];
  readonly slots: SlotLosses;
  /** The voters from now on, where they answer. Empty where nobody could vote: then there is nothing to be done. */
  readonly voters: readonly VoterSeat[];
  /** Of the new state. */
  readonly epoch: number;
}

/** @returns undefined where nobody knows a state of that cluster */
export function planRecovery(cluster: string, answers: readonly Witness[]): Recovery | undefined {
  const witnesses = answers.filter((witness) => witness.cluster === cluster);
  const newest = newestState(witnesses);
  if (!newest) return undefined;
  const { state, ballot } = newest;
  const left = state.voters.flatMap((seat) => {
    const witness = witnesses.find(({ voter }) => voter === seat.id);
    return witness ? [{ ...seat, address: witness.address }] : [];
  });
  const present = state.members.flatMap((member) => {
    const witness = witnesses.find(({ node, incarnation }) => node === member.id && incarnation === member.incarnation);
    return witness ? [{ id: member.id, kind: "node" as const, address: witness.address }] : [];
  });
  const seen = witnesses.flatMap(({ promised, fence, ballot: [epoch] }) => [promised, fence, epoch]);
  return {
    state,
    ballot,
    electable: left.length >= votesNeeded(state.voters),
    missing: state.voters.filter(({ id }) => !left.some((seat) => seat.id === id)),
    missingMembers: state.members.filter(({ id }) => !present.some((seat) => seat.id === id)),
    slots: losses(state, new Set<string>(present.map(({ id }) => id))),
    voters: left.length > 0 ? left : present.slice(0, VOTERS_MAX),
    epoch: Math.max(...seen) + EPOCH_MARGIN,
  };
}

/** The state in which only those vote that are left. Members stay: the operator removes those that are gone. */
export function recoveredState({ state, voters }: Recovery, owner: OwnerId): ClusterState {
  const located = (member: Member): Member => {
    const seat = voters.find(({ id }) => id === member.id);
    return seat ? { ...member, address: seat.address } : member;
  };
  return { ...state, leader: { ...state.leader, owner }, voters, members: state.members.map(located) };
}

/** Whether two plans rest on the same facts: what was asked about is what is done. */
export function isSamePlan(a: Recovery, b: Recovery): boolean {
  const facts = ({ ballot, voters, missing, missingMembers }: Recovery): string =>
    JSON.stringify([ballot, voters, missing, missingMembers.map(({ id }) => id)]);
  return facts(a) === facts(b);
}

/** What is newest of what they say; a node that is no voter tells what it was taught. */
function newestState(witnesses: readonly Witness[]): { state: ClusterState; ballot: Ballot } | undefined {
  let newest: Witness | undefined;
  for (const witness of witnesses) {
    if (witness.state !== "" && (!newest || compare(witness.ballot, newest.ballot) > 0)) newest = witness;
  }
  return newest && { state: decodeState(newest.state), ballot: newest.ballot };
}

function losses({ slots }: ClusterState, present: ReadonlySet<string>): SlotLosses {
  const counts = { gone: 0, doubtful: 0, thin: 0 };
  for (const { members } of slots) {
    const missing = members.filter((id) => !present.has(id)).length;
    if (missing === members.length) counts.gone++;
    else if (missing >= majority(members.length)) counts.doubtful++;
    else if (missing > 0) counts.thin++;
  }
  return counts;
}
