// Keyspace: the durable registers of a node, looked up through fresh, frozen and table (rule 3), and the summary of every slot.
// A change only touches the fresh generation. Its effect on the slot's summary is settled later (when somebody asks, or when
// a checkpoint writes the register), because it needs the register below, which may be in the table: overwrites in between
// merge. Who is below whom: fresh, then frozen, then table; where a generation wiped a slot, everything below it is hidden.
import { assert } from "../../shared/assert.ts";
import { compareKeys } from "../../shared/key-order.ts";
import type { StoredRecord } from "../../shared/record.ts";
import { compare } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import type { ListedEntry, RegisterName, SlotSummary } from "./engine.ts";
import type { Ceilings } from "./ceilings.ts";
import { type Entry, Generation, NONE, type Place } from "./generation.ts";
import { count, emptyAccount, summaryOf } from "./slot-account.ts";
import type { Counted, SlotAccount } from "./slot-account.ts";
import { countBody } from "./table-format.ts";
import type { Body } from "./record-codec.ts";
import { TABLE_PAGE_MAX } from "./table.ts";
import type { Table } from "./table.ts";

/** The parts of the table that the keyspace reads. */
export type TableReader = Pick<Table, "get" | "version" | "counted" | "page">;

export class Keyspace {
  readonly #table: TableReader;
  /** Purged version of a slot, as of the last change applied. */
  readonly #purged: (slot: number) => Version;
  /** Summaries of everything durable, except for what is unsettled. */
  readonly #accounts: SlotAccount[];
  readonly #ceilings: Ceilings;
  #fresh = new Generation();
  #frozen: Generation | undefined;
  /** What `#holder` found. */
  #entry: Entry = NONE;
  /** Where `#holder` found it, if in the fresh generation. */
  #place: Place = NONE;

  /** @param options `accounts`: summaries of what the table holds, one per slot; taken over. `ceilings`: of the table, as it changes. */
  constructor(
    table: TableReader,
    options: {
      readonly accounts: SlotAccount[];
      readonly purged: (slot: number) => Version;
      readonly ceilings: Ceilings;
    },
  ) {
    this.#table = table;
    this.#accounts = options.accounts;
    this.#purged = options.purged;
    this.#ceilings = options.ceilings;
  }

  get freshBytes(): number {
    return this.#fresh.bytes;
  }

  get frozen(): Generation | undefined {
    return this.#frozen;
  }

  // Changes

  /** @param place See `place`. */
  write(slot: number, key: string, body: Body, place: Place = NONE): void {
    this.#fresh.set(slot, key, body, place);
  }

  remove(slot: number, keys: readonly string[]): void {
    for (const key of keys) this.#fresh.set(slot, key, undefined);
  }

  wipe(slot: number): void {
    this.#fresh.wipe(slot);
    this.#accounts[slot] = emptyAccount();
  }

  /** N9: forgets tombstones up to a version. */
  purge(slot: number, upTo: Version): void {
    let after: string | undefined;
    for (;;) {
      const page = this.list(slot, after, TABLE_PAGE_MAX);
      for (const { key, version, tombstone } of page) {
        if (tombstone && compare(version, upTo) <= 0) this.#fresh.set(slot, key, undefined);
      }
      after = page.at(-1)?.key;
      if (page.length < TABLE_PAGE_MAX) return;
    }
  }

