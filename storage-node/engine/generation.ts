// Generation: registers that are durable in the log and not yet in the table. Two exist at most: fresh (takes changes) and frozen
// (being written to the table by a checkpoint).
//
// A flat table, because looking up a register among a hundred thousand is waiting for memory: a Map of objects a slot cost ten
// cache misses a lookup, a quarter of what a node does for a write. Here it is four: the place in the index (open addressing: hash
// and number side by side), the row of numbers, and the key's pointer and characters; and those of all registers of a line are
// waited for together (`locate`). Bodies stay encoded outside the heap, so that
// the garbage collector has little to visit; an overwrite of the same size costs no memory, and nothing at a checkpoint.
import { randomInt } from "node:crypto";
import { assert } from "../../shared/assert.ts";
import { fnv1a } from "../../shared/fnv.ts";
import { compareKeys } from "../../shared/key-order.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { StoredRecord } from "../../shared/record.ts";
import type { Version } from "../../shared/version.ts";
import { Arena } from "./arena.ts";
import { readBody, versionAt, type Body } from "./record-codec.ts";
import type { ListedEntry, RegisterName } from "./engine.ts";
import { ListedBody } from "./listed-body.ts";
import {
  CHUNK,
  countedIn,
  END,
  EPOCH,
  LIMIT,
  N_HIGH,
  N_LOW,
  NEXT,
  putCounted,
  ROW,
  SLOT,
  START,
  WAITING,
} from "./register-row.ts";
import type { Counted } from "./slot-account.ts";
import { firstAbove } from "./sorted-keys.ts";

/** Number of a register in its generation. */
export type Entry = number;

/** Number of a register over all generations of a keyspace: what was found in one is nothing in another. */
export type Place = number;

/** No register. */
export const NONE: Entry = -1;

const DROPPED = SLOTS;

const ENTRIES_FIRST = 64;
/** Memory of a register beside body and key, roughly: row, its part of the index, pointers, head of the key. */
const ENTRY_WEIGHT = 128;
const WIPE_WEIGHT = 64;

/** So many registers are looked at before they are set. */
const APPROACHED_MIN = 4;

/** Nobody can know which keys fall together. */
const SALT = randomInt(2 ** 32);

export class Generation {
  /** `[hash, entry + 1]…`, as many places as a power of two; 0 in the second: free. */
  #index: Uint32Array;
  #rows: Uint32Array;
  readonly #keys: string[] = [];
  /** The latest entry of each slot, plus one. */
  readonly #heads = new Uint32Array(SLOTS);
  readonly #waiting = new Uint32Array(SLOTS);
  readonly #wiped = new Uint8Array(SLOTS);
  /** Entries of a slot in the order of their keys, until another comes. */
  readonly #sorted = new Map<number, readonly Entry[]>();
  readonly #arena = new Arena();
  /** Place of its first entry. */
  readonly #base: Place;
  #bytes = 0;
  /** What `locate` and `approach` looked at: kept so that they have to look, and of no other use. */
  seen = 0;

  /**
   * @param options `entries`: how many there will be, roughly: growing to them would take moments in which nothing else is done.
   * `base`: `end` of the generation before.
   */
  constructor({ entries = 0, base = 0 }: { readonly entries?: number; readonly base?: Place } = {}) {
    this.#base = base;
    const room = Math.max(ENTRIES_FIRST, 2 ** Math.ceil(Math.log2(entries)));
    // Memory that is not touched costs nothing.
    this.#index = new Uint32Array(4 * room);
    this.#rows = new Uint32Array(ROW * room);
  }

  /** Registers, those included that were wiped. */
  get entries(): number {
    return this.#keys.length;
  }

  /** The place behind its last entry. */
  get end(): Place {
    return this.#base + this.entries;
  }

  /** Memory taken, roughly: what was wiped or outgrew its place still counts, since it is only freed with the generation. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the slot was wiped in this generation: nothing below it counts. */
  wiped(slot: number): boolean {
    return this.#wiped[slot] === 1;
  }

  /** Whether this generation knows anything of a slot. */
  touches(slot: number): boolean {
    return this.#heads[slot] !== 0 || this.wiped(slot);
  }

  find(slot: number, key: string): Entry {
    return this.#find(slot, key, fnv1a(key, SALT ^ slot));
  }

  placeOf(entry: Entry): Place {
    return this.#base + entry;
  }

  /** NONE where that is in another generation. */
  entryAt(place: Place): Entry {
    const entry = place - this.#base;
    return entry >= 0 && entry < this.#keys.length ? entry : NONE;
  }

  // To look a register up is to wait for memory, several times in a row. A processor waits for many pieces at a time where it needs none of
  // them to know the next: so whoever has many registers to look up looks at the first piece of each, then at the second of each.

