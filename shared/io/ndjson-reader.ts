// NDJSON reader: bytes of one connection in, parsed objects and bad lines out, in the order they came.
//
// `ndjson.parse` splits and parses. It hides what we must answer, so it is only ever given whole lines that begin with
// `{` and are valid UTF-8 without a lone surrogate; everything else is judged here:
//   - a line `null` would end its stream, and later lines would vanish;
//   - invalid UTF-8 would turn into U+FFFD before anybody sees it;
//   - its `maxLength` counts characters, and misses a complete line inside one chunk;
//   - its cost is quadratic in the length of a line that arrives in pieces: the unfinished line is kept here instead.
// A line that is not JSON makes it emit `error` and go on, which keeps the order because it works synchronously when
// written to (never piped) and read in flowing mode; `#parse` asserts that nothing was left behind.
//
// Nesting is bounded by the length of a line alone: JSON.parse in V8 does not recurse. Who gets a message must not walk
// parts of it that it does not know, nor echo them. A key `__proto__` is an own property like any other after parsing.
import { isAscii, isUtf8 } from "node:buffer";
import type { Transform } from "node:stream";
import { parse } from "ndjson";
import { assert } from "../assert.ts";

export type LineProblemCode = "BAD_JSON" | "NOT_AN_OBJECT" | "BAD_UTF8" | "LINE_TOO_LONG" | "UNPAIRED_SURROGATE";

/** Why a line is no message: a code for programs and a sentence for people. */
export interface LineProblem {
  readonly code: LineProblemCode;
  readonly message: string;
}

/** Good lines in their order, and the bad line that ended the run, if one did. */
export interface LineRun {
  readonly messages: Record<string, unknown>[];
  readonly problem: LineProblem | null;
}

const NEWLINE = 0x0a;
const OPENING_BRACE = 0x7b;
const TAIL_BYTES_MIN = 1024;
/** Of an unfinished line: chunks from this size on are kept as they came, smaller ones are gathered. */
const PIECE_BYTES_MIN = 16 * 1024;
const EMPTY = Buffer.alloc(0);

export class NdjsonReader {
  #lineBytesMax: number;
  readonly #parser: Transform;
  #runs: LineRun[] = [];
  #messages: Record<string, unknown>[] = [];
  /** The unfinished last line: pieces, and behind them the first `#tailBytes` of `#tail`, which doubles as it grows. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  #tail = EMPTY;
  #tailBytes = 0;
  #stopped = false;

  /** @param options `lineBytesMax`: longest line in bytes, its newline not counted. At least 1. */
  constructor(options: { lineBytesMax: number }) {
    this.#lineBytesMax = options.lineBytesMax;
    this.#parser = this.#openParser();
  }

  /** From the next bytes on another limit, at most the one it was made with. */
  set lineBytesMax(bytes: number) {
    this.#lineBytesMax = bytes;
  }

  /**
   * Takes the next bytes and returns the lines they complete; blank lines are skipped. The array is empty when no line
   * ended. After LINE_TOO_LONG the reader has lost its place and ignores all further bytes. Never throws.
   */
  push(chunk: Buffer): LineRun[] {
    if (this.#stopped) return [];
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > 0) this.#block(this.#takeTail(chunk.subarray(0, end)));
    if (!this.#stopped && end < chunk.length) this.#keepTail(end === 0 ? chunk : chunk.subarray(end));
    return this.#takeRuns();
  }

  #openParser(): Transform {
    // decodeStrings false: it is fed strings, which were decoded once already. maxLength is never reached (only whole
    // lines go in); it is there so that a mistake of ours cannot grow without bound.
    const options = { strict: true, maxLength: this.#lineBytesMax, decodeStrings: false };
    // What it splits at, as split2 keeps it. Its pattern for both kinds of line ends searches each text for what JSON.parse skips anyway,
    // and costs a node a thirtieth of its time.
    const parser: Transform = Object.assign(parse(options), { matcher: "\n" });
    parser.on("data", (message: Record<string, unknown>) => this.#messages.push(message));
    parser.on("error", () => this.#bad("BAD_JSON", "the line is not valid JSON; send one JSON object a line"));
    return parser;
  }

  /** Whole lines. The usual case is decoded in one go; a line too long or not UTF-8 is looked for one by one. */
  #block(block: Buffer): void {
    const short = block.length <= this.#lineBytesMax;
    if (short && isAscii(block)) this.#text(block.toString("latin1"));
    else if (short && isUtf8(block)) this.#text(block.toString("utf8"));
    else this.#eachLine(block);
  }

  #eachLine(block: Buffer): void {
    for (let start = 0; start < block.length && !this.#stopped;) {
      const end = block.indexOf(NEWLINE, start);
      const line = block.subarray(start, end + 1);
      if (end - start > this.#lineBytesMax) this.#tooLong();
      else if (isUtf8(line)) this.#text(line.toString("utf8"));
      else this.#bad("BAD_UTF8", "the line is not valid UTF-8; send other bytes as base64");
      start = end + 1;
    }
  }

  /** Hands runs of lines that begin with `{` to the parser, and judges the others between them. */
  #text(text: string): void {
    const escapedSurrogates = text.includes("\\ud") || text.includes("\\uD");
    let runStart = 0;
    for (let start = 0; start < text.length;) {
      const next = text.indexOf("\n", start) + 1;
      const unusual = text.charCodeAt(start) !== OPENING_BRACE;
      if (unusual || (escapedSurrogates && hasUnpairedSurrogate(text.slice(start, next)))) {
        this.#parse(text.slice(runStart, start));
        if (unusual) this.#unusualLine(text.slice(start, next));
        else
          this.#bad(
            "UNPAIRED_SURROGATE",
            "a string holds an unpaired surrogate escape (\\ud800 to \\udfff), which is no text",
          );
        runStart = next;
      }
      start = next;
    }
    this.#parse(runStart === 0 ? text : text.slice(runStart));
  }

