// One command starts a whole cluster; it can be left running, found again, and ended, and no process outlives it. Real processes.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openSession } from "../../shared/client/session.ts";
import { until } from "../support/cluster-process.ts";
import { buildProgram, killNodes, killProcess, startProgram } from "../support/node-process.ts";

const RUNTIME = fileURLToPath(new URL("../../runtime", import.meta.url));
const LIMIT_MS = 60_000;
const SERVING = /^runtime listening on (127\.0\.0\.1:\d+) http=off role=leader$/;

let folder = "";

beforeAll(() => buildProgram());
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-up-"));
});
afterEach(async () => {
  await killNodes();
  if (processes().length > 0) runtime(["down"]); // one left in the background by a test that failed
  await until("the end of every process", () => Promise.resolve(processes().length === 0 ? true : undefined));
  fs.rmSync(folder, { recursive: true, force: true });
});

/** Runs the command to its end. */
function runtime(args: readonly string[], input = ""): { out: string; err: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(process.execPath, [RUNTIME, ...args], {
    cwd: folder,
    input,
    encoding: "utf8",
    timeout: LIMIT_MS,
    env: { ...process.env, HOLDFAST_SKIP_BUILD: "1" },
  });
  return { out: stdout, err: stderr, status };
}

/** Pids of everything that runs in the folder of this test. */
function processes(): number[] {
  if (!fs.existsSync("/proc/self/cwd")) return []; // seen on Linux only
  const pids = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => directoryOf(pid) === folder).map(Number);
}

function directoryOf(pid: string): string | undefined {
  try {
    return fs.readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined; // gone meanwhile, or another user's
  }
}

test("C1: `up` starts three nodes and runs its standard input; again, it finds the same cluster and data", () => {
  const first = runtime(["up"], "put apple 123\nput pear 456 all\nshow\nlogs --lines 1\nlogs B\nexit\n");
  expect(first.out).toContain('[A] PUT apple = 123 -> {"status":"ok"}');
  expect(first.out).toMatch(/ {2}C \(127\.0\.0\.1:\d+, keys=2\)/);
  expect(first.out).toMatch(/data\/up\/logs\/coordinator\.log\n.* info .*addnode C/);
  expect(first.out).toMatch(/data\/up\/logs\/B\.log\n.* info {2}ready id=B /);
  expect(first.status).toBe(0);
  const second = runtime(["up"], "get apple\nget pear\nget plum\nexit\n");
  expect(second.out.trim().split("\n")).toEqual(["apple -> 123", "pear -> 456", "Key not found: plum"]);
  expect(second.status).toBe(1);
});

test("a node that was removed stays out of the next `up`, its data untouched", () => {
  const first = runtime(["up", "--no-http", "--nodes", "2"], "put apple 123\nremovenode B\nexit\n");
  expect(first.out).toContain("Node removed: B");
  const second = runtime(["up", "--no-http"], "show\nget apple\nexit\n");
  expect(second.out).toMatch(/^Active Nodes:\n {2}A \(127\.0\.0\.1:\d+, keys=1\)\napple -> 123\n$/);
  expect(fs.existsSync(path.join(folder, "data/up/B/format.json"))).toBe(true);
});

test("`up --detach` leaves a cluster behind that commands find, a second `up` joins and `down` ends", async () => {
  expect(runtime(["down"])).toEqual({ out: "Nothing runs in data/up.\n", err: "", status: 0 });
  const begun = runtime(["up", "--detach", "--no-http", "--nodes", "2"]);
  expect(begun).toMatchObject({ err: expect.not.stringContaining("Error") as string, status: 0 });
  expect(begun.out).toMatch(
    /^Running in the background: coordinator 127\.0\.0\.1:\d+, nodes A \(.*\), B \(.*\)\.\nData in data\/up\. .*\.\/runtime down\.\n$/,
  );
  expect(runtime(["put", "apple", "123"]).status).toBe(0);
  expect(runtime(["up", "--detach"]).out).toMatch(/^Running already: /);
  expect(runtime(["up"], "get apple\n")).toMatchObject({ out: "apple -> 123\n", status: 0 });
  expect(runtime(["get", "apple", "--json"]).out).toContain('"value":"123"'); // the shell that left took nothing with it
  expect(runtime(["down"]).out).toMatch(/^Stopped: coordinator 127\.0\.0\.1:\d+, nodes A \(.*\), B \(.*\)\.\n$/);
  await until("the end of every process", () => Promise.resolve(processes().length === 0 ? true : undefined));
  expect(runtime(["get", "apple"])).toMatchObject({ status: 3 });
});

test("a node that dies is announced with the command that brings it back", async () => {
  const up = startProgram("runtime", ["up", "--no-http"], folder);
  const [, address = ""] = SERVING.exec((await up.ready).line) ?? [];
  const session = await openSession(address);
  const port = (await session.call({ op: "status" })).nodes.find(({ id }) => id === "B")?.address.split(":")[1] ?? "";
  const command = (pid: number): string => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8");
  const victim = processes().find((pid) => command(pid).includes(`\0${port}\0`));
  process.kill(victim ?? 0, "SIGKILL");
  const line = await until("the announcement", () =>
    Promise.resolve(/Start it again with: (.*)$/m.exec(runtime(["logs", "--lines", "3"]).out)?.[1]),
  );
  expect(line).toMatch(/node_server \d+ --id B --data-dir data\/up\/B --join 127\.0\.0\.1:\d+$/);
  const state = async (): Promise<string | undefined> =>
    (await session.call({ op: "status" })).nodes.find(({ id }) => id === "B")?.state;
  await until("node B down", async () => ((await state()) === "down" ? true : undefined));
  const [, ...args] = line.split(" ");
  await startProgram("node_server", args, folder).ready;
  await until("node B up", async () => ((await state()) === "up" ? true : undefined));
  await session.close();
});

test("no node outlives an `up` that is killed, and the next one goes on at once", async () => {
  const up = startProgram("runtime", ["up", "--no-http", "--nodes", "2"], folder);
  expect((await up.ready).line).toMatch(SERVING);
  expect(runtime(["put", "apple", "123"]).status).toBe(0);
  await killProcess(up, "SIGKILL");
  // Without a pause: the nodes may hold their directories still.
  const next = startProgram("runtime", ["up", "--no-http"], folder);
  expect((await next.ready).line).toMatch(SERVING);
  expect(runtime(["get", "apple"]).out).toBe("apple -> 123\n");
  expect(await killProcess(next, "SIGTERM")).toMatchObject({ code: 0, signal: null });
  expect(processes()).toEqual([]);
});

test("SIGTERM while it starts stops what was started", async () => {
  const up = startProgram("runtime", ["up"], folder);
  await until("a child", () => Promise.resolve(processes().length > 1 ? true : undefined));
  expect(await killProcess(up, "SIGTERM")).toMatchObject({ code: 0, signal: null });
  expect(processes()).toEqual([]);
});
