// Overlay: registers of one slot that are durable in the log and not yet in the table. Two generations of overlays exist at
// most: fresh (takes changes) and frozen (being written to the table by a checkpoint). Records stay the objects they came
// as; encoding waits for the checkpoint, so that overwrites in between cost nothing.
import { assert } from "../../shared/assert.ts";
import { compareKeys } from "../../shared/key-order.ts";
import { SLOTS } from "../../shared/limits.ts";
import { valueWeight } from "../../shared/record.ts";
import type { StoredRecord } from "../../shared/record.ts";
import type { Counted } from "./slot-account.ts";

/** One register of an overlay. `record` null: it is gone. */
export interface Cell {
  readonly key: string;
  record: StoredRecord | null;
  /** What the slot's live summary includes for this register; undefined until it is settled for the first time. */
  counted: Counted | null | undefined;
  /** Whether the cell waits in `unsettled`. */
  waiting: boolean;
}

/** Memory of a register beside its texts, roughly. */
const CELL_WEIGHT = 300;

function weight(key: string, record: StoredRecord | null): number {
  return CELL_WEIGHT + key.length + (record ? record.operation.length + valueWeight(record.value) : 0);
}

export class Overlay {
  /** The slot was wiped in this generation: nothing below it counts. */
  readonly wiped: boolean;
  readonly cells = new Map<string, Cell>();
  /** Cells that changed since the slot's summary was last settled. */
  unsettled: Cell[] = [];
  bytes = 0;
  #sorted: string[] | undefined;

  constructor(wiped: boolean) {
    this.wiped = wiped;
  }

  set(key: string, record: StoredRecord | null): void {
    const cell = this.cells.get(key);
    if (cell) {
      this.bytes += weight(key, record) - weight(key, cell.record);
      cell.record = record;
      if (!cell.waiting) this.#wait(cell);
      return;
    }
    this.bytes += weight(key, record);
    const added: Cell = { key, record, counted: undefined, waiting: true };
    this.cells.set(key, added);
    this.unsettled.push(added);
    this.#sorted = undefined;
  }

  #wait(cell: Cell): void {
    cell.waiting = true;
    this.unsettled.push(cell);
  }

  /** Keys in byte order; sorted again only after new ones came. */
  get sorted(): readonly string[] {
    return (this.#sorted ??= [...this.cells.keys()].sort(compareKeys));
  }

  /** Up to `limit` keys above `after`, in order. */
  keysAbove(after: string | undefined, limit: number): readonly string[] {
    const start = after === undefined ? 0 : firstAbove(this.sorted, after);
    return this.sorted.slice(start, start + limit);
  }
}

/** Index of the first key above `after` in sorted keys. */
export function firstAbove(sorted: readonly string[], after: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(sorted[middle] ?? "", after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The overlays of one generation. */
export class Generation {
  readonly #overlays: (Overlay | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  #bytes = 0;

  /** Distinct bytes held, roughly. */
  get bytes(): number {
    return this.#bytes;
  }

  overlay(slot: number): Overlay | undefined {
    return this.#overlays[slot];
  }

  set(slot: number, key: string, record: StoredRecord | null): void {
    assert(slot >= 0 && slot < SLOTS, "a slot is within range");
    const overlay = (this.#overlays[slot] ??= new Overlay(false));
    const before = overlay.bytes;
    overlay.set(key, record);
    this.#bytes += overlay.bytes - before;
  }

  wipe(slot: number): void {
    assert(slot >= 0 && slot < SLOTS, "a slot is within range");
    this.#bytes -= this.#overlays[slot]?.bytes ?? 0;
    this.#overlays[slot] = new Overlay(true);
  }
}
