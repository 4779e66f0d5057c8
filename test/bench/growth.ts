// Growth: what an operation costs where there are more keys, more nodes, larger values. Every step has a cluster of its own, filled
// first; then puts over keys that exist, gets, and puts of keys that do not exist. Memory is read before the latter: it is that
// of so many keys.
import { setTimeout as sleep } from "node:timers/promises";
import { type GrowthRow, OURS } from "./figures.ts";
import { type GrowthAxes, type GrowthStep, stepsOf } from "./growth-plan.ts";
import { cpuSeconds } from "./process-figures.ts";
import type { LoadProcess } from "./load-process.ts";
import { type Plan, measureRow } from "./rounds.ts";
import { largestNodeMiB } from "./singles.ts";
import type { HoldfastStore } from "./holdfast-store.ts";
import type { Systems } from "./systems.ts";
import { type Work, type Workload, workload } from "./workload.ts";

const PUTS_IN_FLIGHT = 256;
const GETS_IN_FLIGHT = 64;
const LOOK_MS = 1_000;
/** Nodes that use less of a core together have nothing left to do. */
const CALM_CORES = 0.1;
const CALM_LOOKS = 2;
const CALM_MS_MAX = 60_000;

export async function growth(systems: Systems, axes: GrowthAxes, plan: Plan): Promise<GrowthRow[]> {
  const load = systems.load();
  const rows: GrowthRow[] = [];
  for (const step of stepsOf(axes)) {
    const store = await systems.holdfast(step.nodes);
    rows.push(...(await measureStep(step, store, load, plan)));
    await systems.stop(store);
  }
  return rows;
}

/** Waits for what was written before: checkpoints go on after the last acknowledgement, and are no cost of what is measured next. */
async function calm({ roles }: HoldfastStore): Promise<void> {
  const nodes = roles.filter(({ role }) => role === "nodes");
  const spent = (): number => nodes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  for (let waited = 0, looks = 0; looks < CALM_LOOKS && waited < CALM_MS_MAX; waited += LOOK_MS) {
    const before = spent();
    await sleep(LOOK_MS);
    looks = spent() - before < CALM_CORES * (LOOK_MS / 1_000) ? looks + 1 : 0;
  }
}

async function measureStep(
  step: GrowthStep,
  store: HoldfastStore,
  load: LoadProcess,
  plan: Plan,
): Promise<GrowthRow[]> {
  const { keys, nodes, valueBytes } = step;
  const about = `${keys} keys of ${valueBytes} B on ${nodes} nodes`;
  plan.note(`growth · filling in ${about} …`);
  if (store.target !== null) await load.fill(store.target, keys, valueBytes);
  const figures = async (work: Work, inFlight: number, choice: Workload["choice"]): Promise<GrowthRow["figures"]> => {
    await calm(store);
    const asked = workload(`${choice} ${work} · ${about}`, work, inFlight, { keys, valueBytes, choice });
    const { stores } = await measureRow(asked, { load, stores: [store] }, plan);
    return stores[OURS] as GrowthRow["figures"];
  };
  const put = await figures("put", PUTS_IN_FLIGHT, "uniform");
  const get = await figures("get", GETS_IN_FLIGHT, "uniform");
  const residentMiB = largestNodeMiB(store);
  const distinct = await figures("put", PUTS_IN_FLIGHT, "distinct");
  const row = { ...step, residentMiB };
  return [
    { ...row, work: "put, repeating", figures: put },
    { ...row, work: "get", figures: get },
    { ...row, work: "put, distinct", figures: distinct },
  ];
}
