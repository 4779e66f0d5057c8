// The order of a storage node's system calls: whatever it acknowledges was written to the log before, by a write that
// ended synced (O_DSYNC), or was followed by a sync that ended. SIGKILL never shows this: the system keeps unsynced writes.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { connect } from "../../shared/client/connect.ts";
import { WRITE_FIELDS } from "../../shared/protocol/compact.ts";
import { closeEverything } from "../support/cluster-checks.ts";
import { ClusterProcess } from "../support/cluster-process.ts";
import { parseTrace, straceInto, type SystemCall } from "../support/system-calls.ts";

const ROUNDS = 40;
const WRITES_A_ROUND = 25;

const traceable = spawnSync("strace", ["-f", "-o", "/dev/null", "true"]).status === 0;
const title = "N4: each acknowledgement of a write begins after its sync has ended";

afterEach(() => closeEverything());

/** Keys of the test that a text names. */
const keysIn = (text: string): string[] => text.match(/traced:\d+/g) ?? [];

/** When each key was on disk: the line of the trace at which the sync of its log write had ended. */
function syncedAt(calls: readonly SystemCall[]): Map<string, number> {
  const isLog = ({ on }: SystemCall): boolean => /\/log-\d+$/.test(on);
  const syncs = calls.filter((call) => isLog(call) && ["fdatasync", "fsync"].includes(call.name));
  const times = new Map<string, number>();
  for (const write of calls.filter((call) => isLog(call) && call.name.includes("write"))) {
    const sync = syncs.find(({ on, beganAt }) => on === write.on && beganAt > write.endedAt);
    const at = endsSynced(calls, write) ? write.endedAt : (sync?.endedAt ?? Infinity);
    for (const key of keysIn(write.data)) times.set(key, Math.min(at, times.get(key) ?? Infinity));
  }
  return times;
}

/** Whether the file was opened so that a write is on disk when it ends. */
function endsSynced(calls: readonly SystemCall[], { descriptor, beganAt }: SystemCall): boolean {
  const opened = calls.findLast(
    (call) => call.name === "openat" && call.descriptor === descriptor && call.endedAt < beganAt,
  );
  return opened !== undefined && /O_D?SYNC/.test(opened.text);
}

/** When the acknowledgement of each key began to leave: the ok in the answer to the line that carried it. */
function acknowledgedAt(calls: readonly SystemCall[]): Map<string, number> {
  const pieces = new Map<string, string>();
  const asked = new Map<string, readonly (string | undefined)[]>();
  const times = new Map<string, number>();
  for (const call of calls.filter(({ on }) => on.startsWith("TCP"))) {
    const reading = /^(?:read|recv)/.test(call.name);
    const stream = `${reading ? "from" : "to"} ${call.on}`;
    const lines = ((pieces.get(stream) ?? "") + call.data).split("\n"); // they may be cut anywhere
    pieces.set(stream, lines.pop() ?? "");
    for (const line of lines) {
      const sent = JSON.parse(line) as Line;
      const { id, status: told, results } = sent;
      if (reading) asked.set(`${call.on} ${id}`, keysOf(sent));
      // Without results, the line's own status is that of each operation.
      asked.get(`${call.on} ${id}`)?.forEach((key, index) => {
        const status = results ? results[index]?.status : told;
        if (!reading && status === "ok" && key !== undefined && !times.has(key)) times.set(key, call.beganAt);
      });
    }
  }
  return times;
}

/** The keys that a line writes, at the places of their operations in it; compact or not. */
function keysOf({ ops = [], writes = [] }: Line): (string | undefined)[] {
  const isKey = (_: unknown, at: number): boolean => at % WRITE_FIELDS === 4;
  return [...ops.map(({ op, key }) => (op === "write" ? key : undefined)), ...(writes.filter(isKey) as string[])];
}

/** What a line of the node's port may hold. */
interface Line {
  readonly id: number;
  readonly writes?: readonly unknown[];
  readonly status?: string;
  readonly ops?: readonly { readonly op: string; readonly key?: string }[];
  readonly results?: readonly { readonly status: string }[];
}

test.skipIf(!traceable)(
  traceable ? title : `${title} (skipped: strace is not installed or may not trace)`,
  async () => {
    const cluster = await ClusterProcess.start({ nodes: 0 });
    const file = path.join(cluster.folder, "trace");
    await cluster.startNode("A", straceInto(file));
    await cluster.addNode("A");
    const kv = await connect(cluster.address, { timeoutMs: 10_000 });
    for (let round = 0; round < ROUNDS; round++) {
      const keys = Array.from({ length: WRITES_A_ROUND }, (_, index) => `traced:${round * WRITES_A_ROUND + index}`);
      await Promise.all(keys.map((key) => kv.put(key, "value")));
    }
    await kv.close();
    await cluster.kill("A", "SIGTERM");
    const calls = parseTrace(readFileSync(file, "utf8"));
    const synced = syncedAt(calls);
    const acknowledged = acknowledgedAt(calls);
    expect(acknowledged.size).toBe(ROUNDS * WRITES_A_ROUND);
    const early = [...acknowledged].filter(([key, at]) => at <= (synced.get(key) ?? Infinity));
    expect(early).toEqual([]);
  },
);
