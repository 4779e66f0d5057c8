// The whole core on a virtual clock, network and disk: a cluster is minted, grows, loses a node and its coordinator, and shrinks, and
// every acknowledged write can be read back throughout.
import { expect, test } from "vitest";
import { addMembers } from "./members.ts";
import { World } from "./world.ts";

function threeNodes(seed: number): World {
  const world = new World(seed);
  for (const port of [5001, 5002, 5003, 5004]) world.addNode(`127.0.0.1:${port}`);
  world.startCoordinator();
  addMembers(world, 3);
  return world;
}

function put(world: World, count: number, label: string): void {
  for (let index = 0; index < count; index++) {
    expect(world.ask({ op: "put", key: `key ${index}`, value: `${label} ${index}` })).toMatchObject({ status: "ok" });
  }
}

function expectAll(world: World, count: number, label: string): void {
  for (let index = 0; index < count; index++) {
    expect(world.ask({ op: "get", key: `key ${index}` })).toMatchObject({ status: "ok", value: `${label} ${index}` });
  }
}

test("C0, M1–M5: three nodes are added one after the other, and hold three copies of every key", () => {
  const world = threeNodes(1);
  put(world, 30, "first");
  expectAll(world, 30, "first");
  expect(world.ask({ op: "stats" })).toMatchObject({ nodes: 3, totalKeys: 90, distinctKeys: 30 });
});

test("C4, C6: with one of three nodes dead, quorum reads and writes go on", () => {
  const world = threeNodes(2);
  put(world, 20, "before");
  world.crashNode("127.0.0.1:5002");
  put(world, 10, "after");
  for (let index = 0; index < 20; index++) {
    const value = `${index < 10 ? "after" : "before"} ${index}`;
    expect(world.ask({ op: "get", key: `key ${index}` })).toMatchObject({ status: "ok", value });
  }
});

test("C1: a coordinator that comes back wins a new epoch and finds the same ring and data", () => {
  const world = threeNodes(3);
  put(world, 20, "kept");
  const before = world.ask({ op: "ring" });
  world.crashCoordinator();
  world.startCoordinator();
  world.runUntil(() => world.coordinator?.role === "leader");
  const after = world.ask({ op: "ring" });
  expect(after["slots"]).toEqual(before["slots"]);
  expect(Number(after["epoch"])).toBeGreaterThan(Number(before["epoch"]));
  expectAll(world, 20, "kept");
});

test("M1–M5: a fourth node joins and a dead one is removed, and every acknowledged write is still there", () => {
  const world = threeNodes(4);
  put(world, 60, "moved");
  expect(world.ask({ op: "addnode", node: "D", address: "127.0.0.1:5004" })).toMatchObject({ phase: "done" });
  expectAll(world, 60, "moved");
  world.crashNode("127.0.0.1:5001");
  expect(world.ask({ op: "removenode", node: "A" })).toMatchObject({ phase: "done" });
  expectAll(world, 60, "moved");
  expect(world.ask({ op: "stats" })).toMatchObject({ nodes: 3, totalKeys: 180, distinctKeys: 60 });
});

test("C7: conditions compare what clients see as the version", () => {
  const world = threeNodes(5);
  const first = world.ask({ op: "put", key: "k", value: "one" });
  expect(world.ask({ op: "put", key: "k", value: "two", ifVersion: first["version"] })).toMatchObject({ status: "ok" });
  expect(world.ask({ op: "put", key: "k", value: "three", ifVersion: first["version"] })).toMatchObject({
    status: "error",
    code: "CONDITION_FAILED",
  });
  expect(world.ask({ op: "put", key: "k", value: "four", ifAbsent: true })).toMatchObject({ code: "CONDITION_FAILED" });
  expect(world.ask({ op: "delete", key: "k" })).toMatchObject({ status: "ok" });
  expect(world.ask({ op: "get", key: "k" })).toMatchObject({ code: "NOT_FOUND" });
});

test("setreplica goes down to one copy and up to three again without losing a key", () => {
  const world = threeNodes(6);
  put(world, 30, "copied");
  for (const [rf, totalKeys] of [
    [1, 30],
    [2, 60],
    [3, 90],
  ] as const) {
    expect(world.ask({ op: "setreplica", rf })).toMatchObject({ phase: "done" });
    expectAll(world, 30, "copied");
    expect(world.ask({ op: "stats" })).toMatchObject({ totalKeys, distinctKeys: 30 });
  }
});
