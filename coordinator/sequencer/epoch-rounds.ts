// Epoch rounds: a majority of a slot's members is asked whether they are at this leader's epoch still, once for all reads that begin
// before the question leaves. Slots with the same members share it. While all answer, nobody else had acknowledged anything when these
// reads began (C6).
import type { Refusal } from "../../shared/protocol/node-messages.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { EpochListener } from "../links/link.ts";
import { heedFence, type SequencerContext } from "./context.ts";

/** Whose answer stands if the members of a round are at this epoch. */
export interface RoundFollower {
  confirmed(round: EpochRound): void;
  /** One of them is not, or cannot tell. */
  unconfirmed(round: EpochRound): void;
}

export class EpochRound implements EpochListener {
  /** When it began, by the core's clock. */
  readonly at: number;
  readonly #context: SequencerContext;
  readonly #followers: RoundFollower[] = [];
  /** How many have yet to tell. */
  #needed: number;
  #open = true;

  constructor(context: SequencerContext, needed: number) {
    this.#context = context;
    this.#needed = needed;
    this.at = context.timers.now;
  }

  /** Whether the question has not left yet: it will be asked after what joins now has begun. */
  get open(): boolean {
    return this.#open;
  }

  join(follower: RoundFollower): void {
    this.#followers.push(follower);
  }

  epochAsked(): void {
    this.#open = false;
  }

  epochTold(refusal: Refusal | undefined): void {
    this.#open = false;
    if (refusal) return this.#fail(refusal);
    if (--this.#needed !== 0) return;
    for (const follower of this.#followers) follower.confirmed(this);
  }

  #fail(refusal: Refusal): void {
    if (this.#needed <= 0) return;
    this.#needed = 0;
    heedFence(this.#context, refusal);
    for (const follower of this.#followers) follower.unconfirmed(this);
  }
}

/** Member lists that are remembered: more than a cluster has at a time, unless it is large. */
const LISTS_MAX = 1_024;

export class EpochRounds {
  readonly #context: SequencerContext;
  /** The latest of each list of members. */
  readonly #latest = new Map<string, EpochRound>();

  constructor(context: SequencerContext) {
    this.#context = context;
  }

  /** The round that a read which begins now can join; undefined where too few members answer at present. */
  of({ members, memberList, quorum }: SlotRuntime): EpochRound | undefined {
    const latest = this.#latest.get(memberList);
    if (latest?.open === true) return latest;
    const { without } = this.#context;
    const needed = without.has("C6-epoch") ? 1 : quorum;
    const order = this.#context.inTurn(members, false);
    const nodes = order.filter((node) => this.#context.reachable(node) && !this.#context.sluggish(node));
    if (nodes.length < needed) return undefined;
    const round = new EpochRound(this.#context, needed);
    for (const node of nodes.slice(0, needed)) this.#context.confirmEpoch(node, round);
    if (!round.open) return undefined;
    if (this.#latest.size >= LISTS_MAX) this.#latest.clear();
    this.#latest.set(memberList, round);
    return round;
  }
}
