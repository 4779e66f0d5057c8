// Succession: what a coordinator does while it does not lead. It looks for the cluster; while a leader lives it follows it as a standby; when
// the leader falls silent, hangs up or hands over, it stands for election (campaign.ts). Nothing but addresses is needed for that: the
// cluster state lives on the voters, or in an etcd (agreement.ts). A planned hand-over skips the pre-vote; everything else asks the voters first (V4).
import { decodeState, type ClusterState } from "../../shared/cluster-state.ts";
import type { ClusterId, OwnerId } from "../../shared/ids.ts";
import type { FollowAnswer } from "../../shared/protocol/coordinator-messages.ts";
import { sleep, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import { compare, ZERO } from "../../shared/version.ts";
import type { Links } from "../links/links.ts";
import type { Agreement, CampaignResult, Agreed, Won } from "./agreement.ts";

const RETRY_MS = 150;
/** Silence of a leader after which a standby stands for election: a random time from here up to twice as much. */
const PATIENCE_MS = 1_000;
/** A closed connection needs less; voters wait as long themselves (V4). */
const HUNG_UP_MS = 120;
const POLL_MS = 20;

/** Another coordinator, that leads. */
export interface Rival {
  readonly address: string;
  readonly epoch: number;
  /** Where it serves REST, if it said so. */
  readonly http?: string;
}

export interface SuccessionHost {
  readonly timers: Timers;
  readonly links: Links;
  readonly agreement: Agreement;
  readonly owner: OwnerId;
  readonly address: string;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly cluster: () => ClusterId | undefined;
  /** Where to look for the cluster. */
  readonly hints: () => readonly string[];
  readonly stopped: () => boolean;
  readonly following: (rival: Rival) => void;
  readonly waiting: (missing: readonly { readonly id: string; readonly address: string }[], because?: string) => void;
  /** There is no cluster yet. */
  readonly unfounded: () => void;
  /** A newer state was heard of. */
  readonly learned: (state: ClusterState) => void;
}

/** Why an election is held. `vacant`: perhaps nobody leads; `handed over`, or `own`: it is ours to lead on. */
export type Occasion = "vacant" | "handed over" | "own";

export class Succession {
  readonly #host: SuccessionHost;
  #epochSeen = 0;
  /** Counts what was begun: only the latest goes on. */
  #begun = 0;
  #newest: Agreed | undefined;

  constructor(host: SuccessionHost) {
    this.#host = host;
  }

  /** An epoch that was seen anywhere is spent. */
  saw(epoch: number): void {
    this.#epochSeen = Math.max(this.#epochSeen, epoch);
  }

  get epochSeen(): number {
    return this.#epochSeen;
  }

  /** This coordinator leads without an election. */
  cease(): void {
    this.#begun++;
  }

  /** Ends when this coordinator has won an epoch, or is stopped. */
  *untilWon(first: Occasion): Script<Won | undefined> {
    let occasion = first;
    const begun = ++this.#begun;
    const over = (): boolean => this.#host.stopped() || begun !== this.#begun;
    while (!over()) {
      const result = yield* this.#campaign(occasion);
      if (over()) return undefined;
      if (result.type === "won") return result;
      occasion = "vacant";
      if (result.type === "leaderAlive" && result.address !== this.#host.address) {
        occasion = yield* this.#follow(result);
        continue;
      }
      this.#lost(result);
      yield* wait(sleep(this.#host.timers, RETRY_MS * (1 + this.#host.random())));
    }
    return undefined;
  }

  *#campaign(occasion: Occasion): Script<CampaignResult> {
    const { agreement, cluster, owner, address, hints } = this.#host;
    const candidate = { owner, address, cluster: cluster(), hints: hints() };
    return yield* agreement.campaign(candidate, {
      minEpoch: this.#epochSeen,
      newest: this.#newest,
      prevote: occasion === "vacant",
    });
  }

  #lost(result: CampaignResult): void {
    if (result.type === "outPromised") this.saw(result.epoch);
    if (result.type === "waiting") this.#host.waiting(result.missing, result.because);
    if (result.type === "noCluster") this.#host.unfounded();
  }

  /** Follows a leader for as long as it lives. @returns the occasion of the next election */
  *#follow(found: Rival): Script<Occasion> {
    const { timers, links, random } = this.#host;
    const link = links.to(found.address);
    const patienceMs = PATIENCE_MS * (1 + random());
    let heardAt = timers.now;
    let downSince: number | undefined;
    this.saw(found.epoch);
    this.#host.following(found);
    while (!this.#host.stopped() && timers.now - heardAt < patienceMs) {
      if (!link.isUp("control")) {
        downSince ??= timers.now;
        if (timers.now - downSince > HUNG_UP_MS * (1 + random())) return "vacant";
        yield* wait(sleep(timers, POLL_MS));
        continue;
      }
      downSince = undefined;
      const { owner, address } = this.#host;
      const ballot = this.#newest?.ballot ?? ZERO;
      const answer = yield* wait(link.call("control", { op: "follow", owner, address, ballot }, patienceMs));
      if (answer["status"] === "ok") {
        heardAt = timers.now;
        if (this.#told(answer as unknown as FollowAnswer)) return "handed over";
      } else if (answer["code"] !== "LOST" && answer["code"] !== "NODE_UNREACHABLE") return "vacant"; // leads no more
    }
    return "vacant";
  }

  /** Takes the leader's news. @returns whether it hands over */
  #told({ leader, epoch, ballot, state, http, takeover }: FollowAnswer): boolean {
    if (epoch > this.#epochSeen || http !== undefined)
      this.#host.following({ address: leader, epoch, ...(http !== undefined && { http }) });
    this.saw(epoch);
    if (state !== undefined && compare(ballot, this.#newest?.ballot ?? ZERO) > 0) {
      this.#newest = { ballot, state: decodeState(state) };
      this.#host.learned(this.#newest.state);
    }
    return takeover === true;
  }
}