  /** `find` for many registers. Places; NONE where there is none here. */
  locate(registers: readonly RegisterName[]): number[] {
    const index = this.#index;
    const mask = index.length - 1;
    const count = registers.length;
    const hashes = new Uint32Array(count);
    const entries: Entry[] = [];
    for (let n = 0; n < count; n++) {
      const { slot, key } = registers[n] as RegisterName;
      const hash = fnv1a(key, SALT ^ slot);
      hashes[n] = hash;
      entries.push((index[((hash << 1) & mask) + 1] as number) - 1);
    }
    this.#lookAtRows(entries);
    this.#lookAtKeys(entries);
    for (let n = 0; n < count; n++) {
      const { slot, key } = registers[n] as RegisterName;
      const entry = this.#find(slot, key, hashes[n] as number);
      entries[n] = entry === NONE ? NONE : this.#base + entry;
    }
    return entries;
  }

  /** Looks at registers that are about to be set. */
  approach(records: readonly { readonly place?: Place }[]): void {
    if (records.length < APPROACHED_MIN) return;
    const entries: Entry[] = [];
    for (const { place = NONE } of records) entries.push(this.entryAt(place));
    this.lookAt(entries);
  }

  /** Looks at rows and bodies that are about to be needed; NONE: not here. */
  lookAt(entries: readonly Entry[]): void {
    this.#lookAtRows(entries);
    this.#lookAtBodies(entries);
  }

