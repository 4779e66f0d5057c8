// Growth as people read it: what each step costs, and how that stands to the first step's. Pure.
import { cpuText, errorsText, inColumns, short } from "./figure-text.ts";
import type { GrowthRow, StoreFigures } from "./figures.ts";

const HEAD = [
  "growth",
  "keys",
  "nodes",
  "value B",
  "ops/s",
  "p50 ms",
  "p99 ms",
  "node MiB",
  "CPU ×",
  "CPU µs/op (by role)",
];

/** Grouped by what was asked; `CPU ×` is all roles together against the first step of the same. */
export function growthTableOf(rows: readonly GrowthRow[]): string[] {
  if (rows.length === 0) return [];
  const works = [...new Set(rows.map(({ work }) => work))];
  const lines = works.flatMap((work) => {
    const steps = rows.filter((row) => row.work === work);
    const first = costOf(steps[0]?.figures);
    return steps.map((row) => lineOf(row, first));
  });
  return inColumns([HEAD, ...lines], (column) => column === 0 || column === HEAD.length - 1);
}

function lineOf({ work, keys, nodes, valueBytes, figures, residentMiB }: GrowthRow, first: number): string[] {
  return [
    work,
    String(keys),
    String(nodes),
    String(valueBytes),
    short(figures.opsPerSecond),
    figures.p50Ms.toFixed(2),
    figures.p99Ms.toFixed(2),
    residentMiB.toFixed(0),
    first > 0 ? (costOf(figures) / first).toFixed(2) : "",
    cpuText(figures) + errorsText(figures),
  ];
}

function costOf(figures: StoreFigures | undefined): number {
  return Object.values(figures?.cpuMicros ?? {}).reduce((sum, micros) => sum + micros, 0);
}
