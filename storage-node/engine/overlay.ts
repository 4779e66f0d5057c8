// Overlay: registers of one slot that are durable in the log and not yet in the table. Two generations of overlays exist at
// most: fresh (takes changes) and frozen (being written to the table by a checkpoint). Registers are kept encoded, outside the
// heap of JavaScript: a hundred thousand small objects that live until the next checkpoint would keep the garbage collector
// busier than everything else a node does. An overwrite of the same size costs no memory, and nothing at a checkpoint.
import { assert } from "../../shared/assert.ts";
import { compareKeys } from "../../shared/key-order.ts";
import { firstAbove } from "./sorted-keys.ts";
import { SLOTS } from "../../shared/limits.ts";
import { readBody, versionAt } from "./record-codec.ts";
import type { Body } from "./record-codec.ts";
import type { StoredRecord } from "../../shared/record.ts";
import type { Version } from "../../shared/version.ts";
import type { Counted } from "./slot-account.ts";

const CHUNK_BYTES = 256 * 1024;
/** Bodies beyond this get a buffer of their own. */
const SHARED_BYTES_MAX = 16 * 1024;

/** Buffers that the bodies of one generation are copied into. They are freed with it. */
class Arena {
  #chunk = Buffer.alloc(0);
  #used = 0;

  /** Room for a body: a buffer and the offset in it. */
  reserve(bytes: number): { chunk: Buffer; at: number } {
    if (bytes > SHARED_BYTES_MAX) return { chunk: Buffer.allocUnsafeSlow(bytes), at: 0 };
    if (this.#used + bytes > this.#chunk.length) {
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.#used = 0;
    }
    const at = this.#used;
    this.#used += bytes;
    return { chunk: this.#chunk, at };
  }
}

/** One register of an overlay. `end` 0: it is gone. */
export class Cell {
  readonly key: string;
  /** The body: bytes `start` to `end`; room is kept up to `limit`. */
  bytes: Buffer;
  start = 0;
  end = 0;
  limit = 0;
  /** What the slot's live summary includes for this register; undefined until it is settled for the first time. */
  counted: Counted | null | undefined = undefined;
  /** Whether the cell waits in `unsettled`. */
  waiting = true;

  constructor(key: string) {
    this.key = key;
    this.bytes = NOTHING;
  }

  get gone(): boolean {
    return this.end === 0;
  }

  get record(): StoredRecord | undefined {
    return this.end === 0 ? undefined : readBody(this.bytes, this.start, this.end);
  }

  get version(): Version | undefined {
    return this.end === 0 ? undefined : versionAt(this.bytes, this.start);
  }

  /** Copies a body. Returns the bytes that this took beyond what the cell had. */
  put({ bytes, start, end }: Body, arena: Arena): number {
    const length = end - start;
    let taken = 0;
    if (this.start + length > this.limit) {
      const { chunk, at } = arena.reserve(length);
      this.bytes = chunk;
      this.start = at;
      this.limit = at + length;
      taken = length;
    }
    bytes.copy(this.bytes, this.start, start, end);
    this.end = this.start + length;
    return taken;
  }
}

const NOTHING = Buffer.alloc(0);

/** Memory of a cell beside its body and key, roughly. */
const CELL_WEIGHT = 200;

export class Overlay {
  /** The slot was wiped in this generation: nothing below it counts. */
  readonly wiped: boolean;
  readonly cells = new Map<string, Cell>();
  /** Cells that changed since the slot's summary was last settled. */
  unsettled: Cell[] = [];
  #sorted: string[] | undefined;

  constructor(wiped: boolean) {
    this.wiped = wiped;
  }

  /** Sets a register, or notes that it is gone where there is no body. Returns the memory that this took, roughly. */
  set(key: string, body: Body | undefined, arena: Arena): number {
    let cell = this.cells.get(key);
    let taken = 0;
    if (!cell) {
      cell = new Cell(key);
      this.cells.set(key, cell);
      this.unsettled.push(cell);
      this.#sorted = undefined;
      taken = CELL_WEIGHT + key.length;
    } else if (!cell.waiting) {
      cell.waiting = true;
      this.unsettled.push(cell);
    }
    if (body) taken += cell.put(body, arena);
    else cell.end = 0;
    return taken;
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

/** The overlays of one generation. */
export class Generation {
  readonly #overlays: (Overlay | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  readonly #arena = new Arena();
  #bytes = 0;

  /** Memory taken, roughly: what was wiped or outgrew its place still counts, since it is only freed with the generation. */
  get bytes(): number {
    return this.#bytes;
  }

  overlay(slot: number): Overlay | undefined {
    return this.#overlays[slot];
  }

  /** Sets a register, or notes that it is gone where there is no body. */
  set(slot: number, key: string, body: Body | undefined): void {
    assert(slot >= 0 && slot < SLOTS, "a slot is within range");
    const overlay = (this.#overlays[slot] ??= new Overlay(false));
    this.#bytes += overlay.set(key, body, this.#arena);
  }

  wipe(slot: number): void {
    assert(slot >= 0 && slot < SLOTS, "a slot is within range");
    this.#overlays[slot] = new Overlay(true);
    this.#bytes += CELL_WEIGHT;
  }
}
