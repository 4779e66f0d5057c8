// Control: the node's working copy of its control state (fence, votes, memberships), ahead of the disk by what is appended and not
// yet durable. Every change remembers its log position, so that whoever depends on a change waits until it is durable: an answer
// never rests on something that a crash could take back (N3, N8).
import { assert, unreachable } from "../../shared/assert.ts";
import { SLOTS } from "../../shared/limits.ts";
import { highest, type Stamp } from "../../shared/version.ts";
import { applyControl, slotState } from "../engine/control-state.ts";
import type { ControlRecord, ControlState, Engine, SlotState, WriteRecord } from "../engine/engine.ts";

export class Control {
  readonly state: ControlState;
  readonly #engine: Engine;
  #durable = 0;
  #appended = 0;
  #fenceUntil = 0;
  #voterUntil = 0;
  #identityUntil = 0;
  readonly #slotUntil = new Float64Array(SLOTS);
  #slotsUntil = 0;
  // What each operation is compared with, in flat arrays: slots and their stamps lie all over the heap.
  /** `floor` of every slot: epoch, number, and so on. */
  readonly #floors = new Float64Array(2 * SLOTS);
  /** 1: this node is a member of the slot. */
  readonly #members = new Uint8Array(SLOTS);

  /** Rules switched off, by the mutation check of the simulator only. */
  readonly without: ReadonlySet<string>;

  constructor(engine: Engine, without: ReadonlySet<string>) {
    this.#engine = engine;
    this.without = without;
    this.state = engine.recovered;
    for (let slot = 0; slot < SLOTS; slot++) this.#reread(slot);
  }

  /** Position up to which everything is durable. */
  get durable(): number {
    return this.#durable;
  }

  /** Position behind everything appended. */
  get appended(): number {
    return this.#appended;
  }

  reached(position: number): void {
    assert(position >= this.#durable, "durable positions only grow");
    this.#durable = position;
  }

  /** Appends the write of a register, which changes nothing here. Returns the position to wait for. */
  write(record: WriteRecord): number {
    this.#appended = this.#engine.append([record]);
    return this.#appended;
  }

  /** Appends records and applies them to the working copy. Returns the position to wait for. */
  append(records: readonly ControlRecord[]): number {
    const position = this.#engine.append(records);
    for (const record of records) {
      applyControl(this.state, record);
      this.#remember(record, position);
    }
    this.#appended = Math.max(this.#appended, position);
    return position;
  }

  #remember(record: ControlRecord, position: number): void {
    switch (record.type) {
      case "role":
      case "stamp":
      case "copied":
        for (const slot of record.slots) {
          this.#slotUntil[slot] = position;
          this.#reread(slot);
        }
        this.#slotsUntil = position;
        return;
      case "remove":
      case "purge":
        this.#slotUntil[record.slot] = position;
        this.#slotsUntil = position;
        return;
      case "fence":
        for (let slot = 0; slot < SLOTS; slot++) this.#reread(slot);
        this.#fenceUntil = position;
        return;
      case "identity":
        this.#identityUntil = position;
        return;
      case "promise":
      case "accept":
        this.#voterUntil = position;
        return;
      default:
        unreachable(record);
    }
  }

  /** What a line of data operations waits for before anything in it is looked at. */
  get groupUntil(): number {
    return Math.max(this.#fenceUntil, this.#identityUntil);
  }

  get voterUntil(): number {
    return this.#voterUntil;
  }

  /** The highest `slotUntil` of all slots. */
  get slotsUntil(): number {
    return this.#slotsUntil;
  }

  slotUntil(slot: number): number {
    return this.#slotUntil[slot] ?? 0;
  }

  slot(slot: number): SlotState {
    return slotState(this.state, slot);
  }

  /** N7. */
  isMember(slot: number): boolean {
    return this.#members[slot] === 1;
  }

  /** N6: the lowest stamp that this slot accepts: its own, or (fence, 0) where that is higher. */
  floor(slot: number): Stamp {
    return [this.#floors[2 * slot] ?? 0, this.#floors[2 * slot + 1] ?? 0];
  }

  /** N6: positive where a stamp is news for the slot, negative where it is stale. */
  order(slot: number, stamp: Stamp): number {
    const byEpoch = stamp[0] - (this.#floors[2 * slot] as number);
    return byEpoch === 0 ? stamp[1] - (this.#floors[2 * slot + 1] as number) : byEpoch;
  }

  /** A slot, or the fence, changed. */
  #reread(slot: number): void {
    const { stamp, role } = this.slot(slot);
    const [epoch, n] = highest(stamp, [this.state.fence, 0]);
    this.#floors[2 * slot] = epoch;
    this.#floors[2 * slot + 1] = n;
    this.#members[slot] = role === "member" ? 1 : 0;
  }
}
