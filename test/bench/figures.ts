// Figures of a run of the benchmark: one row a workload, with the medians of its rounds for every store. Pure; the JSON file
// holds exactly this.
import { medianOf } from "./average.ts";
import type { GrowthStep } from "./growth-plan.ts";
import type { RunFigures } from "./load-process.ts";
import type { SoakSample } from "./soak-trend.ts";

/** Medians over the rounds of one store. */
export interface StoreFigures {
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Microseconds an operation, by role. */
  readonly cpuMicros: Readonly<Record<string, number>>;
  /** All rounds together. */
  readonly errors: Readonly<Record<string, number>>;
  /** Operations a second of each round. */
  readonly rounds: readonly number[];
}

export interface Row {
  readonly workload: string;
  readonly stores: Readonly<Record<string, StoreFigures>>;
  /** Ours divided by the peer's, operations a second, and p99: medians of what the rounds came to. */
  readonly ratios: Readonly<Record<string, { readonly throughput: number; readonly p99: number }>>;
}

/** Any other single measurement: `holdfast: addnode to 200 000 keys`. */
export interface Single {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly note?: string;
  /** A promise was not kept, whatever the speed: the run ends with status 1. */
  readonly broken?: true;
}

/** What one kind of operation costs in a cluster of that many keys and nodes: growth.ts. */
export interface GrowthRow extends GrowthStep {
  readonly work: string;
  readonly figures: StoreFigures;
  /** Of the largest node, under that many keys. */
  readonly residentMiB: number;
}

export interface Report {
  readonly format: 1;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
  readonly singles: readonly Single[];
  /** Absent where growth was not measured. */
  readonly growth?: readonly GrowthRow[];
  /** Absent where there was no soak. */
  readonly soak?: readonly SoakSample[];
}

export const OURS = "holdfast";

/** The least value that this share of all does not exceed. @param share Above 0, up to 1. */
export function quantileOf(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? 0;
}

/** @param runs One a round. At least one. */
export function summarize(runs: readonly RunFigures[]): StoreFigures {
  const median = (pick: (run: RunFigures) => number): number => medianOf(runs.map(pick));
  const roles = Object.keys(runs[0]?.cpu ?? {});
  const errors: Record<string, number> = {};
  for (const run of runs)
    for (const [code, count] of Object.entries(run.errors)) errors[code] = (errors[code] ?? 0) + count;
  return {
    opsPerSecond: median(rateOf),
    p50Ms: median(({ p50Ms }) => p50Ms),
    p99Ms: median(({ p99Ms }) => p99Ms),
    p999Ms: median(({ p999Ms }) => p999Ms),
    maxMs: median(({ maxMs }) => maxMs),
    cpuMicros: Object.fromEntries(roles.map((role) => [role, median(({ cpu }) => cpu[role] ?? 0)])),
    errors,
    rounds: runs.map(rateOf),
  };
}

/** @param runs By store, one a round: runs of one round were made one after the other. */
export function rowOf(workload: string, runs: Readonly<Record<string, readonly RunFigures[]>>): Row {
  const filled = Object.entries(runs).filter(([, rounds]) => rounds.length > 0);
  const stores = Object.fromEntries(filled.map(([name, rounds]) => [name, summarize(rounds)]));
  const ours = runs[OURS] ?? [];
  const peers = filled.filter(([name]) => name !== OURS);
  return {
    workload,
    stores,
    ratios: Object.fromEntries(peers.map(([name, theirs]) => [name, ratiosOf(ours, theirs)])),
  };
}

/**
 * A machine is not the same from minute to minute, but nearly so from one turn to the next: what each round comes to is compared within
 * it, and the median of that stands for all.
 */
function ratiosOf(ours: readonly RunFigures[], theirs: readonly RunFigures[]): { throughput: number; p99: number } {
  const median = (pick: (run: RunFigures) => number): number =>
    medianOf(theirs.slice(0, ours.length).map((run, round) => pick(ours[round] as RunFigures) / pick(run)));
  return { throughput: median(rateOf), p99: median(({ p99Ms }) => p99Ms) };
}

/** Operations a second. */
export function rateOf({ operations, seconds }: Pick<RunFigures, "operations" | "seconds">): number {
  return operations / seconds;
}

/** A single figure beside the most that it may be. */
export function barred(single: Single, atMost: number): Single {
  const verdict = single.value <= atMost ? "within" : "OVER";
  return { ...single, note: `${verdict} the bar of ${atMost} ${single.unit}` };
}

/** A count that must be none. */
export function none(name: string, value: number, unit: string): Single {
  return { name, value, unit, ...(value > 0 && { broken: true }) };
}

/** How many operations of a run were not acknowledged, and why. */
export function failures(name: string, errors: RunFigures["errors"]): Single {
  const text = Object.entries(errors).map(([code, count]) => `${count} × ${code}`);
  const value = Object.values(errors).reduce((sum, count) => sum + count, 0);
  return { name: `${name}, failed or unknown`, value, unit: "operations", ...(value > 0 && { note: text.join(", ") }) };
}

/** Rows whose ratio fell by more than this share since the baseline, in words. */
export function fallen(now: Report, baseline: Report, share = 0.25): string[] {
  return now.rows.flatMap(({ workload, ratios }) => {
    const before = baseline.rows.find((row) => row.workload === workload)?.ratios ?? {};
    return Object.entries(ratios).flatMap(([peer, { throughput }]) => {
      const was = before[peer]?.throughput ?? 0;
      if (throughput >= was * (1 - share)) return [];
      return [`${workload}: ${throughput.toFixed(2)} × ${peer}, was ${was.toFixed(2)} ×`];
    });
  });
}
