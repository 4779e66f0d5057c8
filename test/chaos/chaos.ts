// Chaos: real processes under load, killed with SIGKILL or stopped with SIGSTOP at random moments, and a verdict on what clients
// were told. The seed draws who is struck, when, and for how long; the machine decides the rest, so a seed does not replay a run.
//
// Who is struck: a storage node (nothing may fail then), the leader (the standby takes over: the time without an acknowledgement is
// the failover gap), the standby, a leader or node that stands still for a while and wakes up as a zombie, several at once, now and
// then everything. What never dies is the promise: nothing acknowledged is lost, every key is linearizable.
import { setTimeout as sleep } from "node:timers/promises";
import { closeClusters, ClusterProcess } from "../support/cluster-process.ts";
import { seededRandom } from "../support/random.ts";
import { Load, type LoadReport, type Verdict } from "../support/load.ts";
import type { NodeProcess } from "../support/node-process.ts";

export interface ChaosOptions {
  /** How long clients ask. */
  readonly seconds: number;
  /** Strikes, spread over that time. */
  readonly kills: number;
  readonly seed: number;
  /** One kind of strike, and no other: one of STRIKE_NAMES. */
  readonly only?: string | undefined;
  /** Takes a line whenever something was done. */
  readonly tell: (line: string) => void;
}

export interface ChaosResult {
  readonly kills: number;
  /** Longest time without an acknowledgement around each kill of the leader. */
  readonly failoverMs: readonly number[];
  readonly report: LoadReport;
  readonly verdict: Verdict;
}

const NODES = 3;
const COORDINATORS = 2;
/** As much as gives the kills something to interrupt, on few cores. */
const LOAD = { clients: 3, callers: 24, keys: 48 };
/** A node or standby stays dead for up to this. */
const DEAD_MS_MAX = 3_000;
/** Who stands still does so for this long at least, and up to twice: past every time-out. */
const FROZEN_MS_MIN = 1_500;

/** One way to strike. Ends when everything runs again, but is not yet healthy. @returns who was struck */
interface Strike {
  readonly name: string;
  /** How often, among all. */
  readonly weight: number;
  /** Whether the leader is killed and a standby there: the gap is a failover's. */
  readonly failover: boolean;
  readonly carryOut: (stage: Stage) => Promise<string>;
}

interface Stage {
  readonly cluster: ClusterProcess;
  readonly leader: string;
  readonly standby: string;
  readonly node: string;
  /** How long the victim is away. */
  readonly deadMs: number;
}

const STRIKES: readonly Strike[] = [
  { name: "node", weight: 6, failover: false, carryOut: killNode },
  {
    name: "leader",
    weight: 9,
    failover: true,
    carryOut: async (stage) => {
      await killCoordinator(stage, stage.leader);
      return "the leader";
    },
  },
  {
    name: "standby",
    weight: 2,
    failover: false,
    carryOut: async (stage) => {
      await killCoordinator(stage, stage.standby);
      return "the standby";
    },
  },
  {
    name: "leader-and-node",
    weight: 2,
    failover: true,
    carryOut: async (stage) => {
      const [node] = await Promise.all([killNode(stage), killCoordinator(stage, stage.leader)]);
      return `the leader and ${node}`;
    },
  },
  {
    name: "frozen-leader",
    weight: 2,
    failover: false,
    carryOut: async ({ cluster, leader, deadMs }) => {
      await freeze(cluster.coordinatorOf(leader), deadMs);
      return "the leader, which stood still";
    },
  },
  {
    name: "frozen-node",
    weight: 2,
    failover: false,
    carryOut: async ({ cluster, node, deadMs }) => {
      await freeze(cluster.node(node), deadMs);
      return `node ${node}, which stood still`;
    },
  },
  {
    name: "both-coordinators",
    weight: 1,
    failover: false,
    carryOut: async (stage) => {
      const { cluster, leader, standby } = stage;
      await Promise.all([killCoordinator(stage, leader), killCoordinator(stage, standby)]);
      await cluster.leader();
      return "both coordinators";
    },
  },
  {
    name: "everything",
    weight: 1,
    failover: false,
    carryOut: async ({ cluster }) => {
      await cluster.killAll();
      await cluster.startAll();
      return "everything";
    },
  },
];

/** For `only`. */
export const STRIKE_NAMES: readonly string[] = STRIKES.map(({ name }) => name);

async function killNode({ cluster, node, deadMs }: Stage): Promise<string> {
  await cluster.kill(node);
  await sleep(deadMs);
  await cluster.startNode(node);
  return `node ${node}`;
}

async function killCoordinator({ cluster, deadMs }: Stage, name: string): Promise<void> {
  await cluster.killCoordinator(name);
  await sleep(deadMs);
  await cluster.startCoordinator(name);
}

