// The table on disk: LMDB, and the only file that imports it. Registers in one database, summaries and control state in
// another, so that one transaction changes a part of the registers together with the summaries that describe it.
//
// What lmdb-js needs to be safe (3.5.6): `overlappingSync: false`, else data shows before it is durable and stays visible after
// a failed sync; never its cache, its sync writes, `clear` or `backup`; keys and values stay untouched until the commit
// settles; nothing is awaited inside a range; a commit that never settles is noticed (watchdog.ts). A failed commit rejects more
// promises than the one that is awaited: those of single operations and `commitError`, which are caught here, and with
// `eventTurnBatching` one that nobody can reach, so that it is off: each transaction is one explicit batch anyway.
import { open as openFile } from "node:fs/promises";
import { join } from "node:path";
import { open } from "lmdb";
import type { Database, RootDatabase } from "lmdb";
import type { StoredRecord } from "../../shared/record.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { Version } from "../../shared/version.ts";
import type { ListedEntry } from "./engine.ts";
import { systemCode } from "./file-layer.ts";
import { ListedBody } from "./listed-body.ts";
import { RecordWriter } from "./record-codec.ts";
import { emptyAccount } from "./slot-account.ts";
import type { Counted, SlotAccount } from "./slot-account.ts";
import {
  countTableValue,
  decodeAccount,
  decodeMeta,
  encodeAccount,
  encodeMeta,
  readTableValue,
  tableBody,
  tableVersion,
  writeTableKey,
} from "./table-format.ts";
import type { TableMeta } from "./table-format.ts";
import { guard } from "./watchdog.ts";

/** Puts and removals, by their numbers from 0. Their bytes must not change until the commit settled. */
export interface TableChanges {
  readonly length: number;
  key(change: number): Buffer;
  /** Undefined: a removal. */
  value(change: number): Buffer | undefined;
}

/** Removes what is under these keys. */
export function removals(keys: readonly Buffer[]): TableChanges {
  return { length: keys.length, key: (change) => keys[change] as Buffer, value: () => undefined };
}

/** What one transaction makes durable together. */
export interface TableCommit {
  readonly changes: TableChanges;
  /** Summaries of the slots that the changes touch. */
  readonly accounts: readonly (readonly [slot: number, account: SlotAccount])[];
  readonly meta?: TableMeta;
}

/** Room for the longest key there can be, so that this memory never moves. */
const KEY_BYTES_MAX = 4096;

/** No more entries at a time from a range: a long reader keeps old pages alive. */
export const TABLE_PAGE_MAX = 256;

const META_KEY = Buffer.from("state");
const ACCOUNT_PREFIX = 0x73; // s

function accountKey(slot: number): Buffer {
  return Buffer.from([ACCOUNT_PREFIX, slot >> 8, slot & 0xff]);
}

function slotKey(slot: number): Buffer {
  return Buffer.from([slot >> 8, slot & 0xff]);
}

/** In the first page of every LMDB file, in the byte order of the machine. */
const LMDB_MAGIC = 0xbe_ef_c0_de;
const MAGIC_WITHIN_BYTES = 64;

/** Whether a directory holds an LMDB file, or none yet. Opening anything else may end the process. */
export async function isTable(directory: string): Promise<boolean> {
  const head = await firstBytes(join(directory, "data.mdb"));
  if (!head || head.length === 0) return true;
  for (let at = 0; at + 4 <= head.length; at += 4) {
    if (head.readUInt32LE(at) === LMDB_MAGIC || head.readUInt32BE(at) === LMDB_MAGIC) return true;
  }
  return false;
}

