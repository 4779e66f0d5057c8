// The engine in memory, for the simulator and for tests. The disk outlives the engine: a crash is a dropped engine and a new
// one on the same disk. Nothing becomes durable by itself: the owner calls `sync` (on its virtual clock), or `syncPartly`
// while crashing, since a crash may keep any prefix of what was appended. Deterministic; no clock, no input or output.
import { assert } from "../../shared/assert.ts";
import type { Incarnation } from "../../shared/ids.ts";
import { compareKeys } from "../../shared/key-order.ts";
import type { StoredRecord } from "../../shared/record.ts";
import { compare } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import { blankControlState, cloneControlState, slotState, takeEffect } from "./control-state.ts";
import type { ControlState, Engine, EngineEvents, ListedEntry, LogRecord, SlotSummary } from "./engine.ts";
import { count, counted, emptyAccount, summaryOf } from "./slot-account.ts";
import type { Counted } from "./slot-account.ts";
import { firstAbove } from "./sorted-keys.ts";

const EMPTY_SUMMARY: SlotSummary = summaryOf(emptyAccount());

/** A register, and what it adds to its slot's summary. */
interface Held {
  readonly record: StoredRecord;
  readonly counted: Counted;
}

/** Registers of one slot, their summary, and their keys in order (sorted again only when a page is asked for). */
class MemorySlot {
  readonly #registers = new Map<string, Held>();
  readonly #account = emptyAccount();
  #sorted: string[] | undefined;

  read(key: string): StoredRecord | undefined {
    return this.#registers.get(key)?.record;
  }

  write(key: string, record: StoredRecord, purged: Version): void {
    const old = this.#registers.get(key);
    if (old) count(this.#account, old.counted, -1);
    else this.#sorted = undefined;
    const held = { record, counted: counted(key, record, purged) };
    this.#registers.set(key, held);
    count(this.#account, held.counted, 1);
  }

  remove(key: string): void {
    const old = this.#registers.get(key);
    if (!old) return;
    this.#registers.delete(key);
    this.#sorted = undefined;
    count(this.#account, old.counted, -1);
  }

  /** Forgets tombstones up to a version. */
  purge(upTo: Version): void {
    for (const [key, { record }] of this.#registers) {
      if (record.value === null && compare(record.version, upTo) <= 0) this.remove(key);
    }
  }

  page(after: string | undefined, limit: number): ListedEntry[] {
    this.#sorted ??= [...this.#registers.keys()].sort(compareKeys);
    const start = after === undefined ? 0 : firstAbove(this.#sorted, after, (key) => key);
    return this.#sorted.slice(start, start + limit).map((key) => {
      const record = this.read(key);
      assert(record !== undefined, "a listed key has a register");
      return { key, version: record.version, tombstone: record.value === null, record };
    });
  }

  summary(): SlotSummary {
    return summaryOf(this.#account);
  }
}

/** The durable image of a node, which survives its engines. */
export class MemoryDisk {
  /** Whether user data is refused for lack of space (reads and control records go on). */
  full = false;
  /** What the next engine says of the end of its log. */
  tailCut = false;
  /** Durable control state: for looking at only; engines hand out copies. */
  readonly control: ControlState;
  /** The engine opened last; an older one is a dead process and writes nothing any more. */
  owner: MemoryEngine | undefined;
  readonly #slots: (MemorySlot | undefined)[] = [];
  #position = 0;

  constructor(incarnation: Incarnation) {
    this.control = blankControlState(incarnation);
  }

  /** Count of records ever made durable. */
  get position(): number {
    return this.#position;
  }

  /** Makes one record durable: it takes effect at once. */
  apply(record: LogRecord): void {
    this.#position++;
    if (record.type !== "write") return takeEffect(this, this.control, record);
    this.#open(record.slot).write(record.key, record.record, slotState(this.control, record.slot).purged);
  }

  remove(slot: number, keys: readonly string[]): void {
    for (const key of keys) this.#slots[slot]?.remove(key);
  }

  purge(slot: number, upTo: Version): void {
    this.#slots[slot]?.purge(upTo);
  }

  wipe(slot: number): void {
    this.#slots[slot] = undefined;
  }

  slot(slot: number): MemorySlot | undefined {
    return this.#slots[slot];
  }

  /** The durable register under a key. */
  register(slot: number, key: string): StoredRecord | undefined {
    return this.#slots[slot]?.read(key);
  }

  #open(slot: number): MemorySlot {
    return (this.#slots[slot] ??= new MemorySlot());
  }
}

/** Engine over a MemoryDisk. Opening one takes the disk over from the engine before it. */
export class MemoryEngine implements Engine {
  readonly recovered: ControlState;
  readonly tailCut: boolean;
  readonly place = -1;
  readonly #disk: MemoryDisk;
  readonly #events: EngineEvents;
  #buffer: LogRecord[] = [];

  constructor(disk: MemoryDisk, events: EngineEvents) {
    this.#disk = disk;
    this.#events = events;
    this.recovered = cloneControlState(disk.control);
    this.tailCut = disk.tailCut;
    disk.owner = this;
  }

  get position(): number {
    return this.#disk.position;
  }

  get diskFull(): boolean {
    return this.#disk.full;
  }

  /** Records appended and not durable yet. */
  get unsynced(): number {
    return this.#buffer.length;
  }

  read(slot: number, key: string): StoredRecord | undefined {
    return this.#disk.register(slot, key);
  }

  version(slot: number, key: string): Version | undefined {
    return this.read(slot, key)?.version;
  }

  locate(): undefined {
    return undefined;
  }

  list(slot: number, after: string | undefined, limit: number): ListedEntry[] {
    return this.#disk.slot(slot)?.page(after, limit) ?? [];
  }

  summary(slot: number): SlotSummary {
    return this.#disk.slot(slot)?.summary() ?? EMPTY_SUMMARY;
  }

  lastSummary(slot: number): SlotSummary {
    return this.summary(slot);
  }

  mayHold(slot: number): boolean {
    const { keys, tombstones } = this.summary(slot);
    return keys + tombstones > 0;
  }

  accepts(_bytes: number): boolean {
    return !this.#disk.full;
  }

  append(records: readonly LogRecord[]): number {
    for (const record of records) this.#buffer.push(record);
    return this.#disk.position + this.#buffer.length;
  }

  /** Makes everything appended so far durable and reports it. Does nothing when another engine took the disk over. */
  sync(): void {
    if (this.#buffer.length === 0) return;
    if (this.syncPartly(this.#buffer.length)) this.#events.durable(this.#disk.position);
  }

  /**
   * Makes the first `count` buffered records durable without reporting them: what a crash leaves behind.
   * @returns false when another engine took the disk over, so that nothing was written.
   */
  syncPartly(count: number): boolean {
    if (this.#disk.owner !== this) return false;
    const kept = this.#buffer;
    this.#buffer = kept.slice(count);
    for (const record of kept.slice(0, count)) this.#disk.apply(record);
    return true;
  }

  close(): Promise<void> {
    this.sync();
    if (this.#disk.owner === this) this.#disk.owner = undefined;
    return Promise.resolve();
  }
}
