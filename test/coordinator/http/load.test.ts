import { expect, test } from "vitest";
import { loadBetween } from "../../../coordinator/http/console/load.ts";
import { Metrics } from "../../../coordinator/metrics.ts";

const record = (metrics: Metrics, operation: "get" | "put", times: number, ms: number): void => {
  for (let count = 0; count < times; count++) metrics.record(operation, "quorum", "ok", { startedAt: 0, now: ms });
};

test("rates and quantiles are those of what happened in between, whatever was before", () => {
  const metrics = new Metrics();
  record(metrics, "get", 1_000, 60_000);
  const before = metrics.series();
  record(metrics, "get", 98, 1);
  record(metrics, "put", 1, 1);
  metrics.record("put", "all", "failed", { startedAt: 0, now: 500 });
  const load = loadBetween(before, metrics.series(), 2);
  expect(load).toMatchObject({ readsPerSecond: 49, writesPerSecond: 1, errorsPerSecond: 0.5 });
  expect(load.p50Ms).toBeGreaterThan(0.5);
  expect(load.p50Ms).toBeLessThan(1.1);
  expect(load.p99Ms).toBeLessThan(1.1);
});

test("the slowest hundredth shows in p99, to within its bucket", () => {
  const metrics = new Metrics();
  record(metrics, "get", 97, 1);
  record(metrics, "get", 3, 400);
  const { p99Ms } = loadBetween([], metrics.series(), 1);
  expect(p99Ms).toBeGreaterThan(256);
  expect(p99Ms).toBeLessThanOrEqual(525);
});

test("without operations there are rates of zero and no quantiles", () => {
  const metrics = new Metrics();
  record(metrics, "get", 5, 1);
  const series = metrics.series();
  const nothing = { readsPerSecond: 0, writesPerSecond: 0, errorsPerSecond: 0, p50Ms: null, p99Ms: null };
  expect(loadBetween(series, series, 1)).toEqual(nothing);
  expect(loadBetween([], [], 1)).toEqual(nothing);
});
