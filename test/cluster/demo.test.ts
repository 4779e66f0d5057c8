// `runtime demo` as a person runs it: it tells each act with a time stamp, loses nothing, and leaves nothing behind.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { until } from "../support/cluster-process.ts";
import { buildProgram, killNodes, killProcess, startProgram } from "../support/node-process.ts";

const LINE = /^\d\d:\d\d:\d\d\.\d{3} {2}(?: {2})?\S/;
/** What is told, in this order. */
const ACTS = [
  /A cluster in (\S+), which is removed at the end\./,
  /storage node C at 127\.0\.0\.1:\d+/,
  /the leader at (\S+), epoch 1; a standby at (\S+)/,
  /kill -9 of storage node B\./,
  /the leader calls B down/,
  /kill -9 of the leader\./,
  /the standby leads, epoch [2-9]: first acknowledged write .* after the kill/,
  /Node B comes back with its disk\./,
  /B is in step after/,
  /(\d+) acknowledged writes: \1 there, 0 lost, 0 misread/,
  /put +quorum +\d+/,
  /The end\./,
];

let folder = "";

beforeAll(() => buildProgram());
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-demo-test-"));
});
afterEach(async () => {
  await killNodes();
  fs.rmSync(folder, { recursive: true, force: true });
});

/** The directory that a demo works in. */
function placeOf(told: string): string | undefined {
  return /A cluster in (\S+),/.exec(told)?.[1];
}

/** Whether any process has its home there. Seen on Linux only. */
function isInhabited(place: string): boolean {
  const pids = fs.existsSync("/proc/self/cwd") ? fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)) : [];
  return pids.some((pid) => {
    try {
      return fs.readlinkSync(`/proc/${pid}/cwd`).startsWith(place);
    } catch {
      return false; // gone meanwhile, or another user's
    }
  });
}

test("the demo shows a node's death, the leader's, a return, and that nothing was lost; every line has a time stamp", async () => {
  const { code, stdout, stderr } = await startProgram("runtime", ["demo"], folder).ended;
  expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" });
  const lines = stdout.trimEnd().split("\n");
  expect(lines.filter((line) => !LINE.test(line))).toEqual([]);
  let from = 0;
  for (const act of ACTS) {
    const found = lines.findIndex((line, index) => index >= from && act.test(line));
    expect(found, `${String(act)} in:\n${stdout}`).toBeGreaterThanOrEqual(0);
    from = found;
  }
  const place = placeOf(stdout) ?? "";
  expect(fs.existsSync(place)).toBe(false);
  expect(isInhabited(place)).toBe(false);
  expect(fs.readdirSync(folder)).toEqual([]);
});

test("Ctrl-C ends the demo and all that it started", async () => {
  const running = startProgram("runtime", ["demo"], folder);
  const { line } = await running.ready;
  const place = placeOf(line) ?? "";
  await until("a process of the demo's", () => Promise.resolve(isInhabited(place) ? true : undefined));
  expect((await killProcess(running, "SIGINT")).code).toBe(130);
  await until("the end of every process", () => Promise.resolve(isInhabited(place) ? undefined : true));
  expect(fs.existsSync(place)).toBe(false);
});
