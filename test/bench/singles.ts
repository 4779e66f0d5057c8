// Single figures: what is measured once and has no rounds: memory at rest, a fourth node under writes, the first start.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/cluster-process.ts";
import type { Single } from "./figures.ts";
import { OURS } from "./figures.ts";
import type { HoldfastStore } from "./holdfast-store.ts";
import type { LoadProcess } from "./load-process.ts";
import { residentMiB } from "./process-figures.ts";
import { workload } from "./workload.ts";

/** Keys there are when a node is added, and writes in flight meanwhile. */
const MOVED_KEYS = 200_000;
const WRITERS = 64;
const VALUE_BYTES = 100;
const WARM_MS = 1_000;
const MEASURE_MS = 3_000;
const GO_ON_MS = 500;
const UP_MS_MAX = 60_000;

/** Resident memory of an idle node, the largest of them. */
export function idleMemory({ cluster }: HoldfastStore): Single {
  const memory = cluster.nodeIds.map((id) => residentMiB(cluster.node(id).child.pid ?? 0));
  return { name: `${OURS}: idle node, resident`, value: Math.max(...memory), unit: "MiB" };
}

/** A fourth node takes its share while clients write. The second figure: puts a second meanwhile, as a share of those before. */
export async function addedNode(store: HoldfastStore, load: LoadProcess): Promise<Single[]> {
  const { cluster, target } = store;
  if (target === null) return [];
  await load.fill(target, MOVED_KEYS, VALUE_BYTES);
  const writing = workload("put meanwhile", "put", WRITERS, { keys: MOVED_KEYS });
  const alone = await load.measure({ target, workload: writing, seed: 1, warmMs: WARM_MS, measureMs: MEASURE_MS }, []);
  await cluster.startNode("D");
  const startedMs = performance.now();
  let seconds = 0;
  const adding = cluster.addNode("D").then(() => void (seconds = (performance.now() - startedMs) / 1_000));
  const meanwhile = await load.measure({ target, workload: writing, seed: 2, warmMs: 0, measureMs: MEASURE_MS }, []);
  const after = { target, workload: writing, seed: 3, warmMs: 0, measureMs: GO_ON_MS };
  while (seconds === 0) await load.measure(after, []); // writers go on until the node is there
  await adding;
  const share = meanwhile.operations / meanwhile.seconds / (alone.operations / alone.seconds);
  return [
    { name: `${OURS}: addnode of a fourth node, ${MOVED_KEYS} keys, ${WRITERS} writers`, value: seconds, unit: "s" },
    { name: `${OURS}: puts in its first ${MEASURE_MS / 1_000} s, of those before`, value: share * 100, unit: "%" },
  ];
}

/** `./runtime up` in an empty directory, until its shell prompts. */
export async function coldUp(): Promise<Single> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-bench-up-"));
  const runtime = fileURLToPath(new URL("../../../runtime", import.meta.url)); // this file runs from dist/test/bench
  const startedMs = performance.now();
  const child = spawn(process.execPath, [runtime, "up", "--no-http", "--port", String(await freePort())], {
    cwd: folder,
    env: { ...process.env, HOLDFAST_SKIP_BUILD: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  try {
    const value = await new Promise<number>((resolve, reject) => {
      let text = "";
      const limit = setTimeout(() => reject(new Error(`no prompt within ${UP_MS_MAX} ms: ${text}`)), UP_MS_MAX);
      const said = (chunk: string): void => {
        text += chunk;
        if (!text.includes("Copies")) return;
        clearTimeout(limit);
        resolve((performance.now() - startedMs) / 1_000);
      };
      child.stdout.setEncoding("utf8").on("data", said);
      child.stderr.setEncoding("utf8").on("data", said);
      child.stdin.write("status\n");
    });
    return { name: `${OURS}: up from cold, 3 nodes, to the answer of a first command`, value, unit: "s" };
  } finally {
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("close", resolve));
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
