// Behind: which slots each node may lack something in, as far as this leader can know. A write that a node did not acknowledge sets the
// node's flag for the slot (a flag, no value, no key); what happened before this leadership is unchecked. A comparison that finds
// nothing, or mends what it finds, takes the flag away. Wrong only in being careful: a flag set for nothing costs one comparison.
// The first version that a node missed is remembered, too, one for all its slots: whoever mends looks at what is newer first, and then
// compares the slot once more. So it says where to begin, and never that nothing else is missing.
import type { NodeId } from "../../shared/ids.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { ClusterState } from "../../shared/cluster-state.ts";
import { compare, type Version } from "../../shared/version.ts";

const CLEAR = 0;
/** Not compared since this leadership began. */
const UNCHECKED = 1;
/** A write was sent, or would have been, that the node did not acknowledge. */
const MISSED = 2;
export type Flag = typeof CLEAR | typeof UNCHECKED | typeof MISSED;

/** How far a node is behind. */
export interface Lag {
  /** Slots in which it missed a write. */
  readonly missed: number;
  /** Further slots that this leader has not compared yet. */
  readonly unchecked: number;
  /** Since when it has been behind, by the core's clock; undefined while it is in step. */
  readonly since: number | undefined;
}

export const IN_STEP: Lag = { missed: 0, unchecked: 0, since: undefined };

interface NodeFlags {
  readonly flags: Uint8Array;
  /** Slots with each flag. */
  readonly counts: [clear: number, unchecked: number, missed: number];
  /** Flags taken and not settled yet. */
  readonly taken: [clear: number, unchecked: number, missed: number];
  since: number | undefined;
  /** Lowest version missed since the node was in step. */
  missedFrom: Version | undefined;
}

export class Behind {
  readonly #now: () => number;
  readonly #nodes = new Map<NodeId, NodeFlags>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Nothing is known any more of what a node holds; without one, at the beginning of a leadership, of what any of them holds. */
  uncheck({ slots }: ClusterState, node?: NodeId): void {
    for (const [slot, { members }] of slots.entries()) {
      for (const id of members) if (node === undefined || id === node) this.#raise(id, slot, UNCHECKED);
    }
  }

  /** On the path of every write that a node did not acknowledge: a look-up and a store. */
  missed(node: NodeId, slot: number, version: Version): void {
    const known = this.#raise(node, slot, MISSED);
    if (!known.missedFrom || compare(version, known.missedFrom) < 0) known.missedFrom = version;
  }

  /** Where to begin in a slot whose flag of this node was taken; undefined: at the beginning. */
  missedFrom(node: NodeId, flag: Flag): Version | undefined {
    return flag === MISSED ? this.#nodes.get(node)?.missedFrom : undefined;
  }

  /** What was known to be missing in a slot has been mended: it is compared once more. */
  recheck(node: NodeId, slot: number, flag: Flag): void {
    if (flag !== CLEAR) this.#raise(node, slot, UNCHECKED);
    this.settled(node, flag);
  }

  /** Puts back a flag that was taken. */
  putBack(node: NodeId, slot: number, flag: Flag): void {
    if (flag !== CLEAR) this.#raise(node, slot, flag);
    this.settled(node, flag);
  }

  /** Puts back a flag that was taken; one that was not set is to be looked at again. */
  restore(node: NodeId, slot: number, flag: Flag): void {
    if (flag === CLEAR) this.#raise(node, slot, UNCHECKED);
    this.putBack(node, slot, flag);
  }

  /** A flag that was taken is done with: the slot is in step, up to what was missed since. */
  settled(node: NodeId, flag: Flag): void {
    const known = this.#nodes.get(node);
    if (!known) return;
    known.taken[flag] = Math.max(0, known.taken[flag] - 1);
    this.#time(known);
  }

  /** Takes a flag away, before the slot is compared: what is missed from now on sets it again. Until settled or restored it counts. */
  take(node: NodeId, slot: number): Flag {
    const known = this.#nodes.get(node);
    const flag = (known?.flags[slot] ?? CLEAR) as Flag;
    if (!known) return CLEAR;
    known.taken[flag]++;
    if (flag !== CLEAR) this.#set(known, slot, CLEAR);
    return flag;
  }

  /** Up to `limit` flagged slots of a node for which `ready` holds; slots that missed a write come first. */
  slotsOf(node: NodeId, limit: number, ready: (slot: number) => boolean): number[] {
    const known = this.#nodes.get(node);
    if (!known || known.since === undefined) return [];
    const found: number[] = [];
    for (const wanted of [MISSED, UNCHECKED] as const) {
      if (known.counts[wanted] === 0) continue;
      for (let slot = 0; slot < SLOTS && found.length < limit; slot++)
        if (known.flags[slot] === wanted && ready(slot)) found.push(slot);
    }
    return found;
  }

  lag(node: NodeId): Lag {
    const known = this.#nodes.get(node);
    if (!known) return IN_STEP;
    const { counts, taken, since } = known;
    return { missed: counts[MISSED] + taken[MISSED], unchecked: counts[UNCHECKED] + taken[UNCHECKED], since };
  }

  /** Forgets what a node need no longer hold. */
  follow(state: ClusterState): void {
    for (const [id, known] of this.#nodes) {
      if (!state.members.some((member) => member.id === id)) this.#nodes.delete(id);
      else if (known.since !== undefined) this.#forgetElsewhere(id, known, state);
    }
  }

  #forgetElsewhere(id: NodeId, known: NodeFlags, { slots }: ClusterState): void {
    known.flags.forEach((flag, slot) => {
      if (flag !== CLEAR && slots[slot]?.members.includes(id) !== true) this.#set(known, slot, CLEAR);
    });
  }

  #raise(node: NodeId, slot: number, flag: Flag): NodeFlags {
    let known = this.#nodes.get(node);
    if (!known) this.#nodes.set(node, (known = noFlags()));
    if ((known.flags[slot] ?? MISSED) < flag) this.#set(known, slot, flag);
    return known;
  }

  #set(known: NodeFlags, slot: number, flag: Flag): void {
    known.counts[(known.flags[slot] ?? CLEAR) as Flag]--;
    known.counts[flag]++;
    known.flags[slot] = flag;
    this.#time(known);
  }

  #time(known: NodeFlags): void {
    const { counts, taken, flags } = known;
    const inStep = counts[CLEAR] === flags.length && taken[UNCHECKED] + taken[MISSED] === 0;
    if (!inStep) {
      known.since ??= this.#now();
      return;
    }
    known.since = undefined;
    known.missedFrom = undefined;
  }
}

function noFlags(): NodeFlags {
  const flags = new Uint8Array(SLOTS);
  return { flags, counts: [SLOTS, 0, 0], taken: [0, 0, 0], since: undefined, missedFrom: undefined };
}
