// Exposition: metrics as the text that Prometheus reads (format 0.0.4). Families are put together at the moment of asking, from what the
// process knows then; nothing is kept here. Names are `kv_<noun>_<unit>[_total]`, seconds and bytes; no key is ever a label.
import { assert } from "./assert.ts";
import { BOUNDS_MS, type LatencyHistogram } from "./latency-histogram.ts";

export type Labels = Readonly<Record<string, string>>;

/** One line: a value under the family's name and a suffix. */
export interface Sample {
  readonly suffix?: "_bucket" | "_sum" | "_count";
  readonly labels?: Labels;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** One line. */
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** The media type of `expositionText`. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function counter(name: string, help: string, ...samples: readonly Sample[]): Family {
  assert(name.endsWith("_total"), "a counter says so");
  return { name, type: "counter", help, samples };
}

export function gauge(name: string, help: string, ...samples: readonly Sample[]): Family {
  return { name, type: "gauge", help, samples };
}

export function histogram(name: string, help: string, ...samples: readonly Sample[]): Family {
  return { name, type: "histogram", help, samples };
}

/** What a histogram has counted so far. */
export interface Counted {
  readonly count: number;
  readonly sumSeconds: number;
  /** Counts up to and including each bound, in growing order. */
  readonly buckets: readonly { readonly upToSeconds: number; readonly count: number }[];
}

/** The lines of one histogram. */
export function histogramSamples({ count, sumSeconds, buckets }: Counted, labels: Labels = {}): Sample[] {
  const bucket = (le: string, value: number): Sample => ({ suffix: "_bucket", labels: { ...labels, le }, value });
  return [
    ...buckets.map(({ upToSeconds, count: upTo }) => bucket(String(upToSeconds), upTo)),
    bucket("+Inf", count),
    { suffix: "_sum", labels, value: sumSeconds },
    { suffix: "_count", labels, value: count },
  ];
}

/** What a histogram of ours has counted. */
export function countedBy(latency: LatencyHistogram): Counted {
  const cumulative = latency.cumulative();
  const buckets = BOUNDS_MS.map((boundMs, index) => ({ upToSeconds: boundMs / 1_000, count: cumulative[index] ?? 0 }));
  return { count: latency.count, sumSeconds: latency.sumMs / 1_000, buckets };
}

/** Families without a sample are left out. */
export function expositionText(families: readonly Family[]): string {
  return families
    .filter(({ samples }) => samples.length > 0)
    .map(familyText)
    .join("");
}

function familyText({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ suffix = "", labels = {}, value }) => `${name}${suffix}${labelText(labels)} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
