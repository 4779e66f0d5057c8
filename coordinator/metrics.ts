// Metrics: how many operations of each kind were answered at each level, with which outcome, and how long that took, since this
// process began. `rows` serves the `metrics` command, `series` an exposition with fixed buckets; both read the same numbers. Latency is
// from the turn in which the line came in to the turn in which its answer left. No key ever appears.
import { assert } from "../shared/assert.ts";
import { BOUNDS_MS, LatencyHistogram } from "../shared/latency-histogram.ts";
import type { Level, OperationMetrics } from "../shared/protocol/client-messages.ts";

const OPERATIONS = ["get", "put", "delete", "scan"] as const;
/** `-`: the operation has no levels. */
const METRIC_LEVELS = ["one", "quorum", "all", "-"] as const;
const METRIC_OUTCOMES = ["ok", "failed", "unknown"] as const;

export type MeasuredOperation = (typeof OPERATIONS)[number];
/** NOT_FOUND is an answer: ok. */
export type MeasuredOutcome = (typeof METRIC_OUTCOMES)[number];

/** The rate is the average over so many whole seconds. */
const RATE_SECONDS = 10;

/** One histogram with fixed buckets, as Prometheus wants it. */
export interface LatencySeries {
  readonly operation: MeasuredOperation;
  readonly level: Level | "-";
  readonly outcome: MeasuredOutcome;
  readonly count: number;
  readonly sumSeconds: number;
  /** Counts up to and including each bound; the last, without a bound, is `count`. */
  readonly buckets: readonly { readonly upToSeconds: number; readonly count: number }[];
}

/** What was counted of one operation at one level. */
interface Row {
  readonly operation: MeasuredOperation;
  readonly level: Level | "-";
  readonly latencies: Readonly<Record<MeasuredOutcome, LatencyHistogram>>;
  readonly rate: Rate;
}

export class Metrics {
  /** By operation and then level; each made when first used. */
  readonly #rows: (Row | undefined)[] = [];

  /**
   * Counts one answered operation.
   * @param time When it came in and when its answer left, milliseconds of one monotonic clock.
   */
  record(
    operation: MeasuredOperation,
    level: Level | "-",
    outcome: MeasuredOutcome,
    { startedAt, now }: { readonly startedAt: number; readonly now: number },
  ): void {
    const index = rank(operation, level);
    const row = (this.#rows[index] ??= newRow(operation, level));
    row.latencies[outcome].record(now - startedAt);
    row.rate.count(now);
  }

  /** What the `metrics` command shows. */
  rows(now: number): OperationMetrics[] {
    return this.#used().map(({ operation, level, latencies, rate }) => {
      const all = new LatencyHistogram();
      for (const outcome of METRIC_OUTCOMES) all.add(latencies[outcome]);
      return {
        operation,
        level,
        ok: latencies.ok.count,
        failed: latencies.failed.count,
        unknown: latencies.unknown.count,
        perSecond: rate.perSecond(now),
        p50Ms: rounded(all.quantile(0.5)),
        p99Ms: rounded(all.quantile(0.99)),
        maxMs: rounded(all.maxMs),
      };
    });
  }

  /** The same as histograms with fixed buckets, those without a count left out. */
  series(): LatencySeries[] {
    return this.#used().flatMap(({ operation, level, latencies }) =>
      METRIC_OUTCOMES.filter((outcome) => latencies[outcome].count > 0).map((outcome) => {
        const latency = latencies[outcome];
        const cumulative = latency.cumulative();
        const buckets = BOUNDS_MS.map((boundMs, index) => ({
          upToSeconds: boundMs / 1_000,
          count: cumulative[index] ?? 0,
        }));
        return { operation, level, outcome, count: latency.count, sumSeconds: latency.sumMs / 1_000, buckets };
      }),
    );
  }

  #used(): Row[] {
    return this.#rows.filter((row) => row !== undefined);
  }
}

function rank(operation: MeasuredOperation, level: Level | "-"): number {
  return OPERATIONS.indexOf(operation) * METRIC_LEVELS.length + METRIC_LEVELS.indexOf(level);
}

function newRow(operation: MeasuredOperation, level: Level | "-"): Row {
  const latencies = { ok: new LatencyHistogram(), failed: new LatencyHistogram(), unknown: new LatencyHistogram() };
  return { operation, level, latencies, rate: new Rate() };
}

/** Counts by second, the latest few of them. */
class Rate {
  /** One more than is averaged: the present second is not over. */
  readonly #counts = new Float64Array(RATE_SECONDS + 1);
  #second = Number.NEGATIVE_INFINITY;
  #first = Number.POSITIVE_INFINITY;

  count(now: number): void {
    this.#advance(now);
    const index = this.#second % this.#counts.length;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** Average over the seconds that are over; over the present one while it is the first. */
  perSecond(now: number): number {
    this.#advance(now);
    const present = this.#counts[this.#second % this.#counts.length] ?? 0;
    const seconds = Math.min(RATE_SECONDS, this.#second - this.#first);
    if (seconds === 0) return present;
    return (this.#counts.reduce((sum, count) => sum + count, 0) - present) / seconds;
  }

  #advance(now: number): void {
    const second = Math.floor(now / 1_000);
    assert(second >= 0, "the clock is not negative");
    if (second === this.#second) return;
    const from = Math.max(this.#second + 1, second - this.#counts.length + 1);
    for (let passed = from; passed <= second; passed++) this.#counts[passed % this.#counts.length] = 0;
    this.#second = second;
    this.#first = Math.min(this.#first, second);
  }
}

/** To a microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
