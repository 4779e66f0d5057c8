// Binary form of records: in batches of the log, and as values of the table. Both hold the same body, so that a checkpoint
// needs no second format:
//   body  [version 4+6][origin 4+6][flags 1][operation length 1][operation][value …]
//   log   [1][slot 2][key length 2][key][body length 4][body]   a register
//         [2][length 4][JSON]                                   everything else, which is rare
// Numbers are big-endian. A text value is UTF-8, other bytes are raw; a flag gives each back in the form it came in.
// Checksums are the business of whoever stores the bytes.
import { assert } from "../../shared/assert.ts";
import type { StoredRecord, WireValue } from "../../shared/record.ts";
import type { Version } from "../../shared/version.ts";
import type { ControlRecord, LogRecord } from "./engine.ts";

export const FLAG_TOMBSTONE = 1;
/** The value came as base64, not as text. */
export const FLAG_BYTES = 2;
/** A tombstone that its slot's digest leaves out. */
export const FLAG_LEFT_OUT = 4;

/** Bytes of a body before the operation id. */
export const BODY_FIXED_BYTES = 22;
/** Where a body has its flags. */
export const FLAGS_AT = 20;
const OPERATION_AT = 21;

const KIND_WRITE = 1;
const KIND_CONTROL = 2;
const ASCII_LOOP_MAX = 32;

/** A buffer that grows as records are added behind each other. */
export class RecordWriter {
  buffer: Buffer;
  length = 0;

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }

  /** Makes sure that `bytes` more fit. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  u8(value: number): void {
    this.buffer[this.length++] = value;
  }

  u16(value: number): void {
    const { buffer, length } = this;
    buffer[length] = value >>> 8;
    buffer[length + 1] = value;
    this.length = length + 2;
  }

  u32(value: number): void {
    putU32(this.buffer, this.length, value);
    this.length += 4;
  }

  u48(value: number): void {
    this.u16(Math.floor(value / 2 ** 32));
    this.u32(value >>> 0);
  }

  version(version: Version): void {
    this.u32(version[0]);
    this.u48(version[1]);
  }

  /** UTF-8 of a text; room for three bytes a code unit must be reserved. Returns the bytes written. */
  text(text: string): number {
    const { buffer } = this;
    const start = this.length;
    if (text.length > ASCII_LOOP_MAX) {
      this.length += buffer.write(text, start);
      return this.length - start;
    }
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) {
        this.length = start + buffer.write(text, start);
        return this.length - start;
      }
      buffer[start + index] = unit;
    }
    this.length = start + text.length;
    return text.length;
  }
}

/** Upper bound of a body's bytes. */
function bodyBytesMax(record: StoredRecord): number {
  const { value, operation } = record;
  const units = value === null ? 0 : typeof value === "string" ? value.length : value.base64.length;
  return BODY_FIXED_BYTES + 3 * (operation.length + units);
}

/** Appends the body of a register. @param flags Added to those that follow from the record. */
export function writeBody(writer: RecordWriter, record: StoredRecord, flags = 0): void {
  writer.reserve(bodyBytesMax(record));
  writer.version(record.version);
  writer.version(record.origin);
  const { value } = record;
  const form = value === null ? FLAG_TOMBSTONE : typeof value === "string" ? 0 : FLAG_BYTES;
  writer.u8(form | flags);
  const lengthAt = writer.length++;
  const operationBytes = writer.text(record.operation);
  assert(operationBytes <= 0xff, "an operation id has at most 255 bytes");
  writer.buffer[lengthAt] = operationBytes;
  if (typeof value === "string") writer.text(value);
  else if (value !== null) writer.length += writer.buffer.write(value.base64, writer.length, "base64");
}

// By shifts: the methods of Buffer compute in doubles and check each call, which was a twentieth of what a write costs.

