// How single things are worded: sizes, durations, counts, keys and values. What was stored is never sent to the terminal as it
// is: control characters could move the cursor or retitle the window, so such texts are shown quoted with escapes.
import type { WireValue } from "../../shared/record.ts";
import { valueBytes } from "../../shared/record.ts";

// C0, DEL, C1, line separators, marks that change the writing direction.
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** The text itself, or quoted with escapes where it holds characters that a terminal would obey. */
export function safeText(text: string): string {
  if (text.search(UNSAFE) < 0) return text;
  return JSON.stringify(text).replace(UNSAFE, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** At most `charsMax` characters, cut with an ellipsis. */
export function cut(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const end = /[\ud800-\udbff]/.test(text[charsMax - 2] ?? "") ? charsMax - 2 : charsMax - 1;
  return `${text.slice(0, end)}…`;
}

/** A value for people: as text where it is text, otherwise base64 with a note. */
export function shownValue(value: WireValue): string {
  const text = valueText(value);
  if (text !== undefined) return safeText(text);
  const { base64 } = value as { readonly base64: string };
  return `${base64} (base64 of ${countOf(valueBytes(value), "byte")}: not text)`;
}

/** The value as text; undefined where its bytes are not UTF-8. */
export function valueText(value: WireValue): string | undefined {
  if (typeof value === "string") return value;
  const bytes = Uint8Array.from(atob(value.base64), (character) => character.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined; // not UTF-8 is an answer here, no failure
  }
}

/** `1 slot`, `2 slots`. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `512 B`, `12.3 KiB`, `4.0 MiB`. */
export function sizeText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `0.4 ms`, `12 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function durationText(ms: number): string {
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1_440)} d ${Math.floor((minutes % 1_440) / 60)} h`;
}

/** `33.3%`. */
export function shareText(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

/** At most two decimals, none where it is whole. */
export function roundedText(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** First letter in upper case. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
