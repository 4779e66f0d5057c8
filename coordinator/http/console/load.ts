// Load: rates and latencies between two looks at the counters, for charts. The counters only grow, so a difference of two of them is what
// happened in between; quantiles come from the differences of the buckets, which double, with even spread within a bucket.
import type { LatencySeries } from "../../metrics.ts";

export interface Load {
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  /** Failed or of unknown outcome. */
  readonly errorsPerSecond: number;
  /** Over reads and writes; null where there were none. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

const READS: readonly string[] = ["get", "scan"];

export function loadBetween(before: readonly LatencySeries[], after: readonly LatencySeries[], seconds: number): Load {
  const old = new Map(before.map((series) => [nameOf(series), series]));
  const sums = { reads: 0, writes: 0, errors: 0 };
  const buckets: number[] = [];
  for (const series of after) {
    const past = old.get(nameOf(series));
    const count = series.count - (past?.count ?? 0);
    if (READS.includes(series.operation)) sums.reads += count;
    else sums.writes += count;
    if (series.outcome !== "ok") sums.errors += count;
    series.buckets.forEach((bucket, index) => {
      buckets[index] = (buckets[index] ?? 0) + bucket.count - (past?.buckets[index]?.count ?? 0);
    });
  }
  const bounds = after[0]?.buckets.map(({ upToSeconds }) => upToSeconds * 1_000) ?? [];
  const total = sums.reads + sums.writes;
  return {
    readsPerSecond: sums.reads / seconds,
    writesPerSecond: sums.writes / seconds,
    errorsPerSecond: sums.errors / seconds,
    p50Ms: quantile(0.5, { bounds, buckets, total }),
    p99Ms: quantile(0.99, { bounds, buckets, total }),
  };
}

function nameOf({ operation, level, outcome }: LatencySeries): string {
  return `${operation} ${level} ${outcome}`;
}

interface Counted {
  /** Upper bounds in ms, growing. */
  readonly bounds: readonly number[];
  /** How many were at most as long as each bound. */
  readonly buckets: readonly number[];
  readonly total: number;
}

function quantile(share: number, { bounds, buckets, total }: Counted): number | null {
  if (total === 0) return null;
  const wanted = share * total;
  const index = buckets.findIndex((count) => count >= wanted);
  if (index === -1) return bounds.at(-1) ?? null;
  const [from = 0, to = 0] = [bounds[index - 1], bounds[index]];
  const [below = 0, upTo = 0] = [buckets[index - 1], buckets[index]];
  return from + ((to - from) * (wanted - below)) / Math.max(1, upTo - below);
}
