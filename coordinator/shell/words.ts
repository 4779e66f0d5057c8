// Words of a command line, as people know them from their login shell: blanks separate, "…" and '…' keep blanks, a backslash
// takes the next character as it is. A word remembers whether it was quoted, so that "--force" in quotes is text and never an
// option. Nothing is expanded: no variables, no globs, no pipes.
import { UsageError } from "./failure.ts";

/** One word of a line. */
export interface Word {
  readonly text: string;
  /** Whether any part was quoted or escaped: such a word is never an option. */
  readonly quoted: boolean;
}

/** Longest line the shell takes, in UTF-16 code units: a value at its ceiling in its longest escaped form fits. */
export const LINE_CHARS_MAX = 16 * 1024 * 1024;

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", "0": "\0" };

/** Splits a line into words. Throws UsageError for a quote that is never closed, a backslash at the end, a line too long. */
export function splitWords(line: string): Word[] {
  if (line.length > LINE_CHARS_MAX) throw new UsageError(`the line is longer than ${LINE_CHARS_MAX} characters`);
  const words: Word[] = [];
  let at = skipBlanks(line, 0);
  while (at < line.length) {
    const [word, end] = readWord(line, at);
    words.push(word);
    at = skipBlanks(line, end);
  }
  return words;
}

/** The word as one would have to type it: quoted where it is empty or holds blanks, quotes or backslashes. */
export function quoteWord(text: string): string {
  if (text !== "" && !/[\s"'\\]/.test(text) && !text.startsWith("--")) return text;
  const escaped = text
    .replace(/["\\]/g, "\\$&")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t");
  return `"${escaped}"`;
}

function readWord(line: string, start: number): [word: Word, end: number] {
  let text = "";
  let quoted = false;
  let at = start;
  while (at < line.length && !isBlank(line[at])) {
    const character = line[at] as string;
    if (character === '"' || character === "'") {
      const [part, end] = readQuoted(line, at, character);
      text += part;
      quoted = true;
      at = end;
    } else if (character === "\\") {
      text += escapedAt(line, at);
      quoted = true;
      at += 2;
    } else {
      text += character;
      at++;
    }
  }
  return [{ text, quoted }, at];
}

/** Reads from the opening quote at `start`; the end is behind the closing one. Only double quotes know escapes. */
function readQuoted(line: string, start: number, quote: string): [text: string, end: number] {
  let text = "";
  for (let at = start + 1; at < line.length; at++) {
    const character = line[at] as string;
    if (character === quote) return [text, at + 1];
    if (character !== "\\" || quote === "'") {
      text += character;
      continue;
    }
    const next = escapedAt(line, at);
    text += ESCAPES[next] ?? (next === '"' || next === "\\" ? next : `\\${next}`);
    at++;
  }
  const shown = line.slice(start, start + 20);
  throw new UsageError(`the quote that opens at ${shown}${line.length > start + 20 ? "…" : ""} is never closed`, {
    hint: `close it with ${quote}, or write \\${quote} for the character itself`,
  });
}

function escapedAt(line: string, backslash: number): string {
  const next = line[backslash + 1];
  if (next === undefined) {
    throw new UsageError("the line ends in a backslash", { hint: "write \\\\ for the character itself" });
  }
  return next;
}

function skipBlanks(line: string, start: number): number {
  let at = start;
  while (at < line.length && isBlank(line[at])) at++;
  return at;
}

function isBlank(character: string | undefined): boolean {
  return character !== undefined && /\s/.test(character);
}
