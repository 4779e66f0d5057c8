// etcd under its own load tool, `etcdctl check perf`, and ours under the same work right before and right after it.
import { spawn } from "node:child_process";
import { meanOf } from "./average.ts";
import { OURS, rateOf, type Single } from "./figures.ts";
import type { LoadProcess } from "./load-process.ts";
import { type Store, versionOf } from "./store.ts";
import { LIKE_ETCD_TOOL } from "./workload.ts";

/** Of ours, before and after; the tool takes a minute. */
const TURN_MS = 15_000;
const WARM_MS = 2_000;

/** None where the tool is not installed. */
export async function besideItsOwnTool(etcd: Store, ours: Store, load: LoadProcess): Promise<Single[]> {
  const { target, roles } = ours;
  if (versionOf("etcdctl", "version") === undefined || etcd.http === null || target === null) return [];
  const turn = async (seed: number): Promise<number> => {
    const order = { target, workload: LIKE_ETCD_TOOL, seed, warmMs: WARM_MS, measureMs: TURN_MS };
    return rateOf(await load.measure(order, roles));
  };
  const before = await turn(1);
  const theirs = await putsOf(etcd.http);
  const rate = meanOf([before, await turn(2)]);
  return [
    { name: "etcd: puts by its own load tool, 500 clients, 1 KB", value: theirs, unit: "/s" },
    { name: `${OURS}: the same before and after it`, value: rate, unit: "/s" },
    { name: `${OURS}: of what etcd does by its own load tool`, value: rate / theirs, unit: "×" },
  ];
}

/** Puts a second: 500 clients, values of 1 KB, for a minute. */
async function putsOf(endpoint: string): Promise<number> {
  const env = { ...process.env, ETCDCTL_API: "3" };
  const args = ["check", "perf", "--load=l", `--endpoints=${endpoint}`];
  const child = spawn("etcdctl", args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const output of [child.stdout, child.stderr])
    output.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await new Promise((resolve) => child.once("close", resolve)); // its status is that of its own bars: not of interest
  const rate = /throughput (?:is )?(?:too low: )?(\d+) writes\/s/i.exec(text)?.[1];
  if (rate === undefined) throw new Error(`etcdctl check perf said no throughput: ${text.slice(-200)}`);
  return Number(rate);
}
