// Chaos: real processes under load, killed with SIGKILL at random moments, and a verdict on what clients were told.
// The seed draws who dies, when, and for how long; the machine decides the rest, so a seed does not replay a run.
//
// Who dies: most often one storage node (nothing may fail then), or the coordinator, which is started again at once; now
// and then both, or everything. What never dies is the promise: nothing acknowledged is lost, every key is linearizable.
import { setTimeout as sleep } from "node:timers/promises";
import { closeClusters, ClusterProcess } from "../support/cluster-process.ts";
import { seededRandom } from "../support/engine-random.ts";
import { Load, type LoadReport, type Verdict } from "../support/load.ts";

export interface ChaosOptions {
  /** How long clients ask. */
  readonly seconds: number;
  /** Kills, spread over that time. */
  readonly kills: number;
  readonly seed: number;
  /** Takes a line whenever something was done. */
  readonly tell: (line: string) => void;
}

export interface ChaosResult {
  readonly kills: number;
  readonly report: LoadReport;
  readonly verdict: Verdict;
}

const NODES = 3;
/** A node stays dead for up to this. */
const DEAD_MS_MAX = 3_000;

type Victim = "node" | "coordinator" | "node and coordinator" | "everything";

/** A list to draw from: as often as it is named. */
const VICTIMS: readonly Victim[] = [
  ...Array.from({ length: 11 }, () => "node" as const),
  ...Array.from({ length: 5 }, () => "coordinator" as const),
  "node and coordinator",
  "node and coordinator",
  "everything",
  "everything",
];

/** Runs it and ends every process. @throws Error when the cluster does not come back after a kill */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  try {
    const cluster = await ClusterProcess.start({ nodes: NODES });
    const load = await Load.start({ addresses: [cluster.address], seed: options.seed });
    try {
      const kills = await killAtRandom(cluster, load, options);
      const report = await load.stop();
      await cluster.healthy();
      return { kills, report, verdict: await load.verdict() };
    } finally {
      await load.close();
    }
  } finally {
    await closeClusters();
  }
}

/** One kill after the other, each mended before the next; then the rest of the time without any. */
async function killAtRandom(cluster: ClusterProcess, load: Load, options: ChaosOptions): Promise<number> {
  const { seconds, kills, seed, tell } = options;
  const random = seededRandom(seed);
  const startedAt = performance.now();
  const spanMs = (seconds * 1_000) / (kills + 1);
  const passed = (): number => performance.now() - startedAt;
  let done = 0;
  while (done < kills && passed() < seconds * 1_000) {
    await sleep(Math.max(0, spanMs * (done + 0.5 + random()) - passed()));
    const atMs = passed();
    load.gapMs();
    const who = await killAndMend(cluster, random);
    done++;
    const upMs = passed() - atMs;
    tell(`${inSeconds(atMs)}  killed ${who}: longest gap ${load.gapMs()} ms, all up again after ${inSeconds(upMs)}`);
  }
  await sleep(Math.max(0, seconds * 1_000 - passed()));
  return done;
}

/** @returns Who died. */
async function killAndMend(cluster: ClusterProcess, random: () => number): Promise<string> {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const victim = pick(VICTIMS);
  const node = pick(cluster.nodeIds);
  const deadMs = random() * DEAD_MS_MAX;
  if (victim === "everything") {
    await cluster.killAll();
    await cluster.startAll();
    await cluster.healthy();
    return "everything";
  }
  const withNode = victim !== "coordinator";
  await Promise.all([
    ...(withNode ? [cluster.kill(node)] : []),
    ...(victim === "node" ? [] : [cluster.killCoordinator().then(() => cluster.startCoordinator())]),
  ]);
  if (withNode) {
    await sleep(deadMs);
    await cluster.startNode(node);
  }
  await cluster.healthy();
  return victim === "coordinator" ? victim : victim.replace("node", `node ${node}`);
}

function inSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** Whether the promise was kept. */
export function isClean({ lost, risen, violation }: Verdict): boolean {
  return lost.length === 0 && risen.length === 0 && violation === undefined;
}

/** The figures, one a line. */
export function summary({ kills, report, verdict }: ChaosResult): string[] {
  const { lost, risen, violation, keys } = verdict;
  const errors = [...report.errors].map(([code, { count, first }]) => `  ${count} × ${code}, such as: ${first}`);
  return [
    `kills         ${kills}`,
    `operations    ${report.operations}`,
    `acknowledged  ${report.acknowledged}`,
    `unknown       ${report.unknown}`,
    `failed        ${report.failed}`,
    ...errors,
    `lost          ${lost.length}${shown(lost)}`,
    `risen         ${risen.length}${shown(risen)}`,
    `longest gap   ${report.longestGapMs} ms`,
    `linearizable  ${violation === undefined ? `all ${keys} keys` : `no: ${violation}`}`,
  ];
}

function shown(keys: readonly string[]): string {
  return keys.length === 0 ? "" : `: ${keys.slice(0, 10).join(", ")}${keys.length > 10 ? ", …" : ""}`;
}