async function firstBytes(path: string): Promise<Buffer | undefined> {
  try {
    const file = await openFile(path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(MAGIC_WITHIN_BYTES), 0, MAGIC_WITHIN_BYTES, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

export class Table {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #registers: Database<Buffer, Buffer>;
  readonly #meta: Database<Buffer, Buffer>;
  readonly #stuckMs: number;
  readonly #key = new RecordWriter(KEY_BYTES_MAX);
  /** The key that was written last, by its length: making a view costs as much as writing it. */
  readonly #keyViews: (Buffer | undefined)[] = [];

  private constructor(root: RootDatabase<Buffer, Buffer>, stuckMs: number) {
    const encodings = { encoding: "binary", keyEncoding: "binary" } as const;
    this.#root = root;
    this.#registers = root.openDB<Buffer, Buffer>({ name: "registers", ...encodings });
    this.#meta = root.openDB<Buffer, Buffer>({ name: "meta", ...encodings });
    this.#stuckMs = stuckMs;
  }

  /** Opens or creates `data.mdb` in a directory. @param mapBytes Address space: the largest the table can ever get. */
  static open(directory: string, options: { readonly mapBytes: number; readonly stuckMs: number }): Table {
    const root = open<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      encoding: "binary",
      keyEncoding: "binary",
      overlappingSync: false,
      eventTurnBatching: false,
      mapSize: options.mapBytes,
      maxDbs: 4,
      maxReaders: 16,
    });
    return new Table(root, options.stuckMs);
  }

  get(slot: number, key: string): StoredRecord | undefined {
    const bytes = this.#keyBytes(slot, key);
    const value = this.#registers.getBinaryFast(bytes);
    return value && readTableValue(bytes, asBuffer(value));
  }

  /** The version of what `get` would return. */
  version(slot: number, key: string): Version | undefined {
    const bytes = this.#keyBytes(slot, key);
    const value = this.#registers.getBinaryFast(bytes);
    return value && tableVersion(bytes, asBuffer(value));
  }

  /** What a register adds to its slot's summary; null where there is none. */
  counted(slot: number, key: string): Counted | null {
    const bytes = this.#keyBytes(slot, key);
    const value = this.#registers.getBinaryFast(bytes);
    return value ? countTableValue(bytes, key, asBuffer(value)) : null;
  }

  /** Up to `limit` registers (at most TABLE_PAGE_MAX) of a slot with key > after, in order. Unlike lookups, a range copies its values. */
  page(slot: number, after: string | undefined, limit: number): ListedEntry[] {
    const entries: ListedEntry[] = [];
    for (const { key, value } of this.#range(
      slot,
      after === undefined ? undefined : this.#keyBytes(slot, after),
      limit,
    )) {
      entries.push(new ListedBody(key.toString("utf8", 2), tableBody(key, asBuffer(value))));
    }
    return entries;
  }

  /** Table keys of a slot behind `after`, at most TABLE_PAGE_MAX. */
  keys(slot: number, after: Buffer | undefined): Buffer[] {
    const keys: Buffer[] = [];
    for (const { key } of this.#range(slot, after, TABLE_PAGE_MAX)) keys.push(Buffer.from(key));
    return keys;
  }

  #range(slot: number, after: Buffer | undefined, limit: number): Iterable<{ key: Buffer; value: Buffer }> {
    const start = after ? Buffer.concat([after, Buffer.from([0])]) : slotKey(slot);
    return this.#registers.getRange({ start, end: slotKey(slot + 1), limit: Math.min(limit, TABLE_PAGE_MAX) });
  }

  #keyBytes(slot: number, key: string): Buffer {
    const writer = this.#key;
    writer.length = 0;
    writeTableKey(writer, slot, key);
    return (this.#keyViews[writer.length] ??= writer.buffer.subarray(0, writer.length));
  }

  /** Control state as of the last finished checkpoint; undefined in a new table. */
  meta(): TableMeta | undefined {
    const bytes = this.#meta.get(META_KEY);
    return bytes && decodeMeta(bytes);
  }

  /** Summaries of all slots, as the table holds them. */
  accounts(): SlotAccount[] {
    const accounts = Array.from({ length: SLOTS }, emptyAccount);
    for (const { key, value } of this.#meta.getRange({
      start: accountKey(0),
      end: Buffer.from([ACCOUNT_PREFIX + 1]),
    })) {
      accounts[key.readUInt16BE(1)] = decodeAccount(asBuffer(value));
    }
    return accounts;
  }

  /**
   * One durable transaction.
   * @throws StuckError where it never settles; the error of the system or of LMDB otherwise (nothing was changed then).
   */
  async commit({ changes, accounts, meta }: TableCommit): Promise<void> {
    const committed = this.#registers.batch(() => {
      const owned = new Owned();
      for (let change = 0; change < changes.length; change++) {
        const key = changes.key(change);
        const value = changes.value(change);
        owned.take(value ? this.#registers.put(key, value) : this.#registers.remove(key));
      }
      for (const [slot, account] of accounts) owned.take(this.#meta.put(accountKey(slot), encodeAccount(account)));
      if (meta) owned.take(this.#meta.put(META_KEY, encodeMeta(meta)));
    });
    try {
      await guard("a transaction of the table", committed, this.#stuckMs);
    } catch (error) {
      throw await commitCause(error);
    }
  }

  /** Lets the next read see everything committed so far. */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  async close(): Promise<void> {
    await this.#root.close();
  }
}

/** Promises of single operations: their outcome is that of the transaction, which is awaited; a rejection of theirs is not news. */
class Owned {
  #last: Promise<unknown> | undefined;

  /** Most operations of a transaction share one promise. */
  take(operation: Promise<unknown>): void {
    if (operation === this.#last) return;
    this.#last = operation;
    operation.then(undefined, () => undefined);
  }
}

function asBuffer(bytes: Buffer | Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The reason of a failed commit, which lmdb-js keeps in a promise of its own. */
async function commitCause(error: unknown): Promise<unknown> {
  const cause = (error as { commitError?: unknown } | null)?.commitError;
  if (!(cause instanceof Promise)) return error;
  return Promise.race([
    cause.then(
      () => error,
      (reason: unknown) => reason,
    ),
    new Promise((resolve) => setTimeout(resolve, 100, error)),
  ]);
}
