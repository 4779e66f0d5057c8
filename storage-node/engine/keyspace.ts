// Keyspace: the durable registers of a node, looked up through fresh, frozen and table (rule 3), and the summary of every slot.
// A change only touches the fresh generation. Its effect on the slot's summary is settled later (when somebody asks, or when
// a checkpoint writes the register), because it needs the register below, which may be in the table: overwrites in between
// merge. Who is below whom: fresh, then frozen, then table; a wiped overlay hides everything below it.
import { assert } from "../../shared/assert.ts";
import { compareKeys } from "../../shared/key-order.ts";
import type { StoredRecord } from "../../shared/record.ts";
import { compare } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import type { ListedEntry, SlotSummary } from "./engine.ts";
import { Generation } from "./overlay.ts";
import type { Cell, Overlay } from "./overlay.ts";
import { count, emptyAccount, summaryOf } from "./slot-account.ts";
import type { Counted, SlotAccount } from "./slot-account.ts";
import { countBody } from "./table-format.ts";
import type { Body } from "./record-codec.ts";
import { TABLE_PAGE_MAX } from "./table.ts";
import type { Table } from "./table.ts";

/** The parts of the table that the keyspace reads. */
export type TableReader = Pick<Table, "get" | "counted" | "page">;

export class Keyspace {
  readonly #table: TableReader;
  /** Purged version of a slot, as of the last change applied. */
  readonly #purged: (slot: number) => Version;
  /** Summaries of everything durable, except for what is unsettled. */
  readonly #accounts: SlotAccount[];
  #fresh = new Generation();
  #frozen: Generation | undefined;

  /** @param accounts Summaries of what the table holds, one per slot; taken over. */
  constructor(
    table: TableReader,
    options: { readonly accounts: SlotAccount[]; readonly purged: (slot: number) => Version },
  ) {
    this.#table = table;
    this.#accounts = options.accounts;
    this.#purged = options.purged;
  }

  get freshBytes(): number {
    return this.#fresh.bytes;
  }

  get frozen(): Generation | undefined {
    return this.#frozen;
  }

  // Changes

  write(slot: number, key: string, body: Body): void {
    this.#fresh.set(slot, key, body);
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
      for (const { key, record } of page) {
        if (record.value === null && compare(record.version, upTo) <= 0) this.#fresh.set(slot, key, undefined);
      }
      after = page.at(-1)?.key;
      if (page.length < TABLE_PAGE_MAX) return;
    }
  }

  /** Starts a new fresh generation; the former one is frozen until `thaw`. */
  freeze(): Generation {
    assert(!this.#frozen, "one checkpoint at a time");
    this.#frozen = this.#fresh;
    this.#fresh = new Generation();
    return this.#frozen;
  }

  /** The table shows everything of the frozen generation now. */
  thaw(): void {
    this.#frozen = undefined;
  }

  // Lookups

  read(slot: number, key: string): StoredRecord | undefined {
    const above = this.#above(slot, key);
    return above === "table" ? this.#table.get(slot, key) : above?.record;
  }

  /** The version of what `read` would return. */
  version(slot: number, key: string): Version | undefined {
    const above = this.#above(slot, key);
    return above === "table" ? this.#table.get(slot, key)?.version : above?.version;
  }

  /** The newest cell of a key; undefined where a wipe hides what is below; `table` where the table has the say. */
  #above(slot: number, key: string): Cell | "table" | undefined {
    const fresh = this.#fresh.overlay(slot);
    const cell = fresh?.cells.get(key);
    if (cell || fresh?.wiped) return cell;
    const frozen = this.#frozen?.overlay(slot);
    const frozenCell = frozen?.cells.get(key);
    return frozenCell || frozen?.wiped ? frozenCell : "table";
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
    const overlays = this.#overlays(slot);
    const pages = overlays.map((overlay) => overlay.keysAbove(after, limit));
    const table = overlays.some((overlay) => overlay.wiped) ? [] : this.#table.page(slot, after, limit);
    const below = new Map(table.map(({ key, record }) => [key, record]));
    pages.push(table.map((entry) => entry.key));
    const end = lowestEnd(pages, limit);
    const keys = mergeKeys(pages, end);
    const entries: ListedEntry[] = [];
    for (const key of keys) {
      const cell = cellOf(overlays, key);
      const record = cell ? cell.record : below.get(key);
      if (record) entries.push({ key, record });
    }
    return { entries, end };
  }

  /** Overlays of a slot that can be seen, the newest first. */
  #overlays(slot: number): Overlay[] {
    const fresh = this.#fresh.overlay(slot);
    const frozen = fresh?.wiped ? undefined : this.#frozen?.overlay(slot);
    return [fresh, frozen].filter((overlay) => overlay !== undefined);
  }

  // Summaries

  summary(slot: number): SlotSummary {
    for (const overlay of this.#overlays(slot).reverse()) this.#settle(slot, overlay);
    return summaryOf(this.#account(slot));
  }

  #settle(slot: number, overlay: Overlay): void {
    if (overlay.unsettled.length === 0) return;
    for (const cell of overlay.unsettled) {
      if (cell.waiting)
        this.#settleCell(slot, cell, cell.counted === undefined ? this.#below(slot, overlay, cell.key) : cell.counted);
    }
    overlay.unsettled = [];
  }

  #settleCell(slot: number, cell: Cell, before: Counted | null): void {
    const account = this.#account(slot);
    if (before) count(account, before, -1);
    this.#count(slot, cell);
    if (cell.counted) count(account, cell.counted, 1);
  }

  #count(slot: number, cell: Cell): void {
    cell.counted = cell.gone ? null : countBody(cell.key, cell, this.#purged(slot));
    cell.waiting = false;
  }

  /** What the summary includes for a key below an overlay. The overlay below is settled first. */
  #below(slot: number, overlay: Overlay, key: string): Counted | null {
    if (overlay.wiped) return null;
    const frozen = this.#frozen?.overlay(slot);
    if (frozen && frozen !== overlay) {
      const cell = frozen.cells.get(key);
      if (cell) return cell.counted ?? null;
      if (frozen.wiped) return null;
    }
    return this.#table.counted(slot, key);
  }

  /**
   * For a checkpoint, about to replace a register of the table: settles the frozen cell, while the register below it can
   * still be seen, and returns what the cell adds to a summary.
   * @param table What the table holds under the key; null where it holds nothing or the slot was wiped.
   */
  settleFrozen(slot: number, cell: Cell, table: Counted | null): Counted | null {
    if (!cell.waiting) return cell.counted ?? null;
    const hidden = this.#fresh.overlay(slot)?.wiped ?? false;
    if (hidden) this.#count(slot, cell);
    else this.#settleCell(slot, cell, cell.counted === undefined ? table : cell.counted);
    return cell.counted ?? null;
  }

  #account(slot: number): SlotAccount {
    const account = this.#accounts[slot];
    assert(account !== undefined, "a slot is within range");
    return account;
  }
}

function cellOf(overlays: readonly Overlay[], key: string): Cell | undefined {
  for (const overlay of overlays) {
    const cell = overlay.cells.get(key);
    if (cell) return cell;
  }
  return undefined;
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
