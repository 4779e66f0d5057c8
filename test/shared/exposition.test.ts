import { expect, test } from "vitest";
import { counter, countedBy, expositionText, gauge, histogram, histogramSamples } from "../../shared/exposition.ts";
import { LatencyHistogram } from "../../shared/latency-histogram.ts";
import { readExposition } from "../support/exposition-check.ts";

test("a family is its help, its type and a line for each sample; one without samples is left out", () => {
  const text = expositionText([
    counter("kv_things_total", "Things", { labels: { kind: 'a"b\\c\nd' }, value: 2 }),
    gauge("kv_empty", "Nothing"),
    gauge("kv_level", "Level", { value: 0.5 }),
  ]);
  expect(text).toBe(
    [
      "# HELP kv_things_total Things",
      "# TYPE kv_things_total counter",
      'kv_things_total{kind="a\\"b\\\\c\\nd"} 2',
      "# HELP kv_level Level",
      "# TYPE kv_level gauge",
      "kv_level 0.5",
      "",
    ].join("\n"),
  );
  expect(readExposition(text).complaints).toEqual([]);
});

test("a histogram counts up to each bound, in seconds", () => {
  const latency = new LatencyHistogram();
  for (const ms of [0.1, 1, 100, 100_000]) latency.record(ms);
  const samples = histogramSamples(countedBy(latency), { of: "x" });
  const read = readExposition(expositionText([histogram("kv_wait_seconds", "Wait", ...samples)]));
  expect(read.complaints).toEqual([]);
  expect(read.value("kv_wait_seconds_count", { of: "x" })).toBe(4);
  expect(read.value("kv_wait_seconds_sum")).toBeCloseTo(100.1011);
  expect(read.value("kv_wait_seconds_bucket", { le: "0.000128" })).toBe(1);
  expect(read.value("kv_wait_seconds_bucket", { le: "+Inf" })).toBe(4);
});
