// Checkpoint: writes a frozen generation to the table, in the table's own order, in transactions of bounded size (rule 4). Each
// also stores the summaries of the slots it touched, so that a crash half-way leaves none wrong; the last one stores the
// control state and how far the log is applied. Everything is idempotent: after a crash the log is replayed over whatever
// part had been written. A wiped slot is emptied first, in transactions of its own.
//
// There is no hurry, and the log shares the disk: as long as the checkpoint will be done well before the next one is due, to judge by
// what gathers and by how long that took the last time, its transactions are small, and it rests between them for longer than they
// take. So puts do not wait for a burst of its pages.
// Out of space is waited out (the records are safe in the log and in memory); every other failure stops the node (N10).
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { assert } from "../../shared/assert.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { Ceilings } from "./ceilings.ts";
import type { EngineLimits } from "./engine-limits.ts";
import type { Keyspace } from "./keyspace.ts";
import type { Entry, Generation } from "./generation.ts";
import { type Body, RecordWriter } from "./record-codec.ts";
import { count, emptyAccount } from "./slot-account.ts";
import type { SlotAccount } from "./slot-account.ts";
import type { Space } from "./space.ts";
import { removals, type Table, type TableChanges, type TableCommit } from "./table.ts";
import { writeTableKey, writeTableValue } from "./table-format.ts";
import type { TableMeta } from "./table-format.ts";

/** LMDB copies whole pages: a transaction takes this much more space than its records, at least. */
const PAGES_FACTOR = 4;
/** Registers between two looks at the clock; their memory is waited for together. */
const REGISTERS_AT_ONCE = 16;
/** Longest work between two turns of the event loop, so that requests are not kept waiting. */
const SLICE_MS = 2;
/** The same while the fresh generation fills up: falling behind would refuse them altogether. */
const HURRIED_SLICE_MS = 8;
const HURRIED_FROM = 0.5;
/** It is to be done when the next checkpoint is so far on the way to being due: small transactions cost the disk more than large ones. */
const DONE_BY = 0.25;
/** While it is ahead: a transaction is so much smaller than it may be. */
const AHEAD_SHARE = 1 / 4;
/** While it is ahead: rest after a transaction, in terms of how long that took, and at most. */
const REST_FACTOR = 3;
const REST_MS_MAX = 100;

export interface CheckpointDependencies {
  readonly table: Table;
  readonly keyspace: Keyspace;
  /** Summaries of what the table holds; kept up to date here. */
  readonly accounts: SlotAccount[];
  /** Of what the table holds; kept up to date here. */
  readonly ceilings: Ceilings;
  readonly space: Space;
  readonly limits: EngineLimits;
  /** How much of what makes the next checkpoint due has gathered, from 0 to 1, and beyond. */
  readonly gathered: () => number;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** For tests: called after every durable transaction. */
  readonly committed?: () => Promise<void>;
}

/** Numbers that a chunk keeps of a change. */
const BOUNDS = 3;

/** A part of a checkpoint: what the next transaction will hold. Keys and values stand in one piece of memory, one behind the other. */
class Chunk implements TableChanges {
  readonly writer = new RecordWriter(256 * 1024);
  readonly accounts = new Map<number, SlotAccount>();
  /** Of each change: where its key begins, where it ends, and where its value ends; -1: the register is gone. */
  readonly #bounds: number[] = [];

  get length(): number {
    return this.#bounds.length / BOUNDS;
  }

  /** @param body Undefined where the register is gone. */
  put(slot: number, name: string, body: Body | undefined, leftOut: boolean): void {
    const { writer } = this;
    const keyStart = writer.length;
    writeTableKey(writer, slot, name);
    const keyEnd = writer.length;
    if (body) writeTableValue(writer, keyStart, { body, leftOut });
    this.#bounds.push(keyStart, keyEnd, body ? writer.length : -1);
  }

  // Views are taken only when nothing more is put here: the memory does not move any more.

