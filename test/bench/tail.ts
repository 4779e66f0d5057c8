// The tail of puts at half load: how long the slowest take, checkpoints and all, where operations come by schedule; and how much
// longer small ones take beside a writer of the largest values. Turns with and without that writer alternate.
import { setTimeout as sleep } from "node:timers/promises";
import { medianOf } from "./average.ts";
import { barred, failures, OURS, type Single } from "./figures.ts";
import type { LoadProcess } from "./load-process.ts";
import { halfRate, type Paced, paced, targetOf } from "./pace.ts";
import type { Systems } from "./systems.ts";
import { KEYS, VALUE_BYTES, workload } from "./workload.ts";

const P999_MS_MAX = 50;
const BESIDE_LARGE_MAX = 3;
const SMALL = workload("put at half load", "put", 64);
const LARGE = workload("put 1 MiB, 1 in flight", "put", 1, { valueBytes: 1024 * 1024, keys: 64 });
/** By how much the large writer is there before and after what is measured beside it. */
const MARGIN_MS = 2_000;
/** After filling, and after each turn beside the large writer: its checkpoints are no part of the next. */
const SETTLE_MS = 3_000;

export interface TailPlan {
  readonly minutes: number;
  /** Of turns with and without the large writer, and how long one lasts. */
  readonly rounds: number;
  readonly turnMs: number;
  /** Takes a line about each turn, for those who wait. */
  readonly note: (line: string) => void;
}

export async function tail(systems: Systems, plan: TailPlan): Promise<Single[]> {
  const store = await systems.holdfast();
  const load = systems.load();
  await load.fill(targetOf(store), KEYS, VALUE_BYTES);
  const spanMs = plan.minutes * 60_000;
  const small = { store, load, workload: SMALL };
  await sleep(SETTLE_MS);
  const rate = await halfRate(small, spanMs);
  plan.note(`tail · ${rate.toFixed(0)} puts/s, half of what 64 in flight get, for ${plan.minutes} minutes …`);
  const slowest = await tailOf(small, rate, spanMs);
  const beside = await besideLarge(small, systems.load(), rate, plan);
  await systems.stop(store);
  return [{ name: `${OURS}: half load`, value: rate, unit: "puts/s" }, ...slowest, ...beside];
}

async function tailOf(small: Paced, rate: number, spanMs: number): Promise<Single[]> {
  const { p50Ms, p99Ms, p999Ms, maxMs, errors } = await paced(small, rate, spanMs);
  const name = `${OURS}: put at half load`;
  return [
    { name: `${name}, p50`, value: p50Ms, unit: "ms" },
    { name: `${name}, p99`, value: p99Ms, unit: "ms" },
    barred({ name: `${name}, p99.9`, value: p999Ms, unit: "ms" }, P999_MS_MAX),
    { name: `${name}, max`, value: maxMs, unit: "ms" },
    failures(name, errors),
  ];
}

/** The small puts keep their schedule; the large writer, in a process of its own, asks again as soon as it was answered. */
async function besideLarge(small: Paced, writer: LoadProcess, rate: number, plan: TailPlan): Promise<Single[]> {
  const { rounds, turnMs, note } = plan;
  const alone: number[] = [];
  const beside: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    await sleep(SETTLE_MS);
    alone.push((await paced(small, rate, turnMs)).p99Ms);
    const writing = writer.measure(
      { target: targetOf(small.store), workload: LARGE, seed: round, warmMs: 0, measureMs: turnMs + MARGIN_MS },
      [],
    );
    const [{ p99Ms }, { operations, seconds }] = await Promise.all([paced(small, rate, turnMs), writing]);
    beside.push(p99Ms);
    note(
      `tail · round ${round}: p99 ${alone.at(-1)?.toFixed(1)} ms alone, ${p99Ms.toFixed(1)} ms beside ${(operations / seconds).toFixed(1)} MiB/s`,
    );
  }
  const name = `${OURS}: small put at half load, p99`;
  const ratio = medianOf(beside) / medianOf(alone);
  return [
    { name: `${name}, alone`, value: medianOf(alone), unit: "ms" },
    { name: `${name}, beside a writer of 1 MiB values`, value: medianOf(beside), unit: "ms" },
    barred({ name: `${name}, beside / alone`, value: ratio, unit: "×" }, BESIDE_LARGE_MAX),
  ];
}