  #lookAtRows(entries: readonly Entry[]): void {
    const rows = this.#rows;
    let seen = 0;
    for (const entry of entries) if (entry !== NONE) seen ^= rows[entry * ROW] as number;
    this.seen = seen;
  }

  #lookAtKeys(entries: readonly Entry[]): void {
    const keys = this.#keys;
    let seen = 0;
    for (const entry of entries) if (entry !== NONE) seen ^= (keys[entry] as string).length;
    this.seen = seen;
  }

  #lookAtBodies(entries: readonly Entry[]): void {
    const rows = this.#rows;
    let seen = 0;
    for (const entry of entries) {
      if (entry === NONE) continue;
      const row = entry * ROW;
      const chunk = this.#arena.chunk(rows[row + CHUNK] as number);
      seen ^= (chunk?.[rows[row + START] as number] ?? 0) ^ (chunk?.[(rows[row + END] as number) - 1] ?? 0);
    }
    this.seen = seen;
  }

  key(entry: Entry): string {
    return this.#keys[entry] as string;
  }

  gone(entry: Entry): boolean {
    return this.#field(entry, END) === 0;
  }

  /** Undefined where the register is gone. */
  record(entry: Entry): StoredRecord | undefined {
    const { bytes, start, end } = this.body(entry);
    return end === 0 ? undefined : readBody(bytes, start, end);
  }

  /** Undefined where the register is gone. */
  listed(entry: Entry): ListedEntry | undefined {
    const body = this.body(entry);
    return body.end === 0 ? undefined : new ListedBody(this.key(entry), body);
  }

  /** Undefined where the register is gone. */
  version(entry: Entry): Version | undefined {
    const row = entry * ROW;
    const rows = this.#rows;
    if (rows[row + END] === 0) return undefined;
    return [rows[row + EPOCH] as number, (rows[row + N_HIGH] as number) * 2 ** 32 + (rows[row + N_LOW] as number)];
  }

  /** Where the register's body lies, until it changes. Not of one that is gone. */
  body(entry: Entry): Body {
    const bytes = this.#arena.chunk(this.#field(entry, CHUNK));
    return { bytes, start: this.#field(entry, START), end: this.#field(entry, END) };
  }

  /**
   * Sets a register, or notes that it is gone where there is no body.
   * @param place Where it was found, in this generation or an earlier one: looking it up again would wait for memory once more.
   */
  set(slot: number, key: string, body: Body | undefined, place: Place = NONE): void {
    assert(slot >= 0 && slot < SLOTS, "a slot is within range");
    const found = this.entryAt(place);
    // A slot that was wiped since has no place of old.
    const entry = found !== NONE && this.#field(found, SLOT) === slot ? found : this.#findOrAdd(slot, key);
    if (!this.waits(entry)) this.#wait(slot, entry);
    if (body) this.#put(entry, body);
    else this.#rows[entry * ROW + END] = 0;
  }

  /** Forgets the slot's registers here, and hides those below. */
  wipe(slot: number): void {
    assert(slot >= 0 && slot < SLOTS, "a slot is within range");
    for (let entry = this.#first(slot); entry !== NONE; entry = this.#next(entry)) {
      this.#rows[entry * ROW + SLOT] = DROPPED;
    }
    this.#heads[slot] = 0;
    this.#waiting[slot] = 0;
    this.#sorted.delete(slot);
    this.#wiped[slot] = 1;
    this.#bytes += WIPE_WEIGHT;
  }

  /** Entries of a slot in the byte order of their keys; sorted again only after new ones came. */
  sorted(slot: number): readonly Entry[] {
    const known = this.#sorted.get(slot);
    if (known) return known;
    const entries: Entry[] = [];
    for (let entry = this.#first(slot); entry !== NONE; entry = this.#next(entry)) entries.push(entry);
    this.#lookAtKeys(entries);
    entries.sort((a, b) => compareKeys(this.key(a), this.key(b)));
    this.#sorted.set(slot, entries);
    return entries;
  }

  /** Up to `limit` keys above `after`, in order. */
  keysAbove(slot: number, after: string | undefined, limit: number): readonly string[] {
    const sorted = this.sorted(slot);
    const keyOf = (entry: Entry): string => this.key(entry);
    const start = after === undefined ? 0 : firstAbove(sorted, after, keyOf);
    return sorted.slice(start, start + limit).map(keyOf);
  }

  // What summaries of slots are made of (see Keyspace).

  /** What the slot's live summary includes for the register; undefined before it was settled. */
  counted(entry: Entry): Counted | null | undefined {
    return countedIn(this.#rows, entry);
  }

  /** Whether the register changed since then. */
  waits(entry: Entry): boolean {
    return this.#field(entry, WAITING) === 1;
  }

  /** Registers of a slot that changed since its summary was last settled. */
  unsettled(slot: number): Entry[] {
    const entries: Entry[] = [];
    const count = this.#waiting[slot] as number;
    for (let entry = this.#first(slot); entries.length < count; entry = this.#next(entry)) {
      if (this.waits(entry)) entries.push(entry);
    }
    return entries;
  }

  settled(entry: Entry, counted: Counted | null): void {
    putCounted(this.#rows, entry, counted);
    if (!this.waits(entry)) return;
    this.#rows[entry * ROW + WAITING] = 0;
    const slot = this.#field(entry, SLOT);
    this.#waiting[slot] = (this.#waiting[slot] as number) - 1;
  }

  #field(entry: Entry, field: number): number {
    return this.#rows[entry * ROW + field] as number;
  }

  #first(slot: number): Entry {
    return (this.#heads[slot] as number) - 1;
  }

  #next(entry: Entry): Entry {
    return this.#field(entry, NEXT) - 1;
  }

  #wait(slot: number, entry: Entry): void {
    this.#rows[entry * ROW + WAITING] = 1;
    this.#waiting[slot] = (this.#waiting[slot] as number) + 1;
  }

  #find(slot: number, key: string, hash: number): Entry {
    const index = this.#index;
    const mask = index.length - 1;
    for (let place = (hash << 1) & mask; ; place = (place + 2) & mask) {
      const entry = (index[place + 1] as number) - 1;
      if (entry === NONE) return NONE;
      if (index[place] === hash && this.#field(entry, SLOT) === slot && this.#keys[entry] === key) return entry;
    }
  }

  #findOrAdd(slot: number, key: string): Entry {
    const hash = fnv1a(key, SALT ^ slot);
    const found = this.#find(slot, key, hash);
    return found === NONE ? this.#add(slot, key, hash) : found;
  }

  #add(slot: number, key: string, hash: number): Entry {
    const entry = this.#keys.length;
    if (ROW * entry === this.#rows.length) this.#grow();
    this.#keys.push(key);
    placeIn(this.#index, hash, entry);
    const row = entry * ROW;
    this.#rows[row + SLOT] = slot;
    this.#rows[row + NEXT] = this.#heads[slot] as number;
    this.#heads[slot] = entry + 1;
    if (this.#sorted.size > 0) this.#sorted.delete(slot);
    this.#wait(slot, entry);
    this.#bytes += ENTRY_WEIGHT + key.length;
    return entry;
  }

  /** Twice as many entries: a copy of the rows, and an index that is at most half full. */
  #grow(): void {
    const rows = new Uint32Array(2 * this.#rows.length);
    rows.set(this.#rows);
    this.#rows = rows;
    const index = new Uint32Array(2 * this.#index.length);
    for (let place = 0; place < this.#index.length; place += 2) {
      const entry = (this.#index[place + 1] as number) - 1;
      if (entry !== NONE) placeIn(index, this.#index[place] as number, entry);
    }
    this.#index = index;
  }

  #put(entry: Entry, { bytes, start, end }: Body): void {
    const rows = this.#rows;
    const row = entry * ROW;
    const length = end - start;
    if ((rows[row + START] as number) + length > (rows[row + LIMIT] as number)) {
      rows[row + CHUNK] = this.#arena.reserve(length);
      rows[row + START] = this.#arena.at;
      rows[row + LIMIT] = this.#arena.at + length;
      this.#bytes += length;
    }
    const at = rows[row + START] as number;
    bytes.copy(this.#arena.chunk(rows[row + CHUNK] as number), at, start, end);
    rows[row + END] = at + length;
    const [epoch, n] = versionAt(bytes, start);
    rows[row + EPOCH] = epoch;
    rows[row + N_HIGH] = Math.floor(n / 2 ** 32);
    rows[row + N_LOW] = n;
  }
}

function placeIn(index: Uint32Array, hash: number, entry: Entry): void {
  const mask = index.length - 1;
  let place = (hash << 1) & mask;
  while (index[place + 1] !== 0) place = (place + 2) & mask;
  index[place] = hash;
  index[place + 1] = entry + 1;
}
