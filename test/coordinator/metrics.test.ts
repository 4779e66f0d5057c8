import { expect, test } from "vitest";
import { Metrics } from "../../coordinator/metrics.ts";
import { simulateSlots } from "../../shared/limits.ts";
import { World, type Message } from "../simulation/world.ts";

simulateSlots(64);

const at = (startedAt: number, now: number): { startedAt: number; now: number } => ({ startedAt, now });

test("operations are counted by kind, level and outcome, in a fixed order", () => {
  const metrics = new Metrics();
  metrics.record("scan", "-", "ok", at(0, 5));
  metrics.record("put", "quorum", "unknown", at(0, 2_000));
  for (let count = 0; count < 98; count++) metrics.record("put", "quorum", "ok", at(10, 11));
  metrics.record("put", "quorum", "failed", at(10, 12));
  metrics.record("get", "one", "ok", at(10, 10.5));
  const rows = metrics.rows(2_000);
  expect(rows.map(({ operation, level }) => `${operation} ${level}`)).toEqual(["get one", "put quorum", "scan -"]);
  expect(rows[1]).toMatchObject({ ok: 98, failed: 1, unknown: 1, maxMs: 2_000 });
  expect(rows[1]?.p50Ms).toBeCloseTo(1, 1);
  expect(rows[1]?.p99Ms).toBeLessThan(2.2);
});

test("the rate is that of the latest ten whole seconds", () => {
  const metrics = new Metrics();
  for (let now = 5_000; now < 25_000; now += 10) metrics.record("get", "quorum", "ok", at(now, now));
  expect(metrics.rows(25_000)[0]?.perSecond).toBe(100);
  expect(metrics.rows(30_000)[0]?.perSecond).toBe(50);
  expect(metrics.rows(60_000)[0]?.perSecond).toBe(0);
});

test("in its first second the rate is what was counted", () => {
  const metrics = new Metrics();
  for (let count = 0; count < 7; count++) metrics.record("get", "quorum", "ok", at(4_000, 4_100));
  expect(metrics.rows(4_500)[0]?.perSecond).toBe(7);
});

test("series are cumulative histograms with fixed buckets, one for each outcome that occurred", () => {
  const metrics = new Metrics();
  metrics.record("put", "all", "ok", at(0, 3));
  metrics.record("put", "all", "ok", at(0, 300_000));
  metrics.record("put", "all", "failed", at(0, 1));
  const series = metrics.series();
  expect(series.map(({ outcome, count, sumSeconds }) => [outcome, count, sumSeconds])).toEqual([
    ["ok", 2, 300.003],
    ["failed", 1, 0.001],
  ]);
  const buckets = series[0]?.buckets ?? [];
  expect(buckets.filter(({ upToSeconds }) => upToSeconds < 0.003).every(({ count }) => count === 0)).toBe(true);
  expect(buckets.filter(({ upToSeconds }) => upToSeconds > 0.005).every(({ count }) => count === 1)).toBe(true);
});

test("the metrics command shows what clients were answered, and the numbers survive a new epoch", () => {
  const world = new World(41);
  world.addNode("127.0.0.1:5001");
  world.startCoordinator();
  expect(world.ask({ op: "metrics" })).toMatchObject({ code: "NO_CLUSTER" });
  world.ask({ op: "addnode", node: "A", address: "127.0.0.1:5001" });
  const empty = world.ask({ op: "metrics" });
  expect(empty).toMatchObject({ status: "ok", operations: [], epoch: 1, inFlight: 0, queued: 0, shed: 0, fixes: 0 });
  world.ask({ op: "put", key: "k", value: "v" });
  world.ask({ op: "put", key: "k", value: "v", ifAbsent: true });
  world.ask({ op: "get", key: "k", consistency: "all" });
  world.ask({ op: "get", key: "nothing" });
  world.ask({ op: "scan" });
  const shown = world.ask({ op: "metrics" })["operations"] as readonly Message[];
  expect(shown.map(({ operation, level, ok, failed }) => [operation, level, ok, failed])).toEqual([
    ["get", "quorum", 1, 0],
    ["get", "all", 1, 0],
    ["put", "quorum", 1, 1],
    ["scan", "-", 1, 0],
  ]);
  expect(shown.every(({ p50Ms, maxMs }) => Number(p50Ms) > 0 && Number(p50Ms) <= Number(maxMs))).toBe(true);
});
