// Soak: values of many sizes overwritten and deleted at half load, for as long as is asked. What grows without need shows in the
// samples: memory of every process, files of every node; and at the end all replicas are compared.
import { setTimeout as sleep } from "node:timers/promises";
import { barred, failures, none, OURS, type Report, type Single } from "./figures.ts";
import type { HoldfastStore } from "./holdfast-store.ts";
import type { LoadProcess, RunFigures } from "./load-process.ts";
import { halfRate, paced, targetOf } from "./pace.ts";
import { directoryMiB, residentMiB } from "./process-figures.ts";
import { type SoakSample, trendsOf } from "./soak-trend.ts";
import type { Systems } from "./systems.ts";
import { inStep } from "./upkeep.ts";
import { workload } from "./workload.ts";

const KEYS = 200_000;
const CHURN = workload("churn at half load", "churn", 64, { keys: KEYS, valueBytesMin: 100, valueBytes: 4_096 });
/** Of the values that keys are filled in with: the mean of what overwrites them. */
const FILLED_BYTES = 2_048;
const GROWTH_PERCENT_MAX = 10;
const SAMPLE_MS_MAX = 60_000;
const SAMPLES_MIN = 20;
const SETTLE_MS_MAX = 15_000;
const LOAD = "load";

/** @param note Takes a line about each sample. */
export async function soak(
  systems: Systems,
  minutes: number,
  note: (line: string) => void,
): Promise<Pick<Report, "singles" | "soak">> {
  const store = await systems.holdfast();
  const load = systems.load();
  const spanMs = minutes * 60_000;
  note(`soak · filling in ${KEYS} keys …`);
  await load.fill(targetOf(store), KEYS, FILLED_BYTES);
  const churn = { store, load, workload: CHURN };
  await sleep(Math.min(SETTLE_MS_MAX, spanMs)); // filling goes on in checkpoints, and half of a busy store's load is not half load
  const rate = await halfRate(churn, spanMs);
  note(`soak · ${rate.toFixed(0)} operations/s, half of what 64 in flight get, for ${minutes} minutes …`);
  const churning = paced(churn, rate, spanMs);
  const [figures, samples] = await Promise.all([churning, sampled(store, load, { spanMs, note })]);
  const compared = await differences(store);
  await systems.stop(store);
  return { singles: [...singlesOf(rate, figures), ...growthOf(samples), ...compared], soak: samples };
}

/** Looks again and again: once a minute, more often in a short run. */
async function sampled(
  store: HoldfastStore,
  load: LoadProcess,
  { spanMs, note }: { readonly spanMs: number; readonly note: (line: string) => void },
): Promise<SoakSample[]> {
  const everyMs = Math.min(SAMPLE_MS_MAX, spanMs / SAMPLES_MIN);
  const startedMs = performance.now();
  const samples: SoakSample[] = [];
  for (let count = 1; count * everyMs <= spanMs; count++) {
    await sleep(Math.max(0, startedMs + count * everyMs - performance.now()));
    const sample = { minute: (count * everyMs) / 60_000, sizes: sizesOf(store, load) };
    samples.push(sample);
    const text = Object.entries(sample.sizes).map(([name, size]) => `${name} ${size.toFixed(0)}`);
    note(`soak · minute ${sample.minute.toFixed(2)}: ${text.join(" · ")}`);
  }
  return samples;
}

function sizesOf({ cluster }: HoldfastStore, load: LoadProcess): Record<string, number> {
  const ids = cluster.nodeIds;
  return Object.fromEntries([
    ...ids.map((id) => [`node ${id}, resident MiB`, residentMiB(cluster.node(id).child.pid ?? 0)]),
    ["coordinator, resident MiB", residentMiB(cluster.coordinator.child.pid ?? 0)],
    [`${LOAD}, resident MiB`, residentMiB(load.pid)],
    ...ids.map((id) => [`node ${id}, files MiB`, directoryMiB(cluster.dataOf(id))]),
  ]) as Record<string, number>;
}

function singlesOf(rate: number, { p99Ms, p999Ms, errors }: RunFigures): Single[] {
  return [
    { name: `${OURS}: soak, half load`, value: rate, unit: "operations/s" },
    { name: `${OURS}: soak, p99`, value: p99Ms, unit: "ms" },
    { name: `${OURS}: soak, p99.9`, value: p999Ms, unit: "ms" },
    failures(`${OURS}: soak`, errors),
  ];
}

/** The load's own memory is measured, too, but is not what is judged. */
function growthOf(samples: readonly SoakSample[]): Single[] {
  return trendsOf(samples)
    .filter(({ name }) => !name.startsWith(LOAD))
    .map(({ name, percent }) =>
      barred({ name: `${OURS}: soak, ${name}, last fifth over second`, value: percent, unit: "%" }, GROWTH_PERCENT_MAX),
    );
}

/** Compares all replicas once every node has everything that it missed. */
async function differences(store: HoldfastStore): Promise<Single[]> {
  await inStep(store);
  const { slotsDifferent, slotsLeft } = await store.cluster.call({ op: "repair" });
  return [
    none(`${OURS}: soak, replicas that differ at the end`, Number(slotsDifferent), "slots"),
    none(`${OURS}: soak, replicas that could not be compared`, Number(slotsLeft), "slots"),
  ];
}
