// Canvass: whom a read has asked, at one membership of its slot, and what they said. It hears the answers itself: those to an earlier
// canvass of the read are told apart by it.
import type { NodeId } from "../../shared/ids.ts";
import type { OpResult, ReadResult, Refusal, VersionResult } from "../../shared/protocol/node-messages.ts";
import { equal, type Stamp, type Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { EpochListener, OpListener } from "../links/link.ts";

/** What one member was asked, and what it said. */
export interface Asked {
  readonly node: NodeId;
  at: number;
  answer: ReadResult | VersionResult | undefined;
  /** Undefined while no refusal stands. */
  refusedAt: number | undefined;
}

/** Whose canvass it is. */
export interface Canvassing {
  heard(canvass: Canvass, asked: Asked, result: OpResult): void;
  /** A member that was not asked to read tells whether it is at this epoch. */
  epochHeard(canvass: Canvass, refusal: Refusal | undefined): void;
}

export class Canvass implements OpListener, EpochListener {
  readonly members: readonly NodeId[];
  /** Of the slot, and versions issued in it, when it began. */
  readonly stamp: Stamp;
  readonly issued: number;
  /** Whether no version of the key was on its way or in doubt then. */
  undisturbed = false;
  /** The same members, the best to ask first. */
  readonly order: readonly NodeId[];
  /** Members that have told a version. */
  answered = 0;
  /** Whether one member is to speak for all, and how many others are known to be at this epoch since. */
  alone = false;
  confirmed = 0;
  readonly #read: Canvassing;
  /** At most one entry a member: few enough to be looked through. */
  readonly #asked: Asked[] = [];

  constructor(read: Canvassing, { members, stamp, issued }: SlotRuntime, order: readonly NodeId[]) {
    this.#read = read;
    this.members = members;
    this.stamp = stamp;
    this.issued = issued;
    this.order = order;
  }

  get asked(): readonly Asked[] {
    return this.#asked;
  }

  of(node: NodeId): Asked | undefined {
    for (const asked of this.#asked) if (asked.node === node) return asked;
    return undefined;
  }

  /** A member is asked, for the first time or again. */
  ask(node: NodeId, now: number): void {
    const asked = this.of(node);
    if (!asked) {
      this.#asked.push({ node, at: now, answer: undefined, refusedAt: undefined });
      return;
    }
    asked.at = now;
    asked.refusedAt = undefined;
  }

  settled(node: NodeId, result: OpResult): void {
    const asked = this.of(node);
    if (asked) this.#read.heard(this, asked, result);
  }

  epochTold(refusal: Refusal | undefined): void {
    this.#read.epochHeard(this, refusal);
  }

  /** A member has told what it holds. */
  take(asked: Asked, answer: ReadResult | VersionResult): void {
    if (!asked.answer) this.answered++;
    asked.answer = answer;
  }

  /** A value that was told, of a version that at least so many members hold. */
  agreed(needed: number): ReadResult | undefined {
    for (const { answer } of this.#asked)
      if (answer && "value" in answer && this.#holders(answer.version) >= needed) return answer;
    return undefined;
  }

  #holders(version: Version): number {
    let holders = 0;
    for (const { answer } of this.#asked) if (answer && equal(answer.version, version)) holders++;
    return holders;
  }
}
