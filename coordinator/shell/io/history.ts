// History across sessions: a file of lines, oldest first, that only its owner can read, since lines hold keys and values.
// Appending lets several shells write at once; the file is cut back to its bound when a shell starts. A history that cannot be
// read or written never keeps the shell from working.
import { appendFileSync, chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Lines kept. */
export const HISTORY_LINES_MAX = 1_000;
/** Longest line worth keeping: a value of a megabyte is nothing to scroll back to. */
const HISTORY_LINE_CHARS_MAX = 4_096;

export interface History {
  /** Lines of earlier sessions, newest first: the order that readline wants. */
  readonly lines: readonly string[];
  /** Remembers a line, unless it begins with a blank, is too long or repeats the one before. */
  add(line: string): void;
}

/** @param file Where it is kept; undefined: for this session only. */
export function openHistory(file: string | undefined): History {
  const lines = file === undefined ? [] : load(file);
  let last = lines.at(-1);
  return {
    lines: lines.toReversed(),
    add: (typed) => {
      const line = typed.trimEnd();
      if (line === "" || /^\s/.test(line) || line.length > HISTORY_LINE_CHARS_MAX || line === last) return;
      last = line;
      if (file !== undefined) quietly(() => appendFileSync(file, `${line}\n`, { mode: 0o600 }));
    },
  };
}

function load(file: string): string[] {
  const text = quietly(() => readFileSync(file, "utf8")) ?? "";
  const all = text.split("\n").filter((line) => line !== "");
  const kept = all.slice(-HISTORY_LINES_MAX);
  quietly(() => {
    mkdirSync(dirname(file), { recursive: true });
    if (all.length > kept.length) rewrite(file, kept);
    if (text !== "") chmodSync(file, 0o600);
  });
  return kept;
}

function rewrite(file: string, lines: readonly string[]): void {
  const next = `${file}.${process.pid}`;
  writeFileSync(next, `${lines.join("\n")}\n`, { mode: 0o600 });
  renameSync(next, file);
}

/** A missing or unwritable history is no failure of the command that was typed. */
function quietly<Result>(action: () => Result): Result | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
