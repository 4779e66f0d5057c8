// Canvass: whom a read asks, at one membership of its slot, and what they say. It hears the answers itself: those to an earlier
// canvass of the read are told apart by it. What the answers amount to is the read's business.
import type { NodeId } from "../../shared/ids.ts";
import type { OpResult, ReadOp, ReadResult, Refusal, VersionResult } from "../../shared/protocol/node-messages.ts";
import { equal, type Stamp, type Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { EpochListener, OpListener } from "../links/link.ts";
import type { SequencerContext } from "./context.ts";
import type { ReadOperation } from "./operation.ts";

/** Silence after which another replica is asked as well. */
export const HEDGE_MS = 40;
/** Pause before a refused replica is asked again. */
const AGAIN_MS = 40;

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
  readonly operation: ReadOperation;
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
  readonly undisturbed: boolean;
  /** Members that have told a version. */
  answered = 0;
  /** Whether one member is to speak for all, and how many others are known to be at this epoch since. */
  alone = false;
  confirmed = 0;
  readonly #read: Canvassing;
  readonly #context: SequencerContext;
  readonly #runtime: SlotRuntime;
  /** The same members, the best to ask first. */
  readonly #order: readonly NodeId[];
  /** At most one entry a member: few enough to be looked through. */
  readonly #asked: Asked[] = [];
  /** The same for every member that is asked at one stamp. */
  #whole: ReadOp | undefined;
  #brief: ReadOp | undefined;

  constructor(read: Canvassing, context: SequencerContext, runtime: SlotRuntime, undisturbed: boolean) {
    this.#read = read;
    this.#context = context;
    this.#runtime = runtime;
    this.members = runtime.members;
    this.stamp = runtime.stamp;
    this.issued = runtime.issued;
    this.undisturbed = undisturbed;
    this.#order = context.inTurn(runtime.members, read.operation.level !== "one");
  }

  /** Asks one for the value, and others whether they are at this epoch. @returns whether there are so many to ask */
  askOne(needed: number): boolean {
    this.alone = true;
    let left = needed;
    for (const node of this.#order) {
      if (!this.#context.reachable(node) || this.#context.sluggish(node)) continue;
      if (this.#asked.length === 0) this.#ask(node);
      else this.#context.confirmEpoch(node, this);
      if (--left === 0) return true;
    }
    return false;
  }

  /** Asks so many that are to agree, one of them for the value. */
  askTogether(needed: number): void {
    this.alone = false;
    if (this.#asked.every(({ refusedAt }) => refusedAt !== undefined)) this.askMore(1);
    this.askMore(needed - 1, true);
  }

  /** Asks `count` members that were not asked yet, the best first. @param brief For their version only */
  askMore(count: number, brief = false): void {
    const left = this.#askSome(count, { brief, sluggish: false });
    if (left > 0) this.#askSome(left, { brief, sluggish: true });
  }

  /** All members that were not asked yet. */
  askRest(): void {
    this.alone = false;
    this.askMore(this.members.length);
  }

  /** Those that refused a while ago. */
  askAgain(now: number): void {
    for (const { node, refusedAt } of this.#asked) {
      if (refusedAt !== undefined && now - refusedAt >= AGAIN_MS && this.#context.reachable(node)) this.#ask(node);
    }
  }

  /** @returns how many are still to be asked */
  #askSome(count: number, how: { readonly brief: boolean; readonly sluggish: boolean }): number {
    let left = count;
    for (const node of this.#order) {
      if (left === 0) break;
      if (this.#of(node) || !this.#context.reachable(node) || this.#context.sluggish(node) !== how.sluggish) continue;
      left--;
      this.#ask(node, how.brief);
    }
    return left;
  }

  /** For the first time or again. */
  #ask(node: NodeId, brief = false): void {
    const { now } = this.#context.timers;
    const asked = this.#of(node);
    if (asked) {
      asked.at = now;
      asked.refusedAt = undefined;
    } else this.#asked.push({ node, at: now, answer: undefined, refusedAt: undefined });
    this.#context.send(node, brief ? this.#briefOp() : this.#wholeOp(), this);
  }

  #of(node: NodeId): Asked | undefined {
    for (const asked of this.#asked) if (asked.node === node) return asked;
    return undefined;
  }

  #wholeOp(): ReadOp {
    const { stamp } = this.#runtime;
    if (this.#whole?.stamp === stamp) return this.#whole;
    const { slot, key } = this.#read.operation;
    return (this.#whole = { op: "read", slot, stamp, key });
  }

  #briefOp(): ReadOp {
    const { stamp } = this.#runtime;
    if (this.#brief?.stamp === stamp) return this.#brief;
    const { slot, key } = this.#read.operation;
    return (this.#brief = { op: "read", slot, stamp, key, brief: true });
  }

  settled(node: NodeId, result: OpResult): void {
    const asked = this.#of(node);
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

  /** Whether all that have not answered were asked so long ago. */
  silentFor(limitMs: number, now: number): boolean {
    return this.#asked.every(({ answer, at }) => answer !== undefined || now - at >= limitMs);
  }

  /** Whether another member is to be asked as well: one is silent, or none is left that could answer. */
  wantsHedge(now: number): boolean {
    if (this.alone) return this.#asked.every(({ at }) => now - at >= HEDGE_MS);
    const silent = this.#asked.filter(({ answer }) => !answer);
    return silent.length === 0 || silent.some(({ at }) => now - at >= HEDGE_MS);
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
