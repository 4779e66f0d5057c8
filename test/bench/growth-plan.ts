// Which steps growth is measured in: keys, nodes and the size of values grow one at a time from what is usual, so that each step
// says what one of them costs. Pure.
import { KEYS, VALUE_BYTES } from "./workload.ts";

export interface GrowthAxes {
  readonly keys: readonly number[];
  readonly nodes: readonly number[];
  /** Bytes of a value. */
  readonly values: readonly number[];
}

/** One cluster of its own. */
export interface GrowthStep {
  readonly keys: number;
  readonly nodes: number;
  readonly valueBytes: number;
}

const NODES = 3;
/** Where values grow there are fewer of them: a step of 64 KB is about large values, not about a full disk. */
const FILLED_BYTES_MAX = 128 * 1024 * 1024;

/** @param axes At least one number each; where the usual one is not among them, the first stands for it. */
export function stepsOf(axes: GrowthAxes): GrowthStep[] {
  const base = {
    keys: usual(axes.keys, KEYS),
    nodes: usual(axes.nodes, NODES),
    valueBytes: usual(axes.values, VALUE_BYTES),
  };
  const others = (numbers: readonly number[], but: number): number[] => numbers.filter((number) => number !== but);
  const fitting = (valueBytes: number): number => Math.min(base.keys, Math.floor(FILLED_BYTES_MAX / valueBytes));
  return [
    base,
    ...others(axes.keys, base.keys).map((keys) => ({ ...base, keys })),
    ...others(axes.nodes, base.nodes).map((nodes) => ({ ...base, nodes })),
    ...others(axes.values, base.valueBytes).map((valueBytes) => ({ ...base, keys: fitting(valueBytes), valueBytes })),
  ];
}

function usual(numbers: readonly number[], number: number): number {
  return numbers.includes(number) ? number : (numbers[0] ?? number);
}
