// Rounds: every store takes its turn under the same workload, again and again, so that what else the machine does meets all
// of them alike.
import { setTimeout as sleep } from "node:timers/promises";
import { rateOf, type Row, rowOf } from "./figures.ts";
import type { LoadProcess, Roles, RunFigures } from "./load-process.ts";
import { cpuSeconds } from "./process-figures.ts";
import { short } from "./figure-text.ts";
import type { Store } from "./store.ts";
import type { Workload } from "./workload.ts";

export interface Contestants {
  readonly load: LoadProcess;
  readonly stores: readonly Store[];
}

export interface Plan {
  readonly rounds: number;
  readonly measureMs: number;
  /** Takes a line about each turn, for those who wait. */
  readonly note: (line: string) => void;
}

const WARM_SHARE = 0.25;

/** Before anything is measured: the first seconds of a process are spent on compiling what it does. */
const WARM_UP_MS = 3_000;

/** Seeds go on from turn to turn, so that distinct keys are distinct in the whole run. */
let seed = 0;

/** Has every store do this for a while. */
export async function warmUp(workload: Workload, { load, stores }: Contestants): Promise<void> {
  for (const { target, roles } of stores) {
    if (target === null) continue;
    await load.measure({ target, workload, seed: ++seed, warmMs: 0, measureMs: WARM_UP_MS }, roles);
  }
}

export async function measureRow(workload: Workload, { load, stores }: Contestants, plan: Plan): Promise<Row> {
  const turns = stores.map((store) => ({ name: store.name, store, workload, measureMs: plan.measureMs }));
  return await takeTurns(workload.name, turns, load, plan);
}

/** How much longer turns are of what leaves work for later, or finds what it needs in memory only after a while. */
const LASTING = 5;
/** A store is at rest when its processes take less than this of a core; what it still has to do is waited for so long. */
const REST_SHARE = 0.2;
const REST_LOOK_MS = 300;
const REST_MS_MAX = 20_000;

/**
 * A store beside itself under another workload, by whose name it stands in the row. Each turn begins when the store is at rest, so that none
 * does the work of the one before.
 */
export async function measureBeside(
  workload: Workload,
  usual: Workload,
  { load, store }: { readonly load: LoadProcess; readonly store: Store },
  plan: Plan,
): Promise<Row> {
  const measureMs = plan.measureMs * LASTING;
  const turns = [
    { name: usual.name, store, workload: usual, measureMs, fromRest: true },
    { name: store.name, store, workload, measureMs, fromRest: true },
  ];
  return await takeTurns(workload.name, turns, load, plan);
}

/** What one turn of a round is. */
interface Turn {
  readonly name: string;
  readonly store: Store;
  readonly workload: Workload;
  readonly measureMs: number;
  readonly fromRest?: boolean;
}

async function takeTurns(
  title: string,
  turns: readonly Turn[],
  load: LoadProcess,
  { rounds, note }: Plan,
): Promise<Row> {
  const runs: Record<string, RunFigures[]> = {};
  for (let round = 1; round <= rounds; round++) {
    for (const { name, store, workload, measureMs, fromRest } of turns) {
      const { target, roles } = store;
      if (target === null) continue;
      if (fromRest === true) await atRest(roles);
      const order = { target, workload, seed: ++seed, warmMs: measureMs * WARM_SHARE, measureMs };
      const figures = await load.measure(order, roles);
      (runs[name] ??= []).push(figures);
      note(`${title} · round ${round} · ${name}: ${short(rateOf(figures))}/s, p99 ${figures.p99Ms.toFixed(1)} ms`);
    }
  }
  return rowOf(title, runs);
}

async function atRest(roles: Roles): Promise<void> {
  const spent = (): number => roles.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  const until = performance.now() + REST_MS_MAX;
  let before: number;
  do {
    before = spent();
    await sleep(REST_LOOK_MS);
  } while (spent() - before > (REST_SHARE * REST_LOOK_MS) / 1_000 && performance.now() < until);
}
