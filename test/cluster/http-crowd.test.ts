// REST of real processes under clients that do no good: thousands that say nothing, some that never get to the end of a header, some whose
// body never ends. Others are served meanwhile, and the coordinator does not grow. How each of them is cut is in coordinator/http/limits.test.ts.
import { once } from "node:events";
import fs from "node:fs";
import { connect, type Socket } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { freePort, until } from "../support/cluster-process.ts";
import { buildProgram, killNodes, type NodeProcess, startNode, startProgram } from "../support/node-process.ts";

const WAIT_MS = 60_000;
/** Far above what a request takes on a busy machine, far below any time-out of the server. */
const SERVED_MS_MAX = 3_000;
const MIB = 1024 * 1024;

let folder = "";
let port = 0;
let coordinator: NodeProcess;
const sockets = new Set<Socket>();
const timers = new Set<NodeJS.Timeout>();

beforeAll(async () => {
  buildProgram();
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-crowd-"));
  const node = `127.0.0.1:${(await startNode(["0", "--data-dir", "A"], folder).ready).port}`;
  port = await freePort();
  const args = [
    "serve",
    "--port",
    String(await freePort()),
    "--http",
    String(port),
    "--cluster-file",
    "c/cluster.json",
  ];
  coordinator = startProgram("runtime", args, folder);
  await coordinator.ready;
  expect((await ask("POST", "/admin/nodes", { id: "A", address: node })).status).toBe(200);
}, WAIT_MS);
afterEach(() => {
  for (const timer of timers) clearInterval(timer);
  for (const socket of sockets) socket.destroy();
  timers.clear();
  sockets.clear();
});
afterAll(async () => {
  await killNodes();
  fs.rmSync(folder, { recursive: true, force: true });
});

async function ask(method: string, target: string, body?: object): Promise<Response> {
  return await fetch(`http://127.0.0.1:${port}${target}`, {
    method,
    headers: { "content-type": "application/json" },
    signal: AbortSignal.timeout(SERVED_MS_MAX),
    ...(body && { body: JSON.stringify(body) }),
  });
}

/** Asks again where the refusal says so, as clients do: on a machine that stands still for a second a leader may step back for a moment. */
async function served(method: string, target: string, body?: object): Promise<Response> {
  const attempt = async (): Promise<Response | undefined> => {
    const answer = await ask(method, target, body);
    if (answer.status !== 503) return answer;
    await answer.body?.cancel();
    return undefined;
  };
  return await until(`an answer to ${method} ${target}`, attempt, SERVED_MS_MAX);
}

/** Others store and read values, one after the other, each in time. */
async function othersAreServed(): Promise<void> {
  for (let turn = 0; turn < 25; turn++) {
    expect((await served("PUT", `/keys/k${turn}`, { value: `v${turn}` })).status).toBe(200);
    expect(await (await served("GET", `/keys/k${turn}`)).json()).toMatchObject({ value: `v${turn}` });
  }
}

async function dial(count: number): Promise<Socket[]> {
  const dialled = Array.from({ length: count }, () => connect({ port, host: "127.0.0.1" }));
  for (const socket of dialled) sockets.add(socket.on("error", () => {}));
  await Promise.all(dialled.map((socket) => once(socket, "connect")));
  return dialled;
}

/** Does something to each of them again and again, for as long as the test lasts. */
function keepOn(crowd: readonly Socket[], action: (socket: Socket) => void, everyMs: number): void {
  const act = (): void => {
    for (const socket of crowd) if (socket.writable) action(socket);
  };
  timers.add(setInterval(act, everyMs));
}

/** What the coordinator holds in memory; NaN where the system does not say. */
function residentBytes(): number {
  const file = `/proc/${coordinator.child.pid}/status`;
  if (!fs.existsSync(file)) return Number.NaN;
  return Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(file, "utf8"))?.[1]) * 1024;
}

function hasNotGrownBy(bytes: number, before: number): boolean {
  return Number.isNaN(before) || residentBytes() - before < bytes;
}

test("5000 connections that say nothing keep nobody waiting, and cost little", { timeout: WAIT_MS }, async () => {
  const before = residentBytes();
  const crowd: Socket[] = [];
  while (crowd.length < 5_000) crowd.push(...(await dial(250)));
  expect(crowd.filter(({ closed }) => !closed).length).toBeGreaterThan(2_500);
  await othersAreServed();
  expect(hasNotGrownBy(256 * MIB, before)).toBe(true);
});

test("clients that never get to the end of a header keep nobody waiting", { timeout: WAIT_MS }, async () => {
  const crowd = await dial(500);
  for (const socket of crowd) socket.write("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ");
  keepOn(crowd, (socket) => socket.write("x"), 50);
  await othersAreServed();
});

test("bodies that never end are refused and cut, and fill no memory", { timeout: WAIT_MS }, async () => {
  const before = residentBytes();
  const crowd = await dial(20);
  const said = crowd.map(async (socket) => {
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    await new Promise((resolve) => socket.once("close", resolve)); // with an error or without: it is still being written to
    return text;
  });
  const head = "PUT /keys/endless HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const socket of crowd) socket.write(head);
  const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
  const pour = (socket: Socket): void => void (socket.writableLength < MIB && socket.write(chunk));
  keepOn(crowd, pour, 5);
  await othersAreServed();
  for (const text of await Promise.all(said)) if (text !== "") expect(text).toMatch(/^HTTP\/1\.1 413 /);
  expect(hasNotGrownBy(256 * MIB, before)).toBe(true);
  expect((await served("GET", "/keys/endless")).status).toBe(404);
});
