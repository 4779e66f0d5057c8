// Figures as text: numbers in few digits, and columns as wide as their widest cell. Pure.
import type { StoreFigures } from "./figures.ts";

/** Four digits at most, then thousands. */
export function short(value: number): string {
  if (value >= 10_000) return `${(value / 1_000).toFixed(1)} k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

export function cpuText({ cpuMicros }: StoreFigures): string {
  return Object.entries(cpuMicros)
    .map(([role, micros]) => `${role} ${micros.toFixed(1)}`)
    .join(" · ");
}

export function errorsText({ errors }: StoreFigures): string {
  const text = Object.entries(errors).map(([code, count]) => `${count} × ${code}`);
  return text.length === 0 ? "" : ` · errors: ${text.join(", ")}`;
}

/** @param lines The first is the head, and is underlined. @param isText Which columns are set to the left. */
export function inColumns(lines: readonly (readonly string[])[], isText: (column: number) => boolean): string[] {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  const pad = (cell: string, column: number): string =>
    isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  const [head = "", ...text] = lines.map((line) => line.map(pad).join("  ").trimEnd());
  return [head, "-".repeat(head.length), ...text];
}