async function freeze({ child }: NodeProcess, ms: number): Promise<void> {
  child.kill("SIGSTOP");
  await sleep(FROZEN_MS_MIN + (ms * FROZEN_MS_MIN) / DEAD_MS_MAX);
  child.kill("SIGCONT");
}

/** Runs it and ends every process. @throws Error when the cluster does not come back after a kill */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  try {
    const cluster = await ClusterProcess.start({ nodes: NODES, coordinators: COORDINATORS });
    const load = await Load.start({ addresses: cluster.addresses, seed: options.seed, ...LOAD });
    try {
      const struck = await strikeAtRandom(cluster, load, options);
      const report = await load.stop();
      await cluster.healthy();
      return { ...struck, report, verdict: await load.verdict() };
    } finally {
      await load.close();
    }
  } finally {
    await closeClusters();
  }
}

/** One strike after the other, each mended before the next; then the rest of the time without any. */
async function strikeAtRandom(
  cluster: ClusterProcess,
  load: Load,
  options: ChaosOptions,
): Promise<Pick<ChaosResult, "kills" | "failoverMs">> {
  const { seconds, kills, seed, only, tell } = options;
  const strikes = STRIKES.filter(({ name }) => only === undefined || name === only);
  const random = seededRandom(seed);
  const startedAt = performance.now();
  const spanMs = (seconds * 1_000) / (kills + 1);
  const passed = (): number => performance.now() - startedAt;
  const failoverMs: number[] = [];
  let done = 0;
  while (done < kills && passed() < seconds * 1_000) {
    await sleep(Math.max(0, spanMs * (done + 0.5 + random()) - passed()));
    const stage = await drawStage(cluster, random);
    const strike = draw(strikes, random);
    const atMs = passed();
    load.gapMs();
    const who = await strike.carryOut(stage);
    await cluster.healthy();
    await cluster.standbys(COORDINATORS - 1);
    done++;
    const gapMs = load.gapMs();
    if (strike.failover) failoverMs.push(gapMs);
    tell(`${inSeconds(atMs)}  struck ${who}: longest gap ${gapMs} ms, all well after ${inSeconds(passed() - atMs)}`);
  }
  await sleep(Math.max(0, seconds * 1_000 - passed()));
  return { kills: done, failoverMs };
}

async function drawStage(cluster: ClusterProcess, random: () => number): Promise<Stage> {
  const leader = await cluster.leader();
  const standby = cluster.coordinatorNames.find((name) => name !== leader) ?? leader;
  const node = cluster.nodeIds[Math.floor(random() * cluster.nodeIds.length)] ?? "";
  return { cluster, leader, standby, node, deadMs: random() * DEAD_MS_MAX };
}

function draw(strikes: readonly Strike[], random: () => number): Strike {
  let left = random() * strikes.reduce((sum, { weight }) => sum + weight, 0);
  const drawn = strikes.find(({ weight }) => (left -= weight) < 0);
  if (drawn === undefined) throw new Error("the weights do not add up");
  return drawn;
}

function inSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** Whether the promise was kept. */
export function isClean({ lost, risen, violation }: Verdict): boolean {
  return lost.length === 0 && risen.length === 0 && violation === undefined;
}

/** The figures, one a line. */
export function summary({ kills, failoverMs, report, verdict }: ChaosResult): string[] {
  const { lost, risen, violation, keys, history } = verdict;
  const writes = history.filter(({ op, outcome }) => op !== "get" && outcome === "ok").length;
  const errors = [...report.errors].map(([code, { count, first }]) => `  ${count} × ${code}, such as: ${first}`);
  return [
    `kills         ${kills}`,
    `operations    ${report.operations}`,
    `acknowledged  ${report.acknowledged}, of these ${writes} writes at quorum`,
    `unknown       ${report.unknown}`,
    `failed        ${report.failed}`,
    ...errors,
    `lost          ${lost.length}${shown(lost)}`,
    `risen         ${risen.length}${shown(risen)}`,
    `longest gap   ${report.longestGapMs} ms`,
    `failovers     ${failoverMs.length}${percentiles(failoverMs)}`,
    `linearizable  ${violation === undefined ? `all ${keys} keys` : `no: ${violation}`}`,
  ];
}

function percentiles(times: readonly number[]): string {
  if (times.length === 0) return "";
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string => `${sorted[Math.ceil(sorted.length * share) - 1]} ms`;
  return `: gap p50 ${at(0.5)}, p99 ${at(0.99)}`;
}

function shown(keys: readonly string[]): string {
  return keys.length === 0 ? "" : `: ${keys.slice(0, 10).join(", ")}${keys.length > 10 ? ", …" : ""}`;
}
