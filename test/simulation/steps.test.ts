// M1–M6, step by step: every kind of message of a re-seating is struck once, in every way that matters: it is lost, it arrives very late,
// its receiver dies before or after it, the leader dies with it. Clients write and read all the while, one replica lags behind, and in
// the end the operation has finished, every key can be read, and the history is linearizable.
import { describe, expect, test } from "vitest";
import { simulateSlots } from "../../shared/limits.ts";
import { Clients } from "./clients.ts";
import { checkHistory } from "./linearizability.ts";
import { addMembers } from "./members.ts";
import type { Message, Passing } from "./network.ts";
import { isEqual } from "./replicas.ts";
import { World } from "./world.ts";

const LEADER = "127.0.0.1:7401";
const KEYS = ["apple", "pear", "plum", "fig"];
const STEPS = [
  "incoming",
  "pull",
  "seal",
  "digest",
  "list",
  "copy",
  "write",
  "copied",
  "accept",
  "install",
  "drop",
] as const;
type Step = (typeof STEPS)[number];

const CHANGES: readonly (readonly [name: string, change: Message])[] = [
  ["addnode", { op: "addnode", node: "D", address: "127.0.0.1:5004" }],
  ["removenode", { op: "removenode", node: "B" }],
  ["setreplica up", { op: "setreplica", rf: 3 }],
  ["setreplica down", { op: "setreplica", rf: 1 }],
];

const BLOWS: readonly (readonly [
  name: string,
  blow: (world: World, passing: Passing) => "lost" | number | undefined,
])[] = [
  ["is lost", (_world, { connection }) => (connection.break(), "lost")],
  ["arrives very late", (_world, { connection }) => (connection.break(), 3_000)],
  ["is lost without a trace", () => "lost"],
  ["reaches a node that dies before it", (world, { to }) => (dieAndReturn(world, to, 0), undefined)],
  ["reaches a node that dies after it", (world, { to }) => (dieAndReturn(world, to, 6), undefined)],
  ["is the leader's last, and arrives", (world) => (leaderDies(world), 0.2)],
  ["is the leader's last, and is lost", (world) => (leaderDies(world), "lost")],
  ["is the leader's last, and arrives under its successor", (world) => (leaderDies(world), 2_500)],
];

function dieAndReturn(world: World, address: string, afterMs: number): void {
  world.timers.after(afterMs, () => world.crashNode(address));
  world.timers.after(afterMs + 400, () => {
    if (world.nodes.get(address)?.process.up === false) world.startNode(address);
  });
}

function leaderDies(world: World): void {
  world.timers.after(0, () => world.crashCoordinator());
  world.timers.after(150, () => world.startCoordinator());
}

/** Whether a message of the leader is of this step. */
function isStep(step: Step, { from, message }: Passing): boolean {
  if (from !== LEADER) return false;
  if (step === "accept") return message["op"] === "accept";
  const ops = message["op"] === "batch" ? ((message["ops"] ?? []) as readonly { readonly op: string }[]) : [];
  return ops.some(({ op }) => op === step);
}

/** A cluster whose third replica lags behind. */
function laggingCluster(world: World, copies: number): void {
  for (const port of [5001, 5002, 5003, 5004]) world.addNode(`127.0.0.1:${port}`);
  world.startCoordinator();
  addMembers(world, 3);
  expect(world.ask({ op: "setreplica", rf: copies })).toMatchObject({ phase: "done" });
}

function strikeOnce(seed: number, change: Message, step: Step, blow: (typeof BLOWS)[number][1]): boolean {
  simulateSlots(8);
  const world = new World(seed);
  laggingCluster(world, change["rf"] === 3 ? 2 : 3);
  const clients = new Clients(world, {
    clients: 3,
    operations: 25,
    keys: KEYS,
    pauseMsMax: 40,
    levelAll: 0.05,
    levelOne: 0,
  });
  world.network.block(LEADER, "127.0.0.1:5003");
  clients.start();
  world.runFor(300);
  for (const { process } of [world.nodes.get("127.0.0.1:5003")].filter((node) => node !== undefined))
    world.network.breakAll(process);
  world.network.heal();
  let struck = false;
  world.network.intercept = (passing) => {
    if (struck || !isStep(step, passing)) return undefined;
    struck = true;
    return blow(world, passing);
  };
  world.request(change, () => undefined);
  const ended = (): boolean => clients.done && world.coordinator?.state?.operations.length === 0;
  world.runUntil(ended, 120_000);
  for (const key of KEYS) readBack(world, clients, key);
  const verdict = checkHistory(clients.history.operations());
  expect(verdict).toMatchObject({ ok: true });
  // Whatever was struck: everybody who should be a member is one, soon, and gets what is written now.
  for (const key of KEYS) expect(world.ask({ op: "put", key, value: "last" })).toMatchObject({ status: "ok" });
  world.runUntil(() => KEYS.every((key) => isEqual(world, key)), 60_000);
  return struck;
}

function readBack(world: World, clients: Clients, key: string): void {
  const handle = clients.history.invoke({ client: 0, op: "get", key });
  for (let tries = 0; tries < 100; tries++) {
    const { status, code, value, version } = world.ask({ op: "get", key });
    if (status === "ok") return handle.ok({ result: { value: String(value), version: String(version) } });
    if (code === "NOT_FOUND") return handle.ok({ result: { value: null } });
    world.runFor(100);
  }
  expect.fail(`${key} cannot be read`);
}

describe.each(CHANGES)("M1–M6: %s", (_name, change) => {
  test.each(BLOWS)("goes on where one message of a step %s", (_blow, blow) => {
    const struck = STEPS.filter((step, index) => strikeOnce(index + 1, change, step, blow));
    expect(struck).toEqual(expect.arrayContaining(["seal", "digest", "accept", "install"]));
  });
});