  /** A line whose first character is not `{`: blank, an object after spaces, or no object. Spaces as JSON has them. */
  #unusualLine(line: string): void {
    const start = line.search(/[^ \t\r\n]/);
    if (start === -1) return;
    if (line.charCodeAt(start) === OPENING_BRACE) this.#text(line.slice(start));
    else if (isJson(line))
      this.#bad("NOT_AN_OBJECT", "the line is JSON but not an object; send one JSON object a line");
    else this.#bad("BAD_JSON", "the line is not valid JSON; send one JSON object a line");
  }

  #parse(lines: string): void {
    if (lines === "") return;
    this.#parser.write(lines);
    assert(this.#parser.writableLength === 0 && this.#parser.readableLength === 0, "ndjson parses synchronously");
  }

  #bad(code: LineProblemCode, message: string): void {
    this.#runs.push({ messages: this.#messages, problem: { code, message } });
    this.#messages = [];
  }

  #tooLong(): void {
    this.#stopped = true;
    this.#dropTail();
    this.#bad("LINE_TOO_LONG", `the line is longer than ${this.#lineBytesMax} bytes, the limit; the connection closes`);
  }

  #takeRuns(): LineRun[] {
    if (this.#messages.length > 0) {
      this.#runs.push({ messages: this.#messages, problem: null });
      this.#messages = [];
    }
    const runs = this.#runs;
    this.#runs = [];
    return runs;
  }

  /** The unfinished line, completed by `head`. */
  #takeTail(head: Buffer): Buffer {
    if (this.#pieceBytes + this.#tailBytes === 0) return head;
    const block = Buffer.concat([...this.#pieces, this.#tail.subarray(0, this.#tailBytes), head]);
    this.#dropTail();
    return block;
  }

  /** An idle connection holds no buffer. */
  #dropTail(): void {
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#tail = EMPTY;
    this.#tailBytes = 0;
  }

  /** Large chunks are copied once, when the line ends; fresh memory for each step of a long line costs more than the copies. */
  #keepTail(bytes: Buffer): void {
    if (this.#pieceBytes + this.#tailBytes + bytes.length > this.#lineBytesMax) return this.#tooLong();
    if (bytes.length < PIECE_BYTES_MIN) return this.#gather(bytes);
    if (this.#tailBytes > 0) this.#pieces.push(this.#tail.subarray(0, this.#tailBytes));
    this.#pieces.push(bytes);
    this.#pieceBytes += this.#tailBytes + bytes.length;
    this.#tail = EMPTY;
    this.#tailBytes = 0;
  }

  /** By doubling, so that a line which trickles in byte by byte costs time and memory linear in its length. */
  #gather(bytes: Buffer): void {
    const needed = this.#tailBytes + bytes.length;
    if (needed > this.#tail.length) {
      const grown = Buffer.allocUnsafe(Math.max(TAIL_BYTES_MIN, needed, 2 * this.#tail.length));
      this.#tail.copy(grown, 0, 0, this.#tailBytes);
      this.#tail = grown;
    }
    bytes.copy(this.#tail, this.#tailBytes);
    this.#tailBytes = needed;
  }
}

/**
 * Whether a line of JSON escapes a surrogate (`\ud800` … `\udfff`) without its other half next to it. Raw surrogates
 * cannot occur: they are no UTF-8. Removing every other escape and every pair leaves only the unpaired ones.
 */
function hasUnpairedSurrogate(line: string): boolean {
  const rest = line.replaceAll(/\\[^u]|\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}/g, "");
  return /\\u[dD][89a-fA-F]/.test(rest);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // that it does not parse is the answer
  }
}
