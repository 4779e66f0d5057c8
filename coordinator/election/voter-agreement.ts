// Agreement among voters (V1–V5): storage nodes, and a coordinator's record where there are only two. An epoch is won by a majority's promises
// (campaign.ts); a change of the state is accepted by majorities of the old and of the new voter set. That a leader lives, voters hear by
// its heartbeats (heartbeats.ts), and closed connections tell them that it does not.
import { assert } from "../../shared/assert.ts";
import { encodeState, votesNeeded, type VoterSeat } from "../../shared/cluster-state.ts";
import type { KvError } from "../../shared/errors.ts";
import { Future, gather, sleep, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import type { Answer } from "../links/link.ts";
import type { Agreement, CampaignResult, CampaignTerms, Candidate, Proposal, Proposing } from "./agreement.ts";
import { campaign, isOk } from "./campaign.ts";
import { VOTE_TIMEOUT_MS, type Voters } from "./voters.ts";

const RETRY_MS = 100;

export class VoterAgreement implements Agreement {
  readonly place = undefined;
  readonly answers = true;
  readonly #timers: Timers;
  readonly #voters: Voters;

  constructor(timers: Timers, voters: Voters) {
    this.#timers = timers;
    this.#voters = voters;
  }

  /** The first node, blank, is the only voter: that it takes the state is all the agreement there is (C0). */
  vacant(): Script<KvError | undefined> {
    return nothing();
  }

  found(): Script<KvError | undefined> {
    return nothing();
  }

  *campaign(candidate: Candidate, terms: CampaignTerms): Script<CampaignResult> {
    const { cluster } = candidate;
    if (cluster === undefined) return { type: "noCluster" };
    return yield* campaign({ ...candidate, cluster, timers: this.#timers, voters: this.#voters }, terms);
  }

  /** V3, V5. */
  *accept(proposal: Proposal, { active, outPromised, renew }: Proposing): Script<boolean> {
    const { before, next, ballot } = proposal;
    assert(next.voters.length >= 1, "somebody votes");
    // A voter promised itself to a rival for this very epoch, and will never accept anything of ours in it.
    let rivalled = false;
    const refused = (found: Answer): void => {
      if (found["code"] !== "OUT_PROMISED") return;
      const promised = Number(found["promised"] ?? 0);
      if (promised === ballot[0]) rivalled = true;
      else outPromised(promised);
    };
    const seated = yield* this.#seated(proposal, refused);
    if (!active()) return false;
    if (!seated) {
      if (rivalled) renew();
      return false;
    }
    const text = encodeState(next);
    const seats = union(before.voters, next.voters);
    const yes = new Set<string>();
    const enough = (): boolean => isMajority(before.voters, yes) && isMajority(next.voters, yes);
    const heard = (seat: VoterSeat, found: Answer): void => {
      if (isOk(found)) yes.add(seat.id);
      else refused(found);
    };
    for (;;) {
      const open = seats.filter(({ id }) => !yes.has(id));
      const answers = open.map((seat) => this.#ask(proposal, seat, text, heard));
      yield* wait(gather(this.#timers, answers, VOTE_TIMEOUT_MS, enough));
      if (!active()) return false;
      if (enough()) return true;
      if (rivalled) {
        renew();
        return false;
      }
      yield* wait(sleep(this.#timers, RETRY_MS));
      if (!active()) return false;
    }
  }

  /**
   * V5: whoever is to vote from now on has a record first, of the state as it is. A voter that is counted and has none cannot promise
   * anything: if the leader ended now, a set of two would wait for it for ever. Where one does not answer, nothing is proposed.
   */
  *#seated({ before, next, ballot, owner }: Proposal, refused: (answer: Answer) => void): Script<boolean> {
    const fresh = next.voters.filter(({ id }) => !before.voters.some((seat) => seat.id === id));
    if (fresh.length === 0) return true;
    const current = { ballot: [ballot[0], ballot[1] - 1] as const, owner, state: encodeState(before), seat: true };
    const asked = fresh.map((seat) => this.#voters.accept(before.cluster, seat, current));
    const answers = yield* wait(gather(this.#timers, asked, VOTE_TIMEOUT_MS, () => false));
    for (const answer of answers) if (!isOk(answer)) refused(answer);
    return answers.length === fresh.length && answers.every(isOk);
  }

  #ask(
    { owner, ballot, before }: Proposal,
    seat: VoterSeat,
    state: string,
    heard: (seat: VoterSeat, answer: Answer) => void,
  ): Future<Answer> {
    const answer = this.#voters.accept(before.cluster, seat, { ballot, owner, state, seat: true });
    answer.whenDone((found) => heard(seat, found));
    return answer;
  }

  /** Heartbeats say it. */
  lead(): Script<void> {
    return nothing();
  }

  /** The connections that close say it. */
  resign(): Script<void> {
    return nothing();
  }
}

function* nothing(): Script<undefined> {
  const done = new Future<undefined>();
  done.resolve(undefined);
  return yield* wait(done);
}

function union(a: readonly VoterSeat[], b: readonly VoterSeat[]): VoterSeat[] {
  return [...a, ...b.filter(({ id }) => !a.some((seat) => seat.id === id))];
}

function isMajority(voters: readonly VoterSeat[], yes: ReadonlySet<string>): boolean {
  return voters.filter(({ id }) => yes.has(id)).length >= votesNeeded(voters);
}
