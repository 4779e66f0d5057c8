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
import type { ClusterId } from "../../shared/ids.ts";
import type { InspectResult } from "../../shared/protocol/node-messages.ts";
import { gather, wait, type Future, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import { compare, ZERO, type Ballot } from "../../shared/version.ts";
import type { Answer } from "../links/link.ts";
import type { CampaignResult, CampaignTerms, Candidate } from "./agreement.ts";
import { VOTE_TIMEOUT_MS, type Voters } from "./voters.ts";

/** A candidate that asks voters. */
export interface Canvasser extends Candidate {
  readonly cluster: ClusterId;
  readonly timers: Timers;
  readonly voters: Voters;
}

const NOBODY_VOTES = "the state of this cluster is kept in an etcd: start again with --state etcd://host:port";

interface Known {
  ballot: Ballot;
  state: ClusterState | undefined;
  /** Highest promise or fence seen. */
  epoch: number;
}

export function* campaign(candidate: Canvasser, terms: CampaignTerms): Script<CampaignResult> {
  const { newest } = terms;
  const known: Known = { ballot: newest?.ballot ?? ZERO, state: newest?.state, epoch: terms.minEpoch };
  const answered = yield* discover(candidate, known);
  if (!known.state) return { type: "waiting", missing: [] };
  if (known.state.voters.length === 0) return { type: "waiting", missing: [], because: NOBODY_VOTES };
  if (!isMajority(known.state, answered)) {
    const missing = known.state.voters.filter(({ id }) => !answered.has(id));
    return { type: "waiting", missing };
  }
  const refused = terms.prevote ? yield* askFirst(candidate, known, known.state) : undefined;
  return refused ?? (yield* promiseAndAccept(candidate, known));
}

function isMajority({ voters }: ClusterState, ids: ReadonlySet<string>): boolean {
  return voters.filter(({ id }) => ids.has(id)).length >= votesNeeded(voters);
}

/** V4. @returns why not, where a majority does not encourage us */
function* askFirst(candidate: Canvasser, known: Known, state: ClusterState): Script<CampaignResult | undefined> {
  const { cluster, timers, voters } = candidate;
  const needed = votesNeeded(state.voters);
  const decided = (answers: readonly Answer[]): boolean => {
    const yes = answers.filter(isOk).length;
    return yes >= needed || state.voters.length - (answers.length - yes) < needed;
  };
  const asked = state.voters.map((seat) => voters.prevote(cluster, seat, known.epoch + 1));
  const answers = yield* wait(gather(timers, asked, VOTE_TIMEOUT_MS, decided));
  if (answers.filter(isOk).length >= needed) return undefined;
  const alive = answers.find((answer) => answer["code"] === "LEADER_ALIVE");
  if (alive) return { type: "leaderAlive", address: String(alive["leader"]), epoch: known.ballot[0] };
  const ahead = highestPromise(answers);
  if (ahead > known.epoch) return { type: "outPromised", epoch: ahead };
  return { type: "waiting", missing: [] };
}

/**
 * Inspects hints, then everything that the states found so far name, until a majority of the newest state's voters has answered (it
 * includes somebody who knows a newer state, if there is one) or nothing new turns up. Returns the seats that answered.
 */
function* discover(candidate: Canvasser, known: Known): Script<Set<string>> {
  const answered = new Set<string>();
  const asked = new Set<string>();
  let open = true;
  const enough = (): boolean => known.state !== undefined && isMajority(known.state, answered);
  const inspect = (address: string): Future<Answer> => {
    asked.add(address);
    const answer = candidate.voters.inspect(address);
    answer.whenDone((found) => {
      if (open) learn(candidate, known, found, address, answered);
    });
    return answer;
  };
  const named = (): string[] =>
    known.state ? [...known.state.voters, ...known.state.members].map(({ address }) => address) : [];
  learn(candidate, known, candidate.voters.local.inspect(), undefined, answered);
  let addresses = new Set([...named(), ...candidate.hints, ...candidate.voters.hints]);
  while (addresses.size > 0 && !enough()) {
    const round = [...addresses].filter((address) => address !== candidate.address);
    yield* wait(gather(candidate.timers, round.map(inspect), VOTE_TIMEOUT_MS, enough));
    addresses = new Set(named().filter((address) => !asked.has(address) && address !== candidate.address));
  }
  open = false;
  return answered;
}

function learn(
  candidate: Canvasser,
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

function* promiseAndAccept(candidate: Canvasser, known: Known): Script<CampaignResult> {
  const epoch = known.epoch + 1;
  const promised = new Set<string>();
  for (;;) {
    const state = known.state as ClusterState;
    const open = state.voters.filter(({ id }) => !promised.has(id));
    const vote = { epoch, owner: candidate.owner };
    const asked = open.map((seat) => candidate.voters.prepare(candidate.cluster, seat, vote));
    const missing = votesNeeded(state.voters) - state.voters.filter(({ id }) => promised.has(id)).length;
    const found = new Map<string, Answer>();
    asked.forEach((answer, index) => answer.whenDone((said) => void found.set((open[index] as VoterSeat).id, said)));
    yield* wait(gather(candidate.timers, asked, VOTE_TIMEOUT_MS, (arrived) => arrived.filter(isOk).length >= missing));
    const answers = [...found.values()];
    const ahead = highestPromise(answers);
    if (ahead >= epoch) return { type: "outPromised", epoch: ahead };
    for (const [id, answer] of found) {
      if (!isOk(answer)) continue;
      promised.add(id);
      adopt(known, answer["ballot"] as Ballot, answer["state"] as string);
    }
    if (known.state !== state) continue;
    const yes = state.voters.filter(({ id }) => promised.has(id)).length;
    if (yes < votesNeeded(state.voters)) {
      return { type: "waiting", missing: state.voters.filter(({ id }) => !promised.has(id)) };
    }
    return yield* acceptFirst(candidate, state, epoch);
  }
}

function* acceptFirst(candidate: Canvasser, adopted: ClusterState, epoch: number): Script<CampaignResult> {
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
  const asked = state.voters.map((seat) => voters.accept(candidate.cluster, seat, { ballot, owner, state: text }));
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
    return { type: "waiting", missing: state.voters.filter(({ id }) => memberOf(state, id)) };
  }
  return { type: "won", epoch, ballot, state };
}

export function isOk(answer: Answer): boolean {
  return answer["status"] === "ok";
}

/** Highest promise that refused us; 0 where nobody did. */
function highestPromise(answers: readonly Answer[]): number {
  const refusals = answers.filter((answer) => answer["code"] === "OUT_PROMISED");
  return Math.max(0, ...refusals.map((answer) => Number(answer["promised"] ?? 0)));
}
