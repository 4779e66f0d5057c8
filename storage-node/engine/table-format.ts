// Binary form of the table: keys `[slot 2][user key]`, so that a slot is one contiguous range; values `[CRC-32 4][body]`, the
// checksum over key and body (it finds a value that came back under another key); the summary of a slot; the control state.
import { crc32 } from "node:zlib";
import type { StoredRecord } from "../../shared/record.ts";
import { entryDigest } from "../../shared/digest.ts";
import { compare, isZero } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import { blankControlState } from "./control-state.ts";
import type { ControlState, SlotRole, SlotState } from "./engine.ts";
import {
  FLAG_LEFT_OUT,
  FLAG_TOMBSTONE,
  FLAGS_AT,
  readBody,
  readBodyFacts,
  RecordWriter,
  versionAt,
} from "./record-codec.ts";
import type { Body } from "./record-codec.ts";
import type { Counted, SlotAccount } from "./slot-account.ts";

const CRC_BYTES = 4;

/** The table returned a value that does not match its checksum. The node stops (N10): the other copies restore it. */
export class DamagedRecordError extends Error {}

/** Appends the table key of a register. */
export function writeTableKey(writer: RecordWriter, slot: number, key: string): void {
  writer.reserve(2 + 3 * key.length);
  writer.u16(slot);
  writer.text(key);
}

/**
 * Appends the table value of a register behind its key, which begins at `keyStart`. The checksum is over both, so that they stand side by
 * side for a moment: one call for it costs half of two.
 */
export function writeTableValue(
  writer: RecordWriter,
  keyStart: number,
  { body, leftOut }: { readonly body: Body; readonly leftOut: boolean },
): void {
  const { bytes, start, end } = body;
  writer.reserve(CRC_BYTES + end - start);
  const { buffer, length: at } = writer;
  bytes.copy(buffer, at, start, end);
  if (leftOut) buffer[at + FLAGS_AT] = (buffer[at + FLAGS_AT] ?? 0) | FLAG_LEFT_OUT;
  const bodyEnd = at + end - start;
  const crc = crc32(buffer.subarray(keyStart, bodyEnd));
  buffer.copyWithin(at + CRC_BYTES, at, bodyEnd);
  writer.u32(crc);
  writer.length = bodyEnd + CRC_BYTES;
}

function checksum(key: Buffer, value: Buffer): number {
  return crc32(value.subarray(CRC_BYTES), crc32(key));
}

function check(key: Buffer, value: Buffer): void {
  if (value.length < CRC_BYTES || value.readUInt32BE(0) !== checksum(key, value)) {
    throw new DamagedRecordError(
      `the table holds a damaged record (slot ${key.readUInt16BE(0)}): stop this node and rejoin it with an empty data directory; the other copies restore it`,
    );
  }
}

/** @throws DamagedRecordError */
export function readTableValue(key: Buffer, value: Buffer): StoredRecord {
  const { bytes, start, end } = tableBody(key, value);
  return readBody(bytes, start, end);
}

/** Where the body of a value lies. @throws DamagedRecordError */
export function tableBody(key: Buffer, value: Buffer): Body {
  check(key, value);
  return { bytes: value, start: CRC_BYTES, end: value.length };
}

/** @throws DamagedRecordError */
export function tableVersion(key: Buffer, value: Buffer): Version {
  check(key, value);
  return versionAt(value, CRC_BYTES);
}

/**
 * What a register of the table adds to its slot's summary.
 * @throws DamagedRecordError
 */
export function countTableValue(keyBytes: Buffer, key: string, value: Buffer): Counted {
  check(keyBytes, value);
  const { version, flags, valueBytes } = readBodyFacts(value, CRC_BYTES, value.length);
  const digest = flags & FLAG_LEFT_OUT ? undefined : entryDigest(key, version);
  if (flags & FLAG_TOMBSTONE) return { live: false, bytes: 0, digest };
  return { live: true, bytes: keyBytes.length - 2 + valueBytes, digest };
}

