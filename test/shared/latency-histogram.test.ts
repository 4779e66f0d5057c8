import { expect, test } from "vitest";
import { BOUNDS_MS, LatencyHistogram } from "../../shared/latency-histogram.ts";
import { seeded } from "../simulation/random.ts";

test("quantiles are never too short and at most 6.25 % too long", () => {
  const seed = 20_261_121;
  const random = seeded(seed);
  const durations = Array.from({ length: 5_000 }, () => 0.016 * 10 ** (random() * 6));
  const histogram = new LatencyHistogram();
  for (const duration of durations) histogram.record(duration);
  const sorted = [...durations].sort((a, b) => a - b);
  for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
    const found = histogram.quantile(share);
    expect(found, `seed ${seed}, share ${share}`).toBeGreaterThanOrEqual(exact);
    expect(found, `seed ${seed}, share ${share}`).toBeLessThanOrEqual(exact * 1.0626 + 0.001);
  }
  expect(histogram.count).toBe(5_000);
  expect(histogram.maxMs).toBe(sorted.at(-1));
  expect(histogram.sumMs).toBeCloseTo(durations.reduce((sum, duration) => sum + duration, 0));
});

test("fixed buckets count exactly what was at most as long as their bound", () => {
  const random = seeded(7);
  const durations = Array.from({ length: 2_000 }, () => 0.05 * 10 ** (random() * 7));
  const histogram = new LatencyHistogram();
  for (const duration of durations) histogram.record(duration);
  expect(histogram.cumulative()).toEqual(
    BOUNDS_MS.map((boundMs) => durations.filter((duration) => duration < boundMs).length),
  );
});

test("nothing counted gives zeros; no time at all and more than the longest are counted", () => {
  const histogram = new LatencyHistogram();
  expect([histogram.count, histogram.quantile(0.5), histogram.maxMs]).toEqual([0, 0, 0]);
  histogram.record(0);
  expect(histogram.quantile(1)).toBe(0);
  histogram.record(10_000_000);
  expect(histogram.quantile(1)).toBeGreaterThan(2_000_000);
  expect(histogram.cumulative().at(-1)).toBe(1);
});

test("histograms add up", () => {
  const one = new LatencyHistogram();
  const other = new LatencyHistogram();
  one.record(1);
  other.record(100);
  one.add(other);
  expect([one.count, one.sumMs, one.maxMs]).toEqual([2, 101, 100]);
  expect(one.quantile(0.5)).toBeLessThan(1.1);
});