  key(change: number): Buffer {
    const at = change * BOUNDS;
    return this.writer.buffer.subarray(this.#bounds[at], this.#bounds[at + 1]);
  }

  value(change: number): Buffer | undefined {
    const at = change * BOUNDS;
    const end = this.#bounds[at + 2] as number;
    return end === -1 ? undefined : this.writer.buffer.subarray(this.#bounds[at + 1], end);
  }
}

export class Checkpoint {
  readonly #with: CheckpointDependencies;
  #chunk = new Chunk();
  #committing: Promise<void> = Promise.resolve();
  #sliceStart = 0;
  /** The slot that is being written; all below it are. */
  #slot = 0;
  #startedAt = Number.NEGATIVE_INFINITY;
  /** From the checkpoint before to this one; infinite for the first. */
  #periodMs = Number.POSITIVE_INFINITY;
  #lastCommitMs = 0;
  #stopped = false;

  constructor(dependencies: CheckpointDependencies) {
    this.#with = dependencies;
  }

  /** Gives up waiting for space; `run` then rejects. Used when the engine closes: the log has everything. */
  stop(): void {
    this.#stopped = true;
  }

  /** Writes a generation and then `meta`. @throws whatever the table fails with, and CheckpointStopped after `stop`. */
  async run(frozen: Generation, meta: TableMeta): Promise<void> {
    this.#chunk = new Chunk();
    const { now } = this.#with;
    this.#periodMs = now() - this.#startedAt;
    this.#startedAt = now();
    this.#sliceStart = performance.now();
    for (this.#slot = 0; this.#slot < SLOTS; this.#slot++) {
      if (frozen.touches(this.#slot)) await this.#writeSlot(this.#slot, frozen);
    }
    await this.#flush({ ...meta, newest: this.#with.ceilings.newest });
    await this.#committing;
  }

  async #writeSlot(slot: number, frozen: Generation): Promise<void> {
    if (frozen.wiped(slot)) await this.#wipe(slot);
    const entries = frozen.sorted(slot);
    for (let next = 0; next < entries.length; next += REGISTERS_AT_ONCE) {
      const some = entries.slice(next, next + REGISTERS_AT_ONCE);
      frozen.lookAt(some);
      for (const entry of some) {
        this.#add(slot, entry, frozen);
        if (this.#full) await this.#flushAndRest();
      }
      await this.#yield();
    }
  }

  /** Whether what was gathered is enough for a transaction. */
  get #full(): boolean {
    const { limits } = this.#with;
    const { length, writer } = this.#chunk;
    const share = this.#ahead ? AHEAD_SHARE : 1;
    return length >= limits.chunkOperations * share || writer.length >= limits.chunkBytes * share;
  }

  /** Whether it will be done in time, as far as one can see. On a full disk everybody waits for the log that it sets free. */
  get #ahead(): boolean {
    const { gathered, now, space } = this.#with;
    if (space.full) return false;
    const elapsed = (now() - this.#startedAt) / this.#periodMs;
    return this.#slot / SLOTS > Math.max(gathered(), elapsed) / DONE_BY;
  }

  async #flushAndRest(): Promise<void> {
    await this.#flush();
    if (!this.#ahead || this.#stopped) return;
    await this.#committing;
    await sleep(Math.min(REST_MS_MAX, REST_FACTOR * this.#lastCommitMs));
    this.#sliceStart = performance.now();
  }

  /** Lets the event loop turn when this slice of work has lasted long enough. */
  async #yield(): Promise<void> {
    const slice = this.#with.gathered() > HURRIED_FROM ? HURRIED_SLICE_MS : SLICE_MS;
    if (performance.now() - this.#sliceStart < slice) return;
    await turn();
    this.#sliceStart = performance.now();
  }

  #add(slot: number, entry: Entry, frozen: Generation): void {
    const { table, keyspace, ceilings } = this.#with;
    const key = frozen.key(entry);
    const before = frozen.wiped(slot) ? null : table.counted(slot, key);
    const after = keyspace.settleFrozen(slot, entry, before);
    const account = this.#account(slot);
    if (before) count(account, before, -1);
    if (after) count(account, after, 1);
    const version = frozen.version(entry);
    const body = version && frozen.body(entry);
    if (version) ceilings.raise(slot, version);
    if (before || after) this.#chunk.put(slot, key, body, after !== null && after.digest === undefined);
  }

  #account(slot: number): SlotAccount {
    const account = this.#with.accounts[slot];
    assert(account !== undefined, "a slot is within range");
    this.#chunk.accounts.set(slot, account);
    return account;
  }

  /** Removes everything the table holds of a slot. Until the last transaction its stored summary is wrong: replay wipes again. */
  async #wipe(slot: number): Promise<void> {
    const { table, accounts } = this.#with;
    if (this.#chunk.length > 0) await this.#flush();
    await this.#committing;
    let after: Buffer | undefined;
    for (;;) {
      const keys = table.keys(slot, after);
      if (keys.length === 0) break;
      await this.#commit({ changes: removals(keys), accounts: [] });
      after = keys.at(-1);
    }
    accounts[slot] = emptyAccount();
    this.#account(slot);
  }

  /** Starts the transaction of what was gathered; the one before it must have ended. Gathering goes on meanwhile. */
  async #flush(meta?: TableMeta): Promise<void> {
    const chunk = this.#chunk;
    this.#chunk = new Chunk();
    const commit = { changes: chunk, accounts: [...chunk.accounts] };
    await this.#committing;
    this.#committing = this.#commit(meta ? { ...commit, meta } : commit);
    // Its failure is met where it is awaited: before the next one, or at the end.
    this.#committing.catch(() => undefined);
  }

  async #commit(commit: TableCommit): Promise<void> {
    const { table, space, limits, committed } = this.#with;
    const startedAt = performance.now();
    for (;;) {
      if (this.#stopped) throw new CheckpointStopped("the engine is closing");
      try {
        await table.commit(commit);
        break;
      } catch (error) {
        const needed = PAGES_FACTOR * limits.chunkBytes;
        if (!(await space.explains(error, needed))) throw error;
        space.exhausted("table");
        await space.waitFor(needed);
      }
    }
    this.#lastCommitMs = performance.now() - startedAt;
    space.found("table");
    table.refresh();
    await committed?.();
  }
}

/** The engine closes while a checkpoint waits for space. */
export class CheckpointStopped extends Error {}
