// Rounds: every store takes its turn under the same workload, again and again, so that what else the machine does meets all
// of them alike.
import { type Row, rowOf } from "./figures.ts";
import type { LoadProcess, RunFigures } from "./load-process.ts";
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
  const runs: Record<string, RunFigures[]> = {};
  for (let round = 1; round <= plan.rounds; round++) {
    for (const { name, target, roles } of stores) {
      if (target === null) continue;
      const { measureMs } = plan;
      const figures = await load.measure(
        { target, workload, seed: ++seed, warmMs: measureMs * WARM_SHARE, measureMs },
        roles,
      );
      (runs[name] ??= []).push(figures);
      const rate = short(figures.operations / figures.seconds);
      plan.note(`${workload.name} · round ${round} · ${name}: ${rate}/s, p99 ${figures.p99Ms.toFixed(1)} ms`);
    }
  }
  return rowOf(workload.name, runs);
}
