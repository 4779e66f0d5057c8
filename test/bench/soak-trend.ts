// What a soak's samples say: whether memory and files are as large at the end as they were early on. The first fifth is left out:
// caches fill then. Pure.
import { meanOf } from "./average.ts";

/** One look at everything, by name: `node A, resident MiB`. */
export interface SoakSample {
  readonly minute: number;
  readonly sizes: Readonly<Record<string, number>>;
}

export interface Trend {
  readonly name: string;
  /** Means of the second and of the last fifth of the run. */
  readonly second: number;
  readonly last: number;
  /** How much more the last is; below zero where it is less. */
  readonly percent: number;
}

const FIFTHS = 5;

/** @param samples In order, at even distances. At least five. */
export function trendsOf(samples: readonly SoakSample[]): Trend[] {
  return Object.keys(samples[0]?.sizes ?? {}).map((name) => {
    const sizes = samples.map((sample) => sample.sizes[name] ?? 0);
    const [second, last] = [meanOf(fifthOf(sizes, 1)), meanOf(fifthOf(sizes, FIFTHS - 1))];
    return { name, second, last, percent: second > 0 ? (last / second - 1) * 100 : 0 };
  });
}

/** @param fifth From 0. */
function fifthOf(values: readonly number[], fifth: number): number[] {
  const edge = (at: number): number => Math.round((values.length * at) / FIFTHS);
  return values.slice(edge(fifth), edge(fifth + 1));
}