  /** Starts a new fresh generation; the former one is frozen until `thaw`. */
  freeze(): Generation {
    assert(!this.#frozen, "one checkpoint at a time");
    this.#frozen = this.#fresh;
    this.#fresh = new Generation({ entries: this.#frozen.entries, base: this.#frozen.end });
    return this.#frozen;
  }

  /** The table shows everything of the frozen generation now. */
  thaw(): void {
    this.#frozen = undefined;
  }

  // Lookups

  /** @param place What `locate` has found just now. */
  read(slot: number, key: string, place?: Place): StoredRecord | undefined {
    const holder = this.#holder(slot, key, place);
    return holder === "table" ? this.#table.get(slot, key) : holder?.record(this.#entry);
  }

  /** The version of what `read` would return. @param below See `Engine.version` */
  version(slot: number, key: string, place?: Place, below?: Version): Version | undefined {
    const holder = this.#holder(slot, key, place);
    if (holder !== "table") return holder?.version(this.#entry);
    return below !== undefined && this.#ceilings.below(slot, below) ? undefined : this.#table.version(slot, key);
  }

  /** Places of registers, for lookups before anything changes; NONE: in no generation. */
  locate(registers: readonly RegisterName[]): readonly Place[] {
    const places = this.#fresh.locate(registers);
    const frozen = this.#frozen;
    if (!frozen) return places;
    const others = frozen.locate(registers.filter((_, index) => places[index] === NONE));
    let next = 0;
    return places.map((place) => (place === NONE ? (others[next++] ?? NONE) : place));
  }

  /** Records that are about to be written: see `Generation.approach`. */
  approach(records: readonly { readonly type: string; readonly place?: Place }[]): void {
    this.#fresh.approach(records);
  }

  /** Where the last lookup came upon its key, for `write`. It stays true for ever, and is of use until a checkpoint freezes what was found. */
  get place(): Place {
    return this.#place;
  }

  /** The generation that has the say about a key, which is `#entry` there; undefined where a wipe hides what is below; or the table. */
  #holder(slot: number, key: string, place?: Place): Generation | "table" | undefined {
    const fresh = this.#fresh;
    this.#entry = place === undefined ? fresh.find(slot, key) : fresh.entryAt(place);
    this.#place = this.#entry === NONE ? NONE : fresh.placeOf(this.#entry);
    if (this.#entry !== NONE) return fresh;
    if (fresh.wiped(slot)) return undefined;
    const frozen = this.#frozen;
    if (!frozen) return "table";
    this.#entry = place === undefined ? frozen.find(slot, key) : frozen.entryAt(place);
    if (this.#entry !== NONE) return frozen;
    return frozen.wiped(slot) ? undefined : "table";
  }

  list(slot: number, after: string | undefined, limit: number): ListedEntry[] {
    const entries: ListedEntry[] = [];
    let cursor = after;
    while (entries.length < limit) {
      const window = this.#window(slot, cursor, limit - entries.length);
      for (const entry of window.entries) if (entries.length < limit) entries.push(entry);
      if (window.end === undefined) break;
      cursor = window.end;
    }
    return entries;
  }

  /** Entries between `after` and `end` (inclusive; undefined: to the end of the slot), with about `size` keys looked at. */
  #window(slot: number, after: string | undefined, size: number): { entries: ListedEntry[]; end: string | undefined } {
    const limit = Math.min(TABLE_PAGE_MAX, Math.max(size, 16));
    const generations = this.#generations(slot);
    const pages = generations.map((generation) => generation.keysAbove(slot, after, limit));
    const table = generations.some((generation) => generation.wiped(slot)) ? [] : this.#table.page(slot, after, limit);
    const below = new Map(table.map((entry) => [entry.key, entry]));
    pages.push(table.map((entry) => entry.key));
    const end = lowestEnd(pages, limit);
    const keys = mergeKeys(pages, end);
    const entries: ListedEntry[] = [];
    for (const key of keys) {
      const holder = this.#holder(slot, key);
      const entry = holder === "table" ? below.get(key) : holder?.listed(this.#entry);
      if (entry) entries.push(entry);
    }
    return { entries, end };
  }

  /** Generations that know of a slot and can be seen there, the newest first. */
  #generations(slot: number): Generation[] {
    const fresh = this.#fresh;
    const frozen = fresh.wiped(slot) ? undefined : this.#frozen;
    return [fresh, frozen].filter((generation) => generation?.touches(slot) === true) as Generation[];
  }

  // Summaries

  summary(slot: number): SlotSummary {
    for (const generation of this.#generations(slot).reverse()) this.#settle(slot, generation);
    return summaryOf(this.#account(slot));
  }

  /** As far as it was settled. */
  lastSummary(slot: number): SlotSummary {
    return summaryOf(this.#account(slot));
  }

  /** False where it is certain that there is nothing. */
  mayHold(slot: number): boolean {
    const { keys, tombstones } = this.#account(slot);
    return keys + tombstones > 0 || this.#generations(slot).length > 0;
  }

  #settle(slot: number, generation: Generation): void {
    for (const entry of generation.unsettled(slot)) {
      const known = generation.counted(entry);
      const before = known === undefined ? this.#below(slot, generation, generation.key(entry)) : known;
      this.#settleEntry(slot, generation, entry, before);
    }
  }

  #settleEntry(slot: number, generation: Generation, entry: Entry, before: Counted | null): Counted | null {
    const account = this.#account(slot);
    if (before) count(account, before, -1);
    const counted = this.#count(slot, generation, entry);
    if (counted) count(account, counted, 1);
    return counted;
  }

  #count(slot: number, generation: Generation, entry: Entry): Counted | null {
    const counted = generation.gone(entry)
      ? null
      : countBody(generation.key(entry), generation.body(entry), this.#purged(slot));
    generation.settled(entry, counted);
    return counted;
  }

  /** What the summary includes for a key below a generation. The generation below is settled first. */
  #below(slot: number, generation: Generation, key: string): Counted | null {
    if (generation.wiped(slot)) return null;
    const frozen = this.#frozen;
    if (frozen && frozen !== generation) {
      const entry = frozen.find(slot, key);
      if (entry !== NONE) return frozen.counted(entry) ?? null;
      if (frozen.wiped(slot)) return null;
    }
    return this.#table.counted(slot, key);
  }

  /**
   * For a checkpoint, about to replace a register of the table: settles the frozen one, while that below it can still be seen,
   * and returns what it adds to a summary.
   * @param table What the table holds under the key; null where it holds nothing or the slot was wiped.
   */
  settleFrozen(slot: number, entry: Entry, table: Counted | null): Counted | null {
    const frozen = this.#frozen;
    assert(frozen !== undefined, "a checkpoint has a frozen generation");
    const known = frozen.counted(entry);
    if (!frozen.waits(entry)) return known ?? null;
    if (this.#fresh.wiped(slot)) return this.#count(slot, frozen, entry);
    return this.#settleEntry(slot, frozen, entry, known === undefined ? table : known);
  }

  #account(slot: number): SlotAccount {
    const account = this.#accounts[slot];
    assert(account !== undefined, "a slot is within range");
    return account;
  }
}

/** Up to where every page is complete: the lowest last key of the pages that were cut; undefined where none was. */
function lowestEnd(pages: readonly (readonly string[])[], limit: number): string | undefined {
  let end: string | undefined;
  for (const page of pages) {
    const last = page.length < limit ? undefined : page.at(-1);
    if (last !== undefined && (end === undefined || compareKeys(last, end) < 0)) end = last;
  }
  return end;
}

/** Keys of all pages up to `end`, in order, each once. */
function mergeKeys(pages: readonly (readonly string[])[], end: string | undefined): string[] {
  const filled = pages.filter((page) => page.length > 0);
  const keys = filled.length === 1 ? [...(filled[0] ?? [])] : [...new Set(filled.flat())].sort(compareKeys);
  return end === undefined ? keys : keys.filter((key) => compareKeys(key, end) <= 0);
}
