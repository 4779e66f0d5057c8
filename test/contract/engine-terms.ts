// What the contract of an engine is written in: the harness that gives an engine, records to append, and the same facts
// counted a second way.
import { expect } from "vitest";
import { entryDigest, EMPTY_DIGEST, toggle } from "../../shared/digest.ts";
import { utf8Bytes, valueBytes } from "../../shared/record.ts";
import type { StoredRecord, WireValue } from "../../shared/record.ts";
import { compare } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import type { Engine, ListedEntry, LogRecord, SlotSummary } from "../../storage-node/engine/engine.ts";

/** One engine under test. `engine` changes with every reopening. */
export interface EngineHarness {
  readonly engine: Engine;
  /** Highest position reported durable. */
  readonly durable: number;
  /** Reports of durability so far, in order. */
  readonly reports: readonly number[];
  /** Resolves when everything up to a position was reported durable. */
  settled(position: number): Promise<void>;
  /** Moves what is durable to where the engine keeps it for long, if it has such a place. */
  compact(): Promise<void>;
  close(): Promise<void>;
  /** Loses the process: whatever was not reported durable may be lost. */
  crash(): Promise<void>;
  reopen(): Promise<void>;
  /** Ends the test: leaves nothing behind. */
  dispose(): Promise<void>;
}

/** What the tests of the contract share: the engine of the running test, and two ways to use it. */
export interface EngineBench {
  /** That of the running test. */
  readonly harness: EngineHarness;
  /** Appends, and waits until it was reported durable. */
  readonly durably: (...records: LogRecord[]) => Promise<void>;
  /** Asserts now, after compaction, after a clean close and after a crash. */
  readonly always: (check: (engine: Engine) => void) => Promise<void>;
}

/** The slot of the tests that need but one. */
export const SLOT = 7;

export function value(n: number, text: WireValue | null = `value ${n}`, operation = ""): StoredRecord {
  return { version: [1, n], origin: [1, n], value: text, operation };
}

export function write(key: string, record: StoredRecord, slot = SLOT): LogRecord {
  return { type: "write", slot, key, record };
}

/** An entry of a list as it was when it was listed. */
export type ReadEntry = Pick<ListedEntry, "key" | "record">;

/** Every entry of a slot, by pages of a size. */
export function listAll(engine: Engine, slot: number, page: number): ReadEntry[] {
  const entries: ReadEntry[] = [];
  for (;;) {
    const next = engine.list(slot, entries.at(-1)?.key, page);
    for (const { key, version, tombstone, record } of next) {
      expect([version, tombstone]).toEqual([record.version, record.value === null]);
      entries.push({ key, record });
    }
    if (next.length < page) return entries;
  }
}

/** A summary counted again from the entries. */
export function recount(entries: readonly ReadEntry[], purged: Version): SlotSummary {
  const summary = { digest: EMPTY_DIGEST, keys: 0, tombstones: 0, bytes: 0 };
  for (const { key, record } of entries) {
    if (record.value === null) summary.tombstones++;
    else {
      summary.keys++;
      summary.bytes += utf8Bytes(key) + valueBytes(record.value);
    }
    if (record.value !== null || compare(record.version, purged) > 0) {
      summary.digest = toggle(summary.digest, entryDigest(key, record.version));
    }
  }
  return summary;
}
