// Campaign (C1): how a coordinator wins an epoch. Find the newest state, ask its voters for a promise to an epoch above everything
// seen, adopt the state of the highest ballot, have it accepted at a majority as (epoch, 1); only then lead. Votes are counted by
// the voter set of the highest state seen, asking again until it stops changing (V5). A script: it runs inside the core's events.
import {
  decodeState,
  encodeState,
  memberOf,
  votesNeeded,
  type ClusterState,
  type VoterSeat,
} from "../../shared/cluster-state.ts";
import type { ClusterId, OwnerId } from "../../shared/ids.ts";
import type { InspectResult } from "../../shared/protocol/node-messages.ts";
import { all, gather, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import { compare, ZERO, type Ballot } from "../../shared/version.ts";
import type { Answer } from "../links/link.ts";
import { VOTE_TIMEOUT_MS, type Voters } from "./voters.ts";

export interface Candidate {
  readonly owner: OwnerId;
  /** Where clients reach this coordinator. */
  readonly address: string;
  readonly cluster: ClusterId;
  /** Last known addresses of nodes and coordinators; hints only. */
  readonly hints: readonly string[];
  readonly timers: Timers;
  readonly voters: Voters;
  /** Whether a leader answers at this address: `hello` on the coordinator port. */
  readonly leads: (address: string, owner: OwnerId) => Script<boolean>;
}

export interface Won {
  readonly epoch: number;
  readonly ballot: Ballot;
  readonly state: ClusterState;
  /** Seats that accepted; late ones are added as they come in. */
  readonly answering: Set<string>;
}

export type CampaignResult =
  | ({ readonly type: "won" } & Won)
  /** Too few voters answered. `missing` is empty where not even a state was found. */
  | { readonly type: "waiting"; readonly missing: readonly VoterSeat[]; readonly hints: readonly string[] }
  | { readonly type: "leaderAlive"; readonly address: string; readonly epoch: number }
  /** Another candidate was ahead: try again after a random delay. */
  | { readonly type: "outPromised"; readonly epoch: number };

interface Known {
  ballot: Ballot;
  state: ClusterState | undefined;
  /** Highest promise or fence seen. */
  epoch: number;
}

/** @param minEpoch Epochs up to this one are spent already. */
export function* campaign(candidate: Candidate, minEpoch: number): Script<CampaignResult> {
  const known: Known = { ballot: ZERO, state: undefined, epoch: minEpoch };
  const answered = yield* discover(candidate, known);
  if (!known.state) return { type: "waiting", missing: [], hints: candidate.hints };
  const missing = known.state.voters.filter(({ id }) => !answered.has(id));
  if (known.state.voters.length - missing.length < votesNeeded(known.state.voters)) {
    return { type: "waiting", missing, hints: candidate.hints };
  }
  const { leader } = known.state;
  if (leader.owner !== candidate.owner && (yield* candidate.leads(leader.address, leader.owner))) {
    return { type: "leaderAlive", address: leader.address, epoch: known.ballot[0] };
  }
  return yield* promiseAndAccept(candidate, known);
}

/** Inspects hints, then everything that the states found so far name, until nothing new turns up. Returns the seats that answered. */
function* discover(candidate: Candidate, known: Known): Script<Set<string>> {
  const answered = new Set<string>();
  const asked = new Set<string>();
  learn(candidate, known, candidate.voters.local.inspect(), undefined, answered);
  let addresses = new Set([...candidate.hints, ...candidate.voters.hints]);
  while (addresses.size > 0) {
    const round = [...addresses];
    for (const address of round) asked.add(address);
    const answers = yield* wait(all(round.map((address) => candidate.voters.inspect(address))));
    answers.forEach((answer, index) => learn(candidate, known, answer, round[index], answered));
    const { state } = known;
    const next = state ? [...state.voters, ...state.members].map(({ address }) => address) : [];
    addresses = new Set(next.filter((address) => !asked.has(address) && address !== candidate.address));
  }
  return answered;
}

function learn(
  candidate: Candidate,
  known: Known,
  answer: Answer,
  address: string | undefined,
  answered: Set<string>,
): void {
  if (answer["status"] !== "ok" || answer["cluster"] !== candidate.cluster) return;
  const found = answer as unknown as InspectResult;
  known.epoch = Math.max(known.epoch, found.promised, found.fence);
  const seat = found.node ?? found.voter;
  if (typeof seat === "string" && address !== undefined) candidate.voters.found(seat, address);
  if (found.voter !== null) answered.add(found.voter);
  adopt(known, found.ballot, found.state);
}

/** Keeps the state of the highest ballot. */
function adopt(known: Known, ballot: Ballot, text: string): void {
  if (text === "" || (known.state && compare(ballot, known.ballot) <= 0)) return;
  known.ballot = ballot;
  known.state = decodeState(text);
}

function* promiseAndAccept(candidate: Candidate, known: Known): Script<CampaignResult> {
  const epoch = known.epoch + 1;
  const promised = new Set<string>();
  for (;;) {
    const state = known.state as ClusterState;
    const open = state.voters.filter(({ id }) => !promised.has(id));
    const vote = { epoch, owner: candidate.owner };
    const answers = yield* wait(all(open.map((seat) => candidate.voters.prepare(candidate.cluster, seat, vote))));
    const ahead = highestPromise(answers);
    if (ahead >= epoch) return { type: "outPromised", epoch: ahead };
    open.forEach((seat, index) => {
      const answer = answers[index];
      if (answer?.["status"] === "ok") promised.add(seat.id);
    });
    for (const answer of answers) {
      if (answer["status"] === "ok") adopt(known, answer["ballot"] as Ballot, answer["state"] as string);
    }
    if (known.state !== state) continue;
    const yes = state.voters.filter(({ id }) => promised.has(id)).length;
    if (yes < votesNeeded(state.voters)) {
      return { type: "waiting", missing: state.voters.filter(({ id }) => !promised.has(id)), hints: candidate.hints };
    }
    return yield* acceptFirst(candidate, state, epoch);
  }
}

function* acceptFirst(candidate: Candidate, adopted: ClusterState, epoch: number): Script<CampaignResult> {
  const { owner, address, voters } = candidate;
  const located = <T extends VoterSeat | ClusterState["members"][number]>(item: T): T =>
    ({ ...item, address: voters.addressOf({ kind: "node", ...item }) }) as T;
  const state: ClusterState = {
    ...adopted,
    leader: { owner, address },
    members: adopted.members.map(located),
    voters: adopted.voters.map((seat) =>
      seat.kind === "coordinator" && seat.id === voters.local.seat ? { ...seat, address } : located(seat),
    ),
  };
  const ballot: Ballot = [epoch, 1];
  const text = encodeState(state);
  const answering = new Set<string>();
  const asked = state.voters.map((seat) => {
    const answer = voters.accept(candidate.cluster, seat, { ballot, owner, state: text });
    answer.whenDone((found) => void (isOk(found) && answering.add(seat.id)));
    return answer;
  });
  const answers = yield* wait(
    gather(
      candidate.timers,
      asked,
      VOTE_TIMEOUT_MS,
      (arrived) => arrived.filter(isOk).length >= votesNeeded(state.voters),
    ),
  );
  const ahead = highestPromise(answers);
  if (ahead >= epoch && answers.filter(isOk).length < votesNeeded(state.voters))
    return { type: "outPromised", epoch: ahead };
  if (answers.filter(isOk).length < votesNeeded(state.voters)) {
    return { type: "waiting", missing: state.voters.filter(({ id }) => memberOf(state, id)), hints: candidate.hints };
  }
  return { type: "won", epoch, ballot, state, answering };
}

export function isOk(answer: Answer): boolean {
  return answer["status"] === "ok";
}

/** Highest promise that refused us; 0 where nobody did. */
function highestPromise(answers: readonly Answer[]): number {
  const refusals = answers.filter((answer) => answer["code"] === "OUT_PROMISED");
  return Math.max(0, ...refusals.map((answer) => Number(answer["promised"] ?? 0)));
}
