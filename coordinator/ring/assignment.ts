// The table placement works on: which member (by index) holds which slot, beside what was held before.
// Owns one invariant: the bitmap, the lists and the sets always agree. Decides nothing: see placement.ts, balance.ts.
import { assert } from "../../shared/assert.ts";
import { SLOTS } from "../../shared/limits.ts";

export class Assignment {
  /** Members are numbered 0 to `members` − 1. */
  readonly members: number;
  readonly #lists: number[][];
  readonly #slots: Set<number>[];
  readonly #listsBefore: readonly (readonly number[])[];
  readonly #before: Uint8Array;
  readonly #now: Uint8Array;

  /** @param before Per slot, the live members that hold it now; distinct. The assignment starts from there. */
  constructor(before: readonly (readonly number[])[], members: number) {
    assert(before.length === SLOTS, "a table has one list per slot");
    this.members = members;
    this.#lists = before.map(() => []);
    this.#now = new Uint8Array(SLOTS * members);
    this.#slots = Array.from({ length: members }, () => new Set());
    this.#listsBefore = before;
    for (const [slot, list] of before.entries()) for (const member of list) this.add(slot, member);
    this.#before = this.#now.slice();
  }

  /** Members of a slot: kept ones in their old order, later ones after them. */
  list(slot: number): readonly number[] {
    return this.#lists[slot]!;
  }

  has(slot: number, member: number): boolean {
    return this.#now[member * SLOTS + slot] === 1;
  }

  /** Whether the member held the slot before any change: putting it there costs no copying. */
  had(slot: number, member: number): boolean {
    return this.#before[member * SLOTS + slot] === 1;
  }

  /** Slots the member holds. */
  held(member: number): number {
    return this.#slots[member]!.size;
  }

  /** Slots the member holds, the ones held longest first. */
  slotsOf(member: number): ReadonlySet<number> {
    return this.#slots[member]!;
  }

  /** Members of a slot before any change, in order. */
  listBefore(slot: number): readonly number[] {
    return this.#listsBefore[slot]!;
  }

  add(slot: number, member: number): void {
    assert(!this.has(slot, member), "a member holds a slot once");
    this.#now[member * SLOTS + slot] = 1;
    this.#lists[slot]!.push(member);
    this.#slots[member]!.add(slot);
  }

  remove(slot: number, member: number): void {
    assert(this.has(slot, member), "only a held slot is given up");
    this.#now[member * SLOTS + slot] = 0;
    this.#lists[slot]!.splice(this.#lists[slot]!.indexOf(member), 1);
    this.#slots[member]!.delete(slot);
  }

  move(move: { readonly slot: number; readonly from: number; readonly to: number }): void {
    this.remove(move.slot, move.from);
    this.add(move.slot, move.to);
  }

  /** Whether handing the slot over copies no more data than leaving it: to an old holder, or from a not yet filled one. */
  isFree(slot: number, from: number, to: number): boolean {
    return this.had(slot, to) || !this.had(slot, from);
  }
}
