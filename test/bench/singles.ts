// Single figures, which no peer has a turn beside: memory at rest, the first start.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/cluster-process.ts";
import { medianOf } from "./average.ts";
import type { Single } from "./figures.ts";
import { OURS } from "./figures.ts";
import type { HoldfastStore } from "./holdfast-store.ts";
import { residentMiB } from "./process-figures.ts";

const UP_MS_MAX = 60_000;

/** Resident memory of an idle node, the largest of them. */
export function idleMemory(store: HoldfastStore): Single {
  return { name: `${OURS}: idle node, resident`, value: largestNodeMiB(store), unit: "MiB" };
}

export function largestNodeMiB({ cluster }: HoldfastStore): number {
  return Math.max(...cluster.nodeIds.map((id) => residentMiB(cluster.node(id).child.pid ?? 0)));
}

/** `./runtime up` in an empty directory, until its shell answers: the median of some starts. */
export async function coldUp(starts: number): Promise<Single> {
  const seconds: number[] = [];
  while (seconds.length < starts) seconds.push(await secondsUp());
  const value = medianOf(seconds);
  return { name: `${OURS}: up from cold, 3 nodes, to the answer of a first command`, value, unit: "s" };
}

async function secondsUp(): Promise<number> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-bench-up-"));
  const runtime = fileURLToPath(new URL("../../../runtime", import.meta.url)); // this file runs from dist/test/bench
  const startedMs = performance.now();
  const child = spawn(process.execPath, [runtime, "up", "--no-http", "--port", String(await freePort())], {
    cwd: folder,
    env: { ...process.env, HOLDFAST_SKIP_BUILD: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  try {
    return await new Promise<number>((resolve, reject) => {
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
  } finally {
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("close", resolve));
    fs.rmSync(folder, { recursive: true, force: true });
  }
}
