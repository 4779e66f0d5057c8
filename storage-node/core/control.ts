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
  /** `floor` of every slot, in flat arrays: each operation is compared with it, and slots and their stamps lie all over the heap. */
  readonly #floorEpochs = new Float64Array(SLOTS);
  readonly #floorNumbers = new Float64Array(SLOTS);

  /** Rules switched off, by the mutation check of the simulator only. */
  readonly without: ReadonlySet<string>;

  constructor(engine: Engine, without: ReadonlySet<string>) {
    this.#engine = engine;
    this.without = without;
    this.state = engine.recovered;
    for (let slot = 0; slot < SLOTS; slot++) this.#refloor(slot);
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
          this.#refloor(slot);
        }
        this.#slotsUntil = position;
        return;
      case "remove":
      case "purge":
        this.#slotUntil[record.slot] = position;
        this.#slotsUntil = position;
        return;
      case "fence":
        for (let slot = 0; slot < SLOTS; slot++) this.#refloor(slot);
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

  /** N6: the lowest stamp that this slot accepts: its own, or (fence, 0) where that is higher. */
  floor(slot: number): Stamp {
    return [this.#floorEpochs[slot] ?? 0, this.#floorNumbers[slot] ?? 0];
  }

  /** N6: positive where a stamp is news for the slot, negative where it is stale. */
  order(slot: number, [epoch, n]: Stamp): number {
    const byEpoch = epoch - (this.#floorEpochs[slot] as number);
    return byEpoch === 0 ? n - (this.#floorNumbers[slot] as number) : byEpoch;
  }

  #refloor(slot: number): void {
    const [epoch, n] = highest(this.slot(slot).stamp, [this.state.fence, 0]);
    this.#floorEpochs[slot] = epoch;
    this.#floorNumbers[slot] = n;
  }
}
