// Anti-entropy: keeps replicas equal without being asked. Slots in which a node that is back missed a write come first; then what this
// leader has not compared yet, everything once; then all slots again and again, some a second. `repair` compares and mends all of them
// now. Where members turn out to be equal, old tombstones are collected (N9). All of it comes after clients: while they are served, work takes at most a fifth of the time.
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import { SLOTS } from "../../shared/limits.ts";
import { sleep, wait, type Script } from "../../shared/script.ts";
import { comparable, compareSlots, restore, settled, type Compared, type RepairContext } from "./compare.ts";
import { Collector } from "./collect.ts";
import { mend } from "./mend.ts";

/** Pause between two looks at what there is to do. */
const LOOK_MS = 100;
/** After something could not be mended: what stood in the way may last. */
const AGAIN_MS = 400;
/** Slots compared at a time. */
const SLOTS_AT_ONCE = 1_024;
/** Keys listed at a time, over all slots of a group; a fuller slot is a group of its own. */
const KEYS_LISTED_MAX = 20_000;
/** Slots compared at a time when nothing is known to differ, and how often that is. */
const IDLE_SLOTS = 32;
const IDLE_EVERY_MS = 500;
/** Slots compared that often while clients keep the sequencer busy. */
const IDLE_SLOTS_BUSY = 4;
const BUSY_IN_FLIGHT = 64;
/** Work : pause is 1 : 4 while clients are served. */
const PAUSE_SHARE = 4;

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
  #idleNext = 0;
  #idleAt = 0;
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
    for (let start = 0; start < wanted.length && active(); start += SLOTS_AT_ONCE) {
      sum = add(sum, yield* this.#work(wanted.slice(start, start + SLOTS_AT_ONCE)));
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
      for (const slot of behind.slotsOf(id, SLOTS_AT_ONCE - found.size, own)) found.add(slot);
    }
    if (found.size > 0 || timers.now < this.#idleAt) return [...found];
    this.#idleAt = timers.now + IDLE_EVERY_MS;
    return this.#idleSlots().filter(ready);
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
    const startedAt = context.timers.now;
    const { same, different, skipped } = yield* compareSlots(context, slots);
    for (const compared of same) settled(context, compared);
    const equal = [...same];
    yield* this.#pause(startedAt);
    let keysMended = 0;
    let slotsLeft = skipped.length;
    for (const group of groups(different)) {
      if (!context.active()) break;
      const mended = yield* mend(context, group, (since) => this.#pause(since));
      equal.push(...mended.equal);
      keysMended += mended.keys;
      slotsLeft += mended.left.size;
      for (const compared of group) (mended.left.has(compared) ? restore : settled)(context, compared);
    }
    yield* this.collector.collect(equal);
    const slotsCompared = same.length + different.length;
    const done = { slotsTotal: 0, slotsCompared, slotsDifferent: different.length, keysMended, slotsLeft };
    this.#totals = add(this.#totals, done);
    return done;
  }

  /** Clients come first: while some are served, rest four times as long as was worked. */
  *#pause(startedAt: number): Script<void> {
    const { timers, sequencer } = this.#context;
    if (sequencer.inFlight === 0) return;
    yield* wait(sleep(timers, Math.min(AGAIN_MS, (timers.now - startedAt) * PAUSE_SHARE)));
  }
}

/** Slots to list together: bounded by keys. */
function groups(slots: readonly Compared[]): Compared[][] {
  const found: Compared[][] = [];
  let keys = Infinity;
  for (const compared of slots) {
    const own = Math.max(0, ...[...compared.held.values()].map((held) => held.keys + held.tombstones));
    if (keys + own > KEYS_LISTED_MAX) {
      found.push([]);
      keys = 0;
    }
    found.at(-1)?.push(compared);
    keys += own;
  }
  return found;
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
