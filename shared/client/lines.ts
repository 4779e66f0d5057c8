// How operations issued in one turn become lines: one `batch` line for as many as fit, a plain line for one alone. Pure.
import { BATCH_LINE_BYTES, BATCH_OPS_MAX, lineBytesMax } from "../limits.ts";

/** One operation as JSON. */
export interface Piece {
  readonly json: string;
  /** UTF-8 bytes of `json`. */
  readonly bytes: number;
  /** Whether it may travel in a `batch` line: puts, deletes and gets. */
  readonly batchable: boolean;
}

/** Room for `{"id":…,"op":"batch","ops":[]}` around the operations. */
const ENVELOPE_BYTES = 64;

/** Longest batch line for a server with this value limit, in bytes: a small limit makes its lines short, too. */
export function batchBytesMax(valueBytesMax: number): number {
  return Math.min(BATCH_LINE_BYTES, lineBytesMax(valueBytesMax));
}

/**
 * Cuts operations into lines, in their order. A piece longer than `bytesMax` gets a line of its own: whether it is legal
 * was checked before it came here.
 */
export function cutLines<T extends Piece>(pieces: readonly T[], bytesMax: number): T[][] {
  const lines: T[][] = [];
  let line: T[] = [];
  let bytes = ENVELOPE_BYTES;
  for (const piece of pieces) {
    const fits = bytes + piece.bytes + 1 <= bytesMax && line.length < BATCH_OPS_MAX;
    if (line.length > 0 && !(fits && piece.batchable && line[0]?.batchable)) {
      lines.push(line);
      line = [];
      bytes = ENVELOPE_BYTES;
    }
    line.push(piece);
    bytes += piece.bytes + 1;
  }
  if (line.length > 0) lines.push(line);
  return lines;
}

/** The text of one line. @param id Id of the envelope; not used where the line holds one operation. */
export function lineText(line: readonly Piece[], id: number): string {
  const [first] = line;
  if (first !== undefined && line.length === 1) return first.json;
  return `{"id":${id},"op":"batch","ops":[${line.map(({ json }) => json).join(",")}]}`;
}
