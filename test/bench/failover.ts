// Failover: the leader is killed under writers that never pause, again and again; how long until the standby has acknowledged a
// write, and that nothing acknowledged was lost. `npm run chaos` kills much more, at random, and judges histories; here only the
// leader dies, every time in the same way, so that the times can be compared.
//
// Timed from the kill to the first acknowledgement of a write that was issued after it: what a dead leader still had on the
// way does not count.
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterProcess, until } from "../support/cluster-process.ts";
import { barred, none, OURS, quantileOf, type Single } from "./figures.ts";
import { Writers } from "./writers.ts";

const NODES = 3;
const COORDINATORS = 2;
const P99_MS_MAX = 3_000;
/** Between two kills: writes flow, and a standby follows. */
const CALM_MS = 1_000;

/** @param note Takes a line about each kill. */
export async function failover(kills: number, note: (line: string) => void): Promise<Single[]> {
  const cluster = await ClusterProcess.start({ nodes: NODES, coordinators: COORDINATORS });
  const writers = await Writers.start(cluster.addresses);
  try {
    const times: number[] = [];
    for (let kill = 1; kill <= kills; kill++) {
      await sleep(CALM_MS);
      const ms = await killLeader(cluster, writers);
      times.push(ms);
      const { failed, unknown } = writers.outcomes;
      note(`failover · kill ${kill}: ${ms.toFixed(0)} ms; so far ${failed} failed, ${unknown} unknown`);
    }
    const { acknowledged, failed, unknown } = writers.outcomes;
    note(`failover · reading back ${acknowledged} acknowledged writes …`);
    return singlesOf(times, { failed, unknown, acknowledged, lost: await writers.lost() });
  } finally {
    await writers.close();
    await cluster.close();
  }
}

/** @returns milliseconds until the standby acknowledged a write; when it comes back, the one that was killed stands by. */
async function killLeader(cluster: ClusterProcess, writers: Writers): Promise<number> {
  const leader = await cluster.leader();
  const killed = cluster.killCoordinator(leader);
  const killedMs = performance.now();
  const acknowledgedMs = await writers.acknowledgedFromNow();
  await killed;
  await cluster.startCoordinator(leader);
  await cluster.standbys(COORDINATORS - 1);
  await until(`${leader} to stand by`, async () => ((await cluster.roleOf(leader)) === "standby" ? true : undefined));
  return acknowledgedMs - killedMs;
}

function singlesOf(
  times: readonly number[],
  counts: { readonly acknowledged: number; readonly failed: number; readonly unknown: number; readonly lost: number },
): Single[] {
  const name = `${OURS}: leader killed, to the first write acknowledged by the standby`;
  const at = (share: number): number => quantileOf(times, share);
  return [
    { name: `${name}, p50 of ${times.length}`, value: at(0.5), unit: "ms" },
    barred({ name: `${name}, p99`, value: at(0.99), unit: "ms" }, P99_MS_MAX),
    { name: `${name}, max`, value: at(1), unit: "ms" },
    { name: `${OURS}: writes acknowledged meanwhile`, value: counts.acknowledged, unit: "writes" },
    { name: `${OURS}: writes failed meanwhile`, value: counts.failed, unit: "writes" },
    { name: `${OURS}: writes unknown meanwhile`, value: counts.unknown, unit: "writes" },
    none(`${OURS}: acknowledged writes not read back`, counts.lost, "writes"),
  ];
}