function putU32(bytes: Buffer, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function u16At(bytes: Buffer, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function u32At(bytes: Buffer, at: number): number {
  return ((u16At(bytes, at) << 16) | u16At(bytes, at + 2)) >>> 0;
}

function u48At(bytes: Buffer, at: number): number {
  return u16At(bytes, at) * 2 ** 32 + u32At(bytes, at + 2);
}

/** Appends one record of the log. */
export function writeRecord(writer: RecordWriter, record: LogRecord): void {
  if (record.type !== "write") return writeControl(writer, record);
  writer.reserve(9 + 3 * record.key.length + bodyBytesMax(record.record));
  writer.u8(KIND_WRITE);
  writer.u16(record.slot);
  const keyLengthAt = writer.length;
  writer.length += 2;
  const keyBytes = writer.text(record.key);
  writer.buffer[keyLengthAt] = keyBytes >>> 8;
  writer.buffer[keyLengthAt + 1] = keyBytes;
  const bodyLengthAt = writer.length;
  writer.length += 4;
  writeBody(writer, record.record);
  putU32(writer.buffer, bodyLengthAt, writer.length - bodyLengthAt - 4);
}

function writeControl(writer: RecordWriter, record: LogRecord): void {
  const text = JSON.stringify(record);
  writer.reserve(5 + 3 * text.length);
  writer.u8(KIND_CONTROL);
  const lengthAt = writer.length;
  writer.length += 4;
  putU32(writer.buffer, lengthAt, writer.text(text));
}

export function versionAt(bytes: Buffer, offset: number): Version {
  return [u32At(bytes, offset), u48At(bytes, offset + 4)];
}

/** The origin of a body: the same object as its version where they are equal, as they are but after repairs. */
function originAt(bytes: Buffer, offset: number, version: Version): Version {
  const epoch = u32At(bytes, offset);
  const n = u48At(bytes, offset + 4);
  return epoch === version[0] && n === version[1] ? version : [epoch, n];
}

/** The body that fills `bytes` from `start` to `end`. */
export function readBody(bytes: Buffer, start: number, end: number): StoredRecord {
  const flags = bytes[start + FLAGS_AT] ?? 0;
  const operationBytes = bytes[start + OPERATION_AT] ?? 0;
  const operationAt = start + BODY_FIXED_BYTES;
  const valueAt = operationAt + operationBytes;
  const version = versionAt(bytes, start);
  return {
    version,
    origin: originAt(bytes, start + 10, version),
    value: readValue(bytes, valueAt, end, flags),
    operation: operationBytes === 0 ? "" : bytes.toString("utf8", operationAt, valueAt),
  };
}

function readValue(bytes: Buffer, start: number, end: number, flags: number): WireValue | null {
  if (flags & FLAG_TOMBSTONE) return null;
  if (flags & FLAG_BYTES) return { base64: bytes.toString("base64", start, end) };
  return bytes.toString("utf8", start, end);
}

/** What a summary needs of a body, without decoding the rest. */
export function readBodyFacts(
  bytes: Buffer,
  start: number,
  end: number,
): { version: Version; flags: number; valueBytes: number } {
  const operationBytes = bytes[start + OPERATION_AT] ?? 0;
  const valueBytes = end - start - BODY_FIXED_BYTES - operationBytes;
  return { version: versionAt(bytes, start), flags: bytes[start + FLAGS_AT] ?? 0, valueBytes };
}

/** Takes the records of a batch, one after the other. */
export interface RecordSink {
  /** A register; its body stays encoded. */
  write(slot: number, key: string, body: Body): void;
  control(record: ControlRecord): void;
}

/** Where the body of a register lies. Whoever keeps it copies it. */
export interface Body {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * Finds the bodies in a batch, for whoever has its records at hand: one object for all of them, moved on by `next`. Stands on
 * nothing before the first `next`, and where a record is no register.
 */
export class BodyWalk implements Body {
  readonly bytes: Buffer;
  start = 0;
  end = 0;

  /** @param payload A batch just written: not checked again. */
  constructor(payload: Buffer) {
    this.bytes = payload;
  }

  /** Moves on to the next record. */
  next(): void {
    const { bytes, end: at } = this;
    const isWrite = bytes[at] === KIND_WRITE;
    // Behind the key of a register stands the length of its body; behind the kind of any other record, that of its text.
    const lengthAt = isWrite ? at + 5 + u16At(bytes, at + 3) : at + 1;
    this.end = lengthAt + 4 + u32At(bytes, lengthAt);
    this.start = isWrite ? lengthAt + 4 : this.end;
  }
}

/**
 * Hands the records of a batch over, in order. The bytes passed a checksum, so that a malformed one is our own bug or a newer
 * format.
 * @throws RangeError where a record does not end inside the payload, Error for an unknown kind.
 */
export function readRecords(payload: Buffer, sink: RecordSink): void {
  let offset = 0;
  while (offset < payload.length) {
    const kind = payload[offset];
    if (kind === KIND_WRITE) offset = readWrite(payload, offset, sink);
    else if (kind === KIND_CONTROL) offset = readControl(payload, offset, sink);
    else throw new Error(`the log holds a record of unknown kind ${kind}: it was written by a newer program`);
  }
}

function readWrite(payload: Buffer, offset: number, sink: RecordSink): number {
  const slot = payload.readUInt16BE(offset + 1);
  const keyEnd = offset + 5 + payload.readUInt16BE(offset + 3);
  const start = keyEnd + 4;
  const end = inside(payload, start + payload.readUInt32BE(keyEnd));
  sink.write(slot, payload.toString("utf8", offset + 5, keyEnd), { bytes: payload, start, end });
  return end;
}

function readControl(payload: Buffer, offset: number, sink: RecordSink): number {
  const end = inside(payload, offset + 5 + payload.readUInt32BE(offset + 1));
  sink.control(JSON.parse(payload.toString("utf8", offset + 5, end)) as ControlRecord);
  return end;
}

function inside(payload: Buffer, end: number): number {
  if (end > payload.length) throw new RangeError("a record of the log does not end inside its batch");
  return end;
}
