// Anti-entropy: keeps replicas equal without being asked. Slots in which a node that is back missed a write come first; then what this
// leader has not compared yet, everything once; then what was disturbed since (in-step.ts), and all slots again and again, some a second.
// `repair` compares and mends all of them now. Where members turn out to be equal, old tombstones are collected (N9). All of it comes
// after clients: while they are served it goes in small steps with rests between them (pacing.ts).
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import { SLOTS } from "../../shared/limits.ts";
import { all, run, sleep, wait, type Script } from "../../shared/script.ts";
import { compare, ZERO } from "../../shared/version.ts";
import { WORTH } from "../cluster/pacing.ts";
import {
  comparable,
  compareSlots,
  mended,
  putBack,
  restore,
  settled,
  type Comparison,
  type Compared,
  type RepairContext,
} from "./compare.ts";
import { Collector } from "./collect.ts";
import { mend } from "./mend.ts";

/** Pause between two looks at what there is to do. */
const LOOK_MS = 100;
/** After something could not be mended: what stood in the way may last. */
const AGAIN_MS = 400;
/** Slots compared at a time. */
const SLOTS_AT_ONCE = 1_024;
/**
 * While clients are served: a node counts up their keys in one go, while clients wait; and the longer a comparison takes, the more slots differ
 * by what is being written.
 */
const SLOTS_AT_ONCE_SERVING = 32;
/** Keys listed at a time, over all slots of a group; a fuller slot is a group of its own. */
const KEYS_LISTED_MAX = 4_000;
/** Groups of slots mended side by side where nobody is served. */
const GROUPS_AT_ONCE = 4;
/** Slots compared at a time when nothing is known to differ, and how often that is. */
const IDLE_SLOTS = 32;
const IDLE_EVERY_MS = 500;
/** Slots compared that often while clients keep the sequencer busy. */
const IDLE_SLOTS_BUSY = 4;
const BUSY_IN_FLIGHT = 64;

/** Pause between two rounds through the slots that are not known to be in step: some of them are written all the time. */
const ROUND_EVERY_MS = 1_000;

/** What a repair has done so far. */
export interface Repaired {
  readonly slotsTotal: number;
  readonly slotsCompared: number;
  readonly slotsDifferent: number;
  readonly keysMended: number;
  /** Slots that could not be compared or mended now: too few members answer, or they change hands. */
  readonly slotsLeft: number;
}

export const NOTHING_REPAIRED: Repaired = {
  slotsTotal: 0,
  slotsCompared: 0,
  slotsDifferent: 0,
  keysMended: 0,
  slotsLeft: 0,
};

export class AntiEntropy {
  readonly #context: RepairContext;
  /** Everything mended in this leadership. */
  #totals = NOTHING_REPAIRED;
  readonly collector: Collector;
  /** By slot: writes of this leadership when it was compared last. */
  readonly #writesAt = new Float64Array(SLOTS);
  #idleNext = 0;
  #idleAt = 0;
  /** Round through the slots that are not known to be in step. */
  #roundNext = 0;
  #roundAt = 0;
  #repairing = false;

  /** @param collectAfterMs Age from which on tombstones go (N9). */
  constructor(context: RepairContext, collectAfterMs: number) {
    this.#context = context;
    this.collector = new Collector(context, collectAfterMs);
  }

  get totals(): Repaired {
    return this.#totals;
  }

  /** Runs for as long as the leadership lasts. */
  *run(): Script<void> {
    const { timers, active } = this.#context;
    this.#idleAt = timers.now + IDLE_EVERY_MS;
    while (active()) {
      this.collector.look();
      const due = this.#due();
      const done = due.length > 0 ? yield* this.#work(due) : NOTHING_REPAIRED;
      if (due.length === 0) yield* this.#bringIntoStep();
      if (due.length === 0 || done.slotsLeft > 0) yield* wait(sleep(timers, done.slotsLeft > 0 ? AGAIN_MS : LOOK_MS));
    }
  }

