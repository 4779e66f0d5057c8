// What the bench measures alone, without a store: flags, the schedule of an open loop, steps of growth, trends of a soak, bars.
import { expect, test } from "vitest";
import { barred, failures, fallen, none, quantileOf, type GrowthRow, type Report } from "./figures.ts";
import { BASELINE, parseFlags } from "./flags.ts";
import { stepsOf } from "./growth-plan.ts";
import { growthTableOf } from "./growth-text.ts";
import { issuerOf } from "./issuer.ts";
import { tableOf } from "./report-text.ts";
import { dueMs, dueWithin } from "./schedule.ts";
import { type SoakSample, trendsOf } from "./soak-trend.ts";
import { workload } from "./workload.ts";

test("flags: what is not asked for is usual, and what makes no sense is refused", () => {
  expect(parseFlags([])).toMatchObject({ only: "", rounds: 5, seconds: 3, kills: 20, quick: false });
  expect(parseFlags(["--quick"])).toMatchObject({ rounds: 1, seconds: 2 });
  expect(parseFlags(["--only", "tail"])).toMatchObject({ minutes: 10 });
  expect(parseFlags(["--only", "soak"])).toMatchObject({ minutes: 60 });
  expect(parseFlags(["--only", "soak", "--minutes", "0.2"])).toMatchObject({ minutes: 0.2 });
  expect(parseFlags(["--check", "--quick"])).toMatchObject({ check: BASELINE, quick: true });
  expect(parseFlags(["--keys", "10000,100000", "--nodes", "3"])).toMatchObject({
    growth: { keys: [10_000, 100_000], nodes: [3], values: [100, 1_024, 65_536] },
  });
  for (const wrong of [["--keys", "10k"], ["--nodes", ""], ["--kills", "0"], ["--minutes", "-1"], ["--nothing"]])
    expect(parseFlags(wrong), wrong.join(" ")).toBeTypeOf("string");
});

test("schedule: an operation is due at its moment, not before it, at whatever rate", () => {
  expect([dueWithin(-1, 10), dueWithin(0, 10), dueWithin(99, 10), dueWithin(100, 10)]).toEqual([0, 1, 1, 2]);
  for (const rate of [0.3, 7, 999.9, 12_345.6]) {
    for (const index of [0, 1, 2, 99, 12_345]) {
      expect(dueWithin(dueMs(index, rate), rate), `${index} at ${rate}`).toBe(index + 1);
      if (index > 0) expect(dueWithin(dueMs(index, rate) - 0.001, rate), `before ${index} at ${rate}`).toBe(index);
    }
  }
});

test("growth: one axis grows at a time, from what is usual, and large values are fewer", () => {
  const usual = { keys: 100_000, nodes: 3, valueBytes: 100 };
  const axes = { keys: [10_000, 100_000], nodes: [1, 3], values: [100, 65_536] };
  expect(stepsOf(axes)).toEqual([
    usual,
    { ...usual, keys: 10_000 },
    { ...usual, nodes: 1 },
    { ...usual, keys: 2_048, valueBytes: 65_536 },
  ]);
  expect(stepsOf({ keys: [500], nodes: [1], values: [10] })).toEqual([{ keys: 500, nodes: 1, valueBytes: 10 }]);
});

function growthRow(keys: number, micros: number): GrowthRow {
  const cpuMicros = { load: 1, nodes: micros - 1 };
  const latencies = { p50Ms: 1, p99Ms: 2, p999Ms: 3, maxMs: 4 };
  const figures = { opsPerSecond: 1_000, ...latencies, cpuMicros, errors: {}, rounds: [1_000] };
  return { keys, nodes: 3, valueBytes: 100, work: "get", residentMiB: 80, figures };
}

test("growth: the table compares the CPU of each step with the first of the same, and a report without growth has none", () => {
  const growth = [growthRow(100_000, 10), growthRow(1_000_000, 15)];
  expect(growthTableOf(growth)[3]).toMatch(
    /^get +1000000 +3 +100 +1000 +1\.00 +2\.00 +80 +1\.50 +load 1\.0 · nodes 14\.0$/,
  );
  const report: Report = { format: 1, machine: {}, versions: {}, rows: [], singles: [] };
  expect(tableOf({ ...report, growth })).toEqual(growthTableOf(growth));
  expect(tableOf(report)).toEqual([]);
  expect(fallen({ ...report, growth }, report)).toEqual([]);
});

test("soak: the last fifth is compared with the second", () => {
  const samples: SoakSample[] = [50, 60, 100, 100, 70, 70, 70, 70, 120, 130].map((size, minute) => ({
    minute,
    sizes: { "node A": size, gone: 0 },
  }));
  expect(trendsOf(samples)).toEqual([
    { name: "node A", second: 100, last: 125, percent: 25 },
    { name: "gone", second: 0, last: 0, percent: 0 },
  ]);
  expect(trendsOf([])).toEqual([]);
});

test("bars are said and break nothing; what must be none breaks the run", () => {
  const slow = barred({ name: "p99", value: 60, unit: "ms" }, 50);
  expect([slow.note, slow.broken]).toEqual(["OVER the bar of 50 ms", undefined]);
  expect(barred({ name: "p99", value: 50, unit: "ms" }, 50).note).toBe("within the bar of 50 ms");
  expect([none("lost", 1, "writes").broken, none("lost", 0, "writes").broken]).toEqual([true, undefined]);
  expect(failures("puts", { TIMEOUT: 2, SHED: 1 })).toMatchObject({ value: 3, note: "2 × TIMEOUT, 1 × SHED" });
  expect(quantileOf([3, 1, 2], 0.5)).toBe(2);
  expect(quantileOf([3, 1, 2], 0.99)).toBe(3);
});

test("churn: a fifth deletes, and values of any size within their bounds", async () => {
  const sizes: number[] = [];
  let removed = 0;
  const caller = {
    put: async (_: readonly string[], value: string) => void sizes.push(value.length),
    get: async () => {},
    remove: async () => void removed++,
    replace: async () => {},
  };
  const issue = issuerOf(workload("w", "churn", 1, { valueBytesMin: 10, valueBytes: 20 }), 1);
  for (let turn = 0; turn < 1_000; turn++) await issue(caller);
  expect([removed, sizes.length]).toEqual([200, 800]);
  expect([Math.min(...sizes), Math.max(...sizes)]).toEqual([10, 20]);
});
