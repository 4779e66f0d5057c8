// Upkeep: what clients lose while the cluster looks after itself. Puts with 64 in flight are measured in turns, upkeep off and on, so that
// what else the machine does meets both alike: while all replicas are compared again and again (`repair`), while a node that was
// dead catches up with what it missed, and while a fourth node takes its share. A loss is that of the medians.
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../support/cluster-process.ts";
import { meanOf, medianOf } from "./average.ts";
import { OURS, rateOf, type Single } from "./figures.ts";
import type { HoldfastStore } from "./holdfast-store.ts";
import type { LoadProcess } from "./load-process.ts";
import { type Workload, workload } from "./workload.ts";

/** Keys there are, and writes in flight meanwhile. */
const KEYS = 200_000;
const WRITERS = 64;
const VALUE_BYTES = 100;
/** Writes that a node misses before it comes back. */
const MISSED = 50_000;
const WARM_MS = 500;
/** One turn; shorter while a node catches up, which lasts seconds. */
const TURN_MS = 3_000;
const SLICE_MS = 1_000;
/** What a rebalance of half a minute is compared with: a turn of 3 s has a checkpoint or none. */
const AFTERWARDS_MS = 10_000;
const LAGGARD = "C";
const IN_STEP_MS_MAX = 120_000;

const WRITING: Workload = workload("put meanwhile", "put", WRITERS, { keys: KEYS });

/** Seeds go on from turn to turn. */
let seed = 1_000;

interface Bench {
  readonly store: HoldfastStore;
  readonly load: LoadProcess;
  readonly rounds: number;
  /** Takes a line about each turn, for those who wait. */
  readonly note: (line: string) => void;
}

/** What comparing, and what catching up, costs the puts of others; and how long a node that is back needs. */
export async function repairCost(bench: Bench): Promise<Single[]> {
  const { store, load, rounds, note } = bench;
  const { cluster, target } = store;
  if (target === null) return [];
  await load.fill(target, KEYS, VALUE_BYTES);
  await inStep(store);
  const rates = { off: [] as number[], comparing: [] as number[], mending: [] as number[] };
  const seconds: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    rates.off.push(await puts(bench, TURN_MS));
    rates.comparing.push(await comparing(bench));
    await cluster.kill(LAGGARD);
    await load.fill(target, MISSED, VALUE_BYTES);
    await cluster.startNode(LAGGARD);
    const caughtUp = await mending(bench);
    rates.mending.push(caughtUp.rate);
    seconds.push(caughtUp.seconds);
    const [off, compared] = [rates.off.at(-1) ?? 0, rates.comparing.at(-1) ?? 0];
    note(
      `repair · round ${round}: ${off.toFixed(0)}/s off, ${compared.toFixed(0)}/s comparing, ${caughtUp.rate.toFixed(0)}/s while a node catches up, which takes ${caughtUp.seconds.toFixed(1)} s`,
    );
  }
  const off = medianOf(rates.off);
  const lost = (on: readonly number[]): number => Math.max(0, (1 - medianOf(on) / off) * 100);
  return [
    {
      name: `${OURS}: puts lost while all replicas are compared, ${WRITERS} writers`,
      value: lost(rates.comparing),
      unit: "%",
    },
    { name: `${OURS}: puts lost while a node catches up with ${MISSED} writes`, value: lost(rates.mending), unit: "%" },
    {
      name: `${OURS}: in step again after ${MISSED} missed writes, under ${WRITERS} writers`,
      value: medianOf(seconds),
      unit: "s",
    },
  ];
}

/** A fourth node takes its share while clients write; puts a second meanwhile, as a share of those before. */
export async function addedNode(bench: Bench): Promise<Single[]> {
  const { store, load, note } = bench;
  const { cluster, target } = store;
  if (target === null) return [];
  await load.fill(target, KEYS, VALUE_BYTES);
  await puts(bench, SLICE_MS);
  const alone = await puts(bench, TURN_MS);
  await cluster.startNode("D");
  const startedMs = performance.now();
  let seconds = 0;
  const adding = cluster.addNode("D").then(() => void (seconds = (performance.now() - startedMs) / 1_000));
  const meanwhile: number[] = [];
  while (seconds === 0) meanwhile.push(await puts(bench, SLICE_MS, 0));
  await adding;
  note(`addnode · ${alone.toFixed(0)}/s before, then ${meanwhile.map((rate) => rate.toFixed(0)).join(", ")}/s`);
  const [operation] = (await cluster.call({ op: "ops" })).operations;
  const inTurn = meanwhile.slice(0, TURN_MS / SLICE_MS);
  // The rebalance over, the fourth node still costs what one more process does on these cores.
  const afterwards = await puts(bench, AFTERWARDS_MS);
  return [
    { name: `${OURS}: addnode of a fourth node, ${KEYS} keys, ${WRITERS} writers`, value: seconds, unit: "s" },
    {
      name: `${OURS}: puts in its first ${TURN_MS / 1_000} s, of those before`,
      value: (meanOf(inTurn) / alone) * 100,
      unit: "%",
    },
    {
      name: `${OURS}: puts while it lasts, of those afterwards`,
      value: (meanOf(meanwhile) / afterwards) * 100,
      unit: "%",
    },
    { name: `${OURS}: a slot's freeze meanwhile, p99`, value: operation?.freezeMs?.p99 ?? 0, unit: "ms" },
  ];
}

/** Puts a second. */
async function puts({ store, load }: Bench, measureMs: number, warmMs = WARM_MS): Promise<number> {
  if (store.target === null) return 0;
  const order = { target: store.target, workload: WRITING, seed: ++seed, warmMs, measureMs };
  return rateOf(await load.measure(order, []));
}

async function comparing(bench: Bench): Promise<number> {
  let on = true;
  const again = async (): Promise<void> => {
    while (on) await bench.store.cluster.call({ op: "repair" });
  };
  const repairing = again();
  const rate = await puts(bench, TURN_MS);
  on = false;
  await repairing;
  return rate;
}

/** Puts a second from the laggard's return until it is in step, and how long that takes. */
async function mending(bench: Bench): Promise<{ readonly rate: number; readonly seconds: number }> {
  const startedMs = performance.now();
  let seconds = 0;
  const caughtUp = inStep(bench.store).then(() => void (seconds = (performance.now() - startedMs) / 1_000));
  const rates: number[] = [];
  while (seconds === 0) rates.push(await puts(bench, SLICE_MS, 0));
  await caughtUp;
  // The last slice is longer than what there was to do in it.
  const whole = rates.length > 1 ? rates.slice(0, -1) : rates;
  return { rate: meanOf(whole), seconds };
}

/** Waits until every node has what it missed. */
export async function inStep(store: HoldfastStore): Promise<void> {
  const look = async (): Promise<true | undefined> => {
    await sleep(100); // asking costs, too
    const { nodes } = await store.cluster.call({ op: "status" });
    return nodes.every(({ state, behindMs }) => state === "up" && behindMs === null) ? true : undefined;
  };
  await until("all nodes in step", look, IN_STEP_MS_MAX);
}
