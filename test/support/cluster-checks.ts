// What every test of a cluster of real processes does around its scenario: load with a seed, the verdict at the end, and
// an end to all of it whatever happened.
import { expect } from "vitest";
import { connect, type KvClient } from "../../shared/client/connect.ts";
import { closeClusters, type ClusterProcess } from "./cluster-process.ts";
import { Load, type LoadOptions, type LoadReport } from "./load.ts";

/** Of what clients ask. When processes do what, no seed decides: a failure may need several runs to come back. */
export const SEED = Number(process.env["HOLDFAST_SEED"] ?? Date.now() % 2 ** 31);

const loads: Load[] = [];

/**
 * Of loads whose every operation is to be served: given longer than it may take, so that a machine that stands still is not taken for a
 * cluster that does.
 */
export const PATIENT: Partial<LoadOptions> = { timeoutMs: 30_000 };
/** What an operation may take where nothing worse happens than a node's death. */
const SERVED_MS_MAX = 2_000;

/** Clients of a cluster, as many as its machine bears; closed by `closeEverything`. */
export async function loadOn(cluster: ClusterProcess, options: Partial<LoadOptions> = {}): Promise<Load> {
  const load = await Load.start({ addresses: cluster.addresses, seed: SEED, ...options });
  loads.push(load);
  return load;
}

/** For `afterEach`, and `afterAll` where tests share a cluster. @param but That one, which goes on after a test */
export async function closeEverything(but?: ClusterProcess): Promise<void> {
  await Promise.all([...loads.splice(0).map((load) => load.close()), closeClusters(but)]);
}

/** Reads everything back: nothing acknowledged is missing, nothing that failed is there, every key has an order. */
export async function expectKept(load: Load): Promise<void> {
  const { lost, risen, violation } = await load.verdict();
  expect({ lost, risen, violation }, `seed ${SEED}`).toEqual({ lost: [], risen: [], violation: undefined });
}

/** Every operation of a patient load was acknowledged, none of them late: none failed, none is in doubt. */
export function expectAllServed({ failed, unknown, errors, slowestMs }: LoadReport): void {
  expect({ failed, unknown }, `seed ${SEED}: ${JSON.stringify([...errors])}`).toEqual({ failed: 0, unknown: 0 });
  expect(slowestMs).toBeLessThan(SERVED_MS_MAX);
}

const FILL_AT_A_TIME = 1_000;
const filledKey = (index: number): string => `filled:${index}`;
const filledValue = (index: number): string => `${"x".repeat(100)} ${index}`;

/** Writes so many keys of 100 bytes, pipelined. */
export async function fill(cluster: ClusterProcess, count: number): Promise<void> {
  await inPages(cluster, count, async (kv, index) => void (await kv.put(filledKey(index), filledValue(index))));
}

/** Every key of `fill` is there, to the letter. */
export async function expectFilled(cluster: ClusterProcess, count: number): Promise<void> {
  const wrong: string[] = [];
  await inPages(cluster, count, async (kv, index) => {
    const entry = await kv.get(filledKey(index));
    if (entry?.text() !== filledValue(index)) wrong.push(filledKey(index));
  });
  expect(wrong).toEqual([]);
}

async function inPages(
  cluster: ClusterProcess,
  count: number,
  each: (kv: KvClient, index: number) => Promise<void>,
): Promise<void> {
  const kv = await connect(cluster.addresses, { timeoutMs: 10_000 });
  for (let from = 0; from < count; from += FILL_AT_A_TIME) {
    const size = Math.min(FILL_AT_A_TIME, count - from);
    await Promise.all(Array.from({ length: size }, (_, offset) => each(kv, from + offset)));
  }
  await kv.close();
}
