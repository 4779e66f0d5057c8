// Latency histogram: counts of durations in log-linear buckets, sixteen to each doubling, so that any quantile is known to within 6 %
// however long the tail. Recording is a shift and an addition: it sits on the path of every operation. Nothing is ever forgotten.

/** Buckets of one doubling, as a power of two. */
const SUB_BITS = 4;
const SUB_BUCKETS = 2 ** SUB_BITS;
/** Longer durations count as this: 35 minutes. */
const MICROSECONDS_MAX = 2 ** 31 - 1;
const BUCKETS = (31 - SUB_BITS + 1) * SUB_BUCKETS;

/**
 * Upper bounds, in milliseconds, at which `cumulative` counts exactly: doublings from 0.128 ms to 67 s. For formats with fixed
 * buckets, such as Prometheus text.
 */
export const BOUNDS_MS: readonly number[] = Array.from({ length: 20 }, (_, index) => (128 * 2 ** index) / 1_000);

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sumMs = 0;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  get sumMs(): number {
    return this.#sumMs;
  }

  get maxMs(): number {
    return this.#maxMs;
  }

  /** @param durationMs At least 0; fractions count. */
  record(durationMs: number): void {
    const index = bucketOf(Math.min(durationMs * 1_000, MICROSECONDS_MAX));
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
    this.#sumMs += durationMs;
    if (durationMs > this.#maxMs) this.#maxMs = durationMs;
  }

  /** Adds what another histogram has counted. */
  add(other: LatencyHistogram): void {
    other.#counts.forEach((count, index) => {
      this.#counts[index] = (this.#counts[index] ?? 0) + count;
    });
    this.#count += other.#count;
    this.#sumMs += other.#sumMs;
    this.#maxMs = Math.max(this.#maxMs, other.#maxMs);
  }

  /**
   * The duration, in milliseconds, that a share of all stayed within: at most 6 % too long, never too short. 0 where nothing was counted.
   * @param share 0–1: 0.99 for p99.
   */
  quantile(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.#count));
    let seen = 0;
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen >= wanted) return Math.min(upperMs(index), this.#maxMs);
    }
    return this.#maxMs;
  }

  /** How many were at most as long as each of `BOUNDS_MS`. */
  cumulative(): number[] {
    let index = 0;
    let seen = 0;
    return BOUNDS_MS.map((boundMs) => {
      for (; index < BUCKETS && upperMs(index) <= boundMs; index++) seen += this.#counts[index] ?? 0;
      return seen;
    });
  }
}

/** Buckets 0–15 are single microseconds; from there on each doubling has sixteen. */
function bucketOf(microseconds: number): number {
  const whole = microseconds | 0;
  if (whole < SUB_BUCKETS) return whole;
  const doubling = 31 - Math.clz32(whole) - SUB_BITS;
  return (doubling + 1) * SUB_BUCKETS + ((whole >> doubling) - SUB_BUCKETS);
}

/** Where a bucket ends. */
function upperMs(index: number): number {
  const doubling = Math.max(0, Math.floor(index / SUB_BUCKETS) - 1);
  const sub = index - doubling * SUB_BUCKETS;
  return ((sub + 1) * 2 ** doubling) / 1_000;
}
