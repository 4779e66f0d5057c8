// How operations issued in one turn become lines: one `batch` line for as many as fit, a plain line for one alone. What can be said in a
// compact line (../protocol/compact.ts) is, where the coordinator knows them.
//
// A line grows as text while it is cut, so that an operation costs a string and no object. The length of short operations is
// known without counting: no UTF-16 unit has more than three bytes of UTF-8. That cuts a line of them at a third of the limit,
// which costs 64 bytes of envelope; counting would cost a copy of each.
import { BATCH_LINE_BYTES, lineBytesMax } from "../limits.ts";

/** Room for `{"id":…,"op":"batch","timeoutMs":…,"rows":[]}` around the operations. */
const ENVELOPE_BYTES = 96;

/**
 * What an operation can share a line with: nothing, other objects, or other compact ones of the same time (the text of their
 * `timeoutMs` field, a comma around it).
 */
export type LineKind = "alone" | "objects" | { readonly time: string };
const BYTES_PER_UNIT_MAX = 3;
/**
 * Far fewer than are allowed. What is issued together comes back together and is issued together again: in one long line it would go round
 * as one crowd, with everybody else waiting at each station. In short ones it is at several at a time, though each operation costs more:
 * of 16 to 128, 32 was best for gets with 64 in flight, and as good as any but for the longest for puts.
 */
export const LINE_OPS_MAX = 32;
/** From here on the bytes of an operation are counted. */
const COUNTED_UNITS = 2_048;

/** Longest batch line for a server with this value limit, in bytes: a small limit makes its lines short, too. */
export function batchBytesMax(valueBytesMax: number): number {
  return Math.min(BATCH_LINE_BYTES, lineBytesMax(valueBytesMax));
}

/** Puts operations into lines, in their order. */
export class LineCutter {
  readonly #bytesMax: number;
  readonly #nextId: () => number;
  readonly #lines: string[] = [];
  /** Of the line that is being filled: its operations, how many, and its id. */
  #text = "";
  #count = 0;
  #lineId = 0;
  #lineBytes = 0;
  #kind: LineKind = "alone";
  #bytes = 0;

  /**
   * @param bytesMax Longest line. An operation that is longer gets one of its own: whether it is legal was checked before.
   * @param nextId A fresh id, for the envelope of a line.
   */
  constructor(bytesMax: number, nextId: () => number) {
    this.#bytesMax = bytesMax;
    this.#nextId = nextId;
  }

  /** An upper estimate of all that was added, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Adds one operation: its JSON, or its fields in a compact line.
   * @returns Id of its line; not used by the line where an object stays alone in it.
   */
  add(text: string, kind: LineKind): number {
    const bytes = bytesAtMost(text) + 1;
    const fits = this.#lineBytes + bytes <= this.#bytesMax && this.#count < LINE_OPS_MAX;
    if (this.#count > 0 && fits && shares(kind, this.#kind)) this.#text += `,${text}`;
    else this.#open(text, kind);
    this.#count++;
    this.#lineBytes += bytes;
    this.#bytes += bytes;
    return this.#lineId;
  }

  /** All lines, the last one included. Once. */
  end(): readonly string[] {
    this.#close();
    return this.#lines;
  }

  #open(text: string, kind: LineKind): void {
    this.#close();
    this.#text = text;
    this.#kind = kind;
    this.#lineId = this.#nextId();
    this.#lineBytes = ENVELOPE_BYTES;
  }

  #close(): void {
    if (this.#count > 0) this.#lines.push(this.#line());
    this.#count = 0;
  }

  #line(): string {
    const kind = this.#kind;
    if (typeof kind === "object") return `{"id":${this.#lineId},"op":"batch"${kind.time}"rows":[${this.#text}]}`;
    return this.#count === 1 ? this.#text : `{"id":${this.#lineId},"op":"batch","ops":[${this.#text}]}`;
  }
}

function shares(kind: LineKind, other: LineKind): boolean {
  if (typeof kind === "object") return typeof other === "object" && other.time === kind.time;
  return kind === "objects" && other === "objects";
}

function bytesAtMost(json: string): number {
  return json.length < COUNTED_UNITS ? json.length * BYTES_PER_UNIT_MAX : Buffer.byteLength(json);
}
