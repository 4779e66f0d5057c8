// Half load: what a store bears is measured in a closed loop first, and half of it is asked by schedule then.
import type { HoldfastStore } from "./holdfast-store.ts";
import type { LoadProcess, RunFigures } from "./load-process.ts";
import type { Workload } from "./workload.ts";

const WARM_MS = 1_000;
const PROBE_MS_MAX = 5_000;

/** A store under one workload, and who asks it. */
export interface Paced {
  readonly store: HoldfastStore;
  readonly load: LoadProcess;
  readonly workload: Workload;
}

/** Seeds go on from turn to turn. */
let seed = 2_000;

/** Half of the operations a second that the workload's callers get through. */
export async function halfRate({ store, load, workload }: Paced, spanMs: number): Promise<number> {
  const measureMs = Math.min(PROBE_MS_MAX, spanMs);
  const order = { target: targetOf(store), workload, seed: ++seed, warmMs: WARM_MS, measureMs };
  const { operations, seconds } = await load.measure(order, []);
  return Math.max(1, operations / seconds / 2);
}

/** Asks by schedule. Latencies count from when each operation was due. */
export async function paced({ store, load, workload }: Paced, rate: number, measureMs: number): Promise<RunFigures> {
  const target = targetOf(store);
  const order = { target, workload, seed: ++seed, warmMs: WARM_MS, measureMs, ratePerSecond: rate };
  return await load.measure(order, store.roles);
}

export function targetOf({ target }: HoldfastStore): NonNullable<HoldfastStore["target"]> {
  if (target === null) throw new Error("our own store has an address");
  return target;
}
