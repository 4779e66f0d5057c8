// A node that asks to be added: behind nobody yet, behind another node, refused; and one whose disk came from a backup. Real processes.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openSession } from "../../shared/client/session.ts";
import type { NodeStatus } from "../../shared/protocol/client-messages.ts";
import { until } from "../support/cluster-process.ts";
import {
  buildProgram,
  killNodes,
  killProcess,
  type NodeProcess,
  startNode,
  startProgram,
} from "../support/node-process.ts";

let folder = "";

beforeAll(() => buildProgram());
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-join-"));
});
afterEach(async () => {
  await killNodes();
  fs.rmSync(folder, { recursive: true, force: true });
});

const node = (id: string, ...more: string[]): NodeProcess =>
  startNode(["0", "--data-dir", id, "--id", id, ...more], folder);

async function addressOf(process: NodeProcess): Promise<string> {
  return `127.0.0.1:${(await process.ready).port}`;
}

async function members(coordinator: string): Promise<readonly NodeStatus[]> {
  const session = await openSession(coordinator);
  const { nodes } = await session.call({ op: "status" });
  await session.close();
  return nodes;
}

/** Waits until the process has said this on standard error, as one log line. */
async function logged(process: NodeProcess, text: string): Promise<Record<string, unknown>> {
  return await until(`"${text}" in the log`, () => {
    const line = process
      .said()
      .split("\n")
      .find((candidate) => candidate.includes(text) && candidate.endsWith("}"));
    return Promise.resolve(line === undefined ? undefined : (JSON.parse(line) as Record<string, unknown>));
  });
}

test("a node asks until a coordinator is there, any node passes it on to the leader, and its weight goes along", async () => {
  const home = startProgram("runtime", ["serve"], folder);
  const coordinator = await addressOf(home);
  await killProcess(home);
  const first = node("A", "--join", coordinator);
  expect(await logged(first, "not added yet")).toMatchObject({ level: "warn", code: "NODE_UNREACHABLE" });
  const port = coordinator.split(":")[1] ?? "";
  expect((await startProgram("runtime", ["serve", "--port", port], folder).ready).line).toMatch(/ role=new$/);
  await logged(first, "this node is in the cluster");

  const second = node("B", "--join", "127.0.0.1:1", "--join", await addressOf(first), "--weight", "3");
  await logged(second, "this node is in the cluster");
  const found = await members(coordinator);
  expect(found.map(({ id, weight }) => [id, weight])).toEqual([
    ["A", 1],
    ["B", 3],
  ]);
  expect(found[1]?.address).toBe(await addressOf(second));
});

test("a definite refusal is logged once, and the node goes on serving", async () => {
  const coordinator = await addressOf(startProgram("runtime", ["serve"], folder));
  await logged(node("A", "--join", coordinator), "this node is in the cluster");
  const second = startNode(["0", "--data-dir", "other", "--id", "A", "--join", coordinator], folder);
  expect(await logged(second, "not added:")).toMatchObject({ level: "error", code: "NODE_EXISTS" });
  const session = await openSession(await addressOf(second));
  expect(session.hello.cluster).toBeNull();
  await session.close();
});

test("N1, N7: --restored begins blank under a new incarnation, keeps the old data aside, and a stored id", async () => {
  const coordinator = await addressOf(startProgram("runtime", ["serve"], folder));
  const first = node("A", "--join", coordinator);
  await logged(first, "this node is in the cluster");
  const { incarnation: before } = await logged(first, '"ready"');

  const inUse = await startNode(["0", "--data-dir", "A", "--restored"], folder).ended;
  expect(inUse).toMatchObject({ code: 1, stdout: "" });
  expect(inUse.stderr).toContain("another process uses the data directory A");

  await killProcess(first);
  const second = startNode(["0", "--data-dir", "A", "--restored"], folder);
  expect((await second.ready).line).toContain(" id=A ");
  expect(await logged(second, "was put aside")).toMatchObject({ level: "warn", id: "A", aside: "A/before-restored-1" });
  const { incarnation: after } = await logged(second, '"ready"');
  expect(after).not.toBe(before);
  expect(fs.existsSync(path.join(folder, "A/before-restored-1/format.json"))).toBe(true);
  const session = await openSession(await addressOf(second));
  expect(session.hello.cluster).toBeNull();
  await expect(session.call({ op: "read", key: "apple" })).rejects.toMatchObject({ code: "NOT_OWNER" });
  await session.close();
});
