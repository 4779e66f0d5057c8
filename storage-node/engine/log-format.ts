// Batches of the log on disk. A segment is a row of batches followed by an end mark; what lies behind the mark (zeros, or
// stale bytes of an older segment whose file was reused) is never looked at. A batch and the mark behind it are one write,
// so that the mark always says where the log ends: anything but a whole batch or the mark in its place is damage.
//   [magic 4][segment 4][batch number 6][records before it 6][records 4][payload length 4][CRC-32 4][payload …]
// One CRC covers header and payload. Segment and number are in it, so neither stale bytes nor a torn write replay (rule 2).
import { crc32 } from "node:zlib";

/** Bytes of a header; an end mark is a header alone. */
export const HEADER_BYTES = 32;
const CRC_AT = 28;

const BATCH_MAGIC = 0x48_46_42_31; // HFB1
const END_MAGIC = 0x48_46_45_31; // HFE1

export interface BatchHeader {
  /** Number of the segment. */
  readonly segment: number;
  /** Number of the batch, counted from 1 over all segments without gaps. */
  readonly number: number;
  /** Records ever appended before this batch. */
  readonly position: number;
  /** Records in it. */
  readonly records: number;
}

/** What stands at an offset of a segment. */
export type Found =
  | { readonly kind: "batch"; readonly header: BatchHeader; readonly payload: Buffer; readonly next: number }
  | { readonly kind: "end" }
  | { readonly kind: "bad" };

/**
 * Completes a batch: `bytes` holds room for the header, the payload up to `end`, and room for an end mark behind it.
 * Afterwards its first `end + HEADER_BYTES` bytes are ready to be written.
 */
export function sealBatch(bytes: Buffer, end: number, header: BatchHeader): void {
  putHeader(bytes, 0, BATCH_MAGIC, header, end - HEADER_BYTES);
  const mark = {
    segment: header.segment,
    number: header.number + 1,
    position: header.position + header.records,
    records: 0,
  };
  putHeader(bytes, end, END_MAGIC, mark, 0);
}

/** The end mark of a segment without batches. */
export function emptySegment(segment: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  putHeader(bytes, 0, END_MAGIC, { segment, number: 0, position: 0, records: 0 }, 0);
  return bytes;
}

function putHeader(bytes: Buffer, at: number, magic: number, header: BatchHeader, length: number): void {
  bytes.writeUInt32BE(magic, at);
  bytes.writeUInt32BE(header.segment, at + 4);
  bytes.writeUIntBE(header.number, at + 8, 6);
  bytes.writeUIntBE(header.position, at + 14, 6);
  bytes.writeUInt32BE(header.records, at + 20);
  bytes.writeUInt32BE(length, at + 24);
  bytes.writeUInt32BE(checksum(bytes, at, length), at + CRC_AT);
}

function checksum(bytes: Buffer, at: number, length: number): number {
  const head = crc32(bytes.subarray(at, at + CRC_AT));
  return length === 0 ? head : crc32(bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length), head);
}

/** Reads what stands at `offset` of a segment. The payload is a view into `bytes`. */
export function readBatch(bytes: Buffer, offset: number, segment: number): Found {
  if (offset + HEADER_BYTES > bytes.length) return { kind: "bad" };
  const magic = bytes.readUInt32BE(offset);
  if ((magic !== BATCH_MAGIC && magic !== END_MAGIC) || bytes.readUInt32BE(offset + 4) !== segment)
    return { kind: "bad" };
  const length = bytes.readUInt32BE(offset + 24);
  const next = offset + HEADER_BYTES + length;
  if (next > bytes.length || bytes.readUInt32BE(offset + CRC_AT) !== checksum(bytes, offset, length))
    return { kind: "bad" };
  if (magic === END_MAGIC) return { kind: "end" };
  const header: BatchHeader = {
    segment,
    number: bytes.readUIntBE(offset + 8, 6),
    position: bytes.readUIntBE(offset + 14, 6),
    records: bytes.readUInt32BE(offset + 20),
  };
  return { kind: "batch", header, payload: bytes.subarray(offset + HEADER_BYTES, next), next };
}

/** Whether a whole batch of this segment numbered above `number` stands anywhere behind `offset`: then what is bad before it is corruption. */
export function laterBatch(
  bytes: Buffer,
  offset: number,
  { segment, number }: { segment: number; number: number },
): boolean {
  const start = Buffer.alloc(8);
  start.writeUInt32BE(BATCH_MAGIC, 0);
  start.writeUInt32BE(segment, 4);
  for (let at = bytes.indexOf(start, offset); at >= 0; at = bytes.indexOf(start, at + 1)) {
    const found = readBatch(bytes, at, segment);
    if (found.kind === "batch" && found.header.number > number) return true;
  }
  return false;
}