/** What an encoded register that is not in the table adds to its slot's summary. @param purged The slot's purged version. */
export function countBody(key: string, { bytes, start, end }: Body, purged: Version): Counted {
  const { version, flags, valueBytes } = readBodyFacts(bytes, start, end);
  const live = (flags & FLAG_TOMBSTONE) === 0;
  const digest = live || compare(version, purged) > 0 ? entryDigest(key, version) : undefined;
  return { live, bytes: live ? Buffer.byteLength(key) + valueBytes : 0, digest };
}

const SUMMARY_BYTES = 32;

export function encodeAccount(account: SlotAccount): Buffer {
  const bytes = Buffer.allocUnsafeSlow(SUMMARY_BYTES);
  bytes.writeUInt32BE(account.digest[0], 0);
  bytes.writeUInt32BE(account.digest[1], 4);
  bytes.writeDoubleBE(account.keys, 8);
  bytes.writeDoubleBE(account.tombstones, 16);
  bytes.writeDoubleBE(account.bytes, 24);
  return bytes;
}

export function decodeAccount(bytes: Buffer): SlotAccount {
  return {
    digest: [bytes.readUInt32BE(0), bytes.readUInt32BE(4)],
    keys: bytes.readDoubleBE(8),
    tombstones: bytes.readDoubleBE(16),
    bytes: bytes.readDoubleBE(24),
  };
}

/** What the table knows beside registers. */
export interface TableMeta {
  readonly control: ControlState;
  /** Highest segment whose batches are all in the table. */
  readonly applied: number;
  /** Number of the last batch in the table. */
  readonly batch: number;
  /** Records in the table's history. */
  readonly position: number;
  /** No register in the table is above it; undefined in tables of programs that did not tell. */
  readonly newest?: Version;
}

const ROLES: readonly SlotRole[] = ["none", "member", "incoming"];
const SLOT_BYTES = 34;

/** `[slots that were ever touched 2][slot 34]…`, and the rest as JSON behind them. */
export function encodeMeta(meta: TableMeta): Buffer {
  const { slots, ...control } = meta.control;
  const writer = new RecordWriter(8192);
  writer.length = 2;
  let touched = 0;
  for (const [number, slot] of slots.entries()) {
    if (isBlank(slot)) continue;
    touched++;
    writeSlot(writer, number, slot);
  }
  writer.buffer.writeUInt16BE(touched, 0);
  const text = JSON.stringify({ ...meta, control });
  writer.reserve(3 * text.length);
  writer.text(text);
  return writer.buffer.subarray(0, writer.length);
}

function isBlank(slot: SlotState): boolean {
  return slot.role === "none" && !slot.copied && isZero(slot.stamp) && isZero(slot.since) && isZero(slot.purged);
}

function writeSlot(writer: RecordWriter, number: number, slot: SlotState): void {
  writer.reserve(SLOT_BYTES);
  writer.u16(number);
  writer.u8(ROLES.indexOf(slot.role));
  writer.u8(slot.copied ? 1 : 0);
  writer.version(slot.stamp);
  writer.version(slot.since);
  writer.version(slot.purged);
}

export function decodeMeta(bytes: Buffer): TableMeta {
  const touched = bytes.readUInt16BE(0);
  const restAt = 2 + touched * SLOT_BYTES;
  const rest = JSON.parse(bytes.toString("utf8", restAt)) as Omit<TableMeta, "control"> & {
    readonly control: Omit<ControlState, "slots" | "voter"> & { readonly voter?: ControlState["voter"] };
  };
  const { slots } = blankControlState(rest.control.identity.incarnation);
  for (let at = 2; at < restAt; at += SLOT_BYTES) slots[bytes.readUInt16BE(at)] = readSlot(bytes, at + 2);
  return { ...rest, control: { ...rest.control, voter: rest.control.voter, slots } };
}

function readSlot(bytes: Buffer, at: number): SlotState {
  const version = (offset: number): Version => versionAt(bytes, at + offset);
  return {
    role: ROLES[bytes[at] ?? 0] ?? "none",
    copied: bytes[at + 1] === 1,
    stamp: version(2),
    since: version(12),
    purged: version(22),
  };
}