  /** `repair`: compares and mends all slots now, or those of one node. @param progress Told after every group of slots. */
  *repair(node: NodeId | undefined, progress: (so: Repaired) => void): Script<Repaired | KvError> {
    if (this.#repairing) return new KvError("OVERLOADED", "a repair runs already: wait for its end");
    this.#repairing = true;
    const { slots, active } = this.#context;
    const wanted = slots.filter(({ members }) => node === undefined || members.includes(node)).map(({ slot }) => slot);
    let sum: Repaired = { ...NOTHING_REPAIRED, slotsTotal: wanted.length };
    progress(sum);
    for (let start = 0; start < wanted.length && active();) {
      const group = wanted.slice(start, start + this.#slotsAtOnce);
      sum = add(sum, yield* this.#work(group));
      start += group.length;
      progress(sum);
    }
    this.#repairing = false;
    return active() ? sum : new KvError("NOT_LEADER", "this coordinator lost its leadership: repair again");
  }

  /** The slots to look at next: flagged ones of nodes that answer, else a few of all. */
  #due(): number[] {
    const { behind, peers, timers } = this.#context;
    const found = new Set<number>();
    const ready = (slot: number): boolean => comparable(this.#context, slot) !== undefined;
    for (const { id, up } of peers.all()) {
      if (!up) continue;
      const own = (slot: number): boolean => ready(slot) && peers.get(id)?.confirmed[slot] === 1;
      for (const slot of behind.slotsOf(id, this.#slotsAtOnce - found.size, own)) found.add(slot);
    }
    if (found.size > 0 || timers.now < this.#idleAt) return [...found];
    this.#idleAt = timers.now + IDLE_EVERY_MS;
    return this.#idleSlots().filter(ready);
  }

  /** Compares some slots that are not known to be in step. What differs there was written just now; else it is flagged, or turns up later. */
  *#bringIntoStep(): Script<void> {
    const slots = this.#outOfStep();
    if (slots.length === 0) return;
    const { different } = yield* this.#compareOnce(slots);
    for (const compared of different) putBack(this.#context, compared);
  }

  #outOfStep(): number[] {
    const { timers } = this.#context;
    if (timers.now < this.#roundAt) return [];
    const found: number[] = [];
    for (; this.#roundNext < SLOTS && found.length < this.#slotsAtOnce; this.#roundNext++)
      if (this.#canComeIntoStep(this.#roundNext)) found.push(this.#roundNext);
    if (this.#roundNext === SLOTS) {
      this.#roundNext = 0;
      this.#roundAt = timers.now + ROUND_EVERY_MS;
    }
    return found;
  }

  #canComeIntoStep(slot: number): boolean {
    const runtime = this.#context.slots[slot];
    if (!runtime || runtime.inStep.known) return false;
    return comparable(this.#context, slot)?.length === runtime.members.length;
  }

  get #slotsAtOnce(): number {
    return this.#context.pacer.serving ? SLOTS_AT_ONCE_SERVING : SLOTS_AT_ONCE;
  }

  #idleSlots(): number[] {
    const busy = this.#context.sequencer.inFlight > BUSY_IN_FLIGHT;
    const count = Math.min(busy ? IDLE_SLOTS_BUSY : IDLE_SLOTS, SLOTS);
    const first = this.#idleNext;
    this.#idleNext = (first + count) % SLOTS;
    return Array.from({ length: count }, (_, index) => (first + index) % SLOTS);
  }

  /** Compares slots, and mends those that differ. */
  *#work(slots: readonly number[]): Script<Repaired> {
    const context = this.#context;
    const { same, different, skipped } = yield* this.#compare(slots);
    const work: Work = { groups: groups(different), equal: [...same], keysMended: 0, slotsLeft: skipped.length };
    const helpers = Array.from({ length: GROUPS_AT_ONCE - 1 }, () => run(this.#mendGroups(work, "helping")));
    yield* this.#mendGroups(work, "alone");
    yield* wait(all(helpers));
    yield* this.collector.collect(work.equal);
    const { keysMended, slotsLeft } = work;
    const slotsCompared = same.length + different.length;
    const done = { slotsTotal: 0, slotsCompared, slotsDifferent: different.length, keysMended, slotsLeft };
    this.#totals = add(this.#totals, done);
    for (const group of work.groups) for (const compared of group) restore(context, compared);
    return done;
  }

  /**
   * Compares slots. Those that differ although nothing is known to be missing are looked at once more: most of them differed by a write
   * on its way.
   */
  *#compare(slots: readonly number[]): Script<Comparison> {
    const first = yield* this.#compareOnce(slots);
    const surprising = first.different.filter(({ since }) => since === undefined);
    if (surprising.length === 0 || !this.#context.pacer.serving) return first;
    for (const compared of surprising) restore(this.#context, compared);
    const again = yield* this.#compareOnce(surprising.map(({ runtime }) => runtime.slot));
    return {
      same: [...first.same, ...again.same],
      different: [...first.different.filter(({ since }) => since !== undefined), ...again.different],
      skipped: [...first.skipped, ...again.skipped],
    };
  }

  *#compareOnce(slots: readonly number[]): Script<Comparison> {
    const { pacer, sequencer } = this.#context;
    const { writesEnded } = sequencer;
    const worth = ({ same, different }: Comparison): number => {
      let counted = 0;
      for (const compared of [...same, ...different]) counted += this.#countedFor(compared, writesEnded);
      return slots.length * WORTH.compared + counted * WORTH.counted;
    };
    const found = yield* pacer.step(() => compareSlots(this.#context, slots), worth);
    for (const compared of found.same) settled(this.#context, compared);
    return found;
  }

  /** Keys that the members of a slot had to count up: about as many as were written since it was compared last. */
  #countedFor({ runtime, held }: Compared, writes: number): number {
    const written = (writes - (this.#writesAt[runtime.slot] as number)) / SLOTS;
    this.#writesAt[runtime.slot] = writes;
    let counted = 0;
    for (const { keys, tombstones } of held.values()) counted += Math.min(written, keys + tombstones);
    return counted;
  }

  /** Mends groups of slots until none is left; helpers only where nobody is served. */
  *#mendGroups(work: Work, as: "alone" | "helping"): Script<void> {
    const context = this.#context;
    while (context.active() && (as === "alone" || !this.#context.pacer.serving)) {
      const group = work.groups.shift();
      if (!group) return;
      const found = yield* mend(context, group);
      work.equal.push(...found.equal.filter(({ since }) => since === undefined));
      work.keysMended += found.keys;
      work.slotsLeft += found.left.size;
      for (const compared of group) (found.left.has(compared) ? restore : mended)(context, compared);
    }
  }
}

/** Groups of slots that are still to be mended, and what came of the others. */
interface Work {
  readonly groups: Compared[][];
  readonly equal: Compared[];
  keysMended: number;
  slotsLeft: number;
}

/** Slots to list together: bounded by keys. */
function groups(slots: readonly Compared[]): Compared[][] {
  const found: Compared[][] = [];
  let keys = Infinity;
  // What is known to be missing since some version is listed from there on, by itself, and first.
  const known = slots.filter(({ since }) => since !== undefined);
  const others = slots.filter(({ since }) => since === undefined);
  for (const compared of [...known, ...others]) {
    const own = Math.max(0, ...[...compared.held.values()].map((held) => held.keys + held.tombstones));
    if (keys + own > KEYS_LISTED_MAX || !sameSince(compared, found.at(-1)?.[0])) {
      found.push([]);
      keys = 0;
    }
    found.at(-1)?.push(compared);
    keys += own;
  }
  return found;
}

function sameSince(a: Compared, b: Compared | undefined): boolean {
  return b !== undefined && compare(a.since ?? ZERO, b.since ?? ZERO) === 0;
}

function add(a: Repaired, b: Repaired): Repaired {
  return {
    slotsTotal: a.slotsTotal + b.slotsTotal,
    slotsCompared: a.slotsCompared + b.slotsCompared,
    slotsDifferent: a.slotsDifferent + b.slotsDifferent,
    keysMended: a.keysMended + b.keysMended,
    slotsLeft: a.slotsLeft + b.slotsLeft,
  };
}
