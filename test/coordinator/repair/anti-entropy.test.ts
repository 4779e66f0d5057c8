// Replicas become equal again by themselves: what a node missed is mended when it is back, what nobody noticed is found by digests, and
// repairing never changes what clients see. Whole clusters on a virtual clock.
import { expect, test } from "vitest";
import { simulateSlots, SLOTS } from "../../../shared/limits.ts";
import type { StoredRecord } from "../../../shared/record.ts";
import { slotOf } from "../../../shared/slot.ts";
import { compare } from "../../../shared/version.ts";
import { World } from "../../simulation/world.ts";

simulateSlots(64);

const ADDRESSES = ["127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5003"] as const;
const [A, B, C] = ADDRESSES;
const LEADER = "127.0.0.1:7401";

function cluster(seed: number): World {
  const world = new World(seed);
  for (const address of ADDRESSES) world.addNode(address);
  world.startCoordinator();
  for (const [index, address] of ADDRESSES.entries())
    expect(world.ask({ op: "addnode", node: "ABC"[index], address })).toMatchObject({ phase: "done" });
  return world;
}

function put(world: World, count: number, label: string): void {
  for (let index = 0; index < count; index++)
    expect(world.ask({ op: "put", key: `key ${index}`, value: `${label} ${index}` })).toMatchObject({ status: "ok" });
}

function stored(world: World, address: string, key: string): StoredRecord | undefined {
  const slot = slotOf(key, world.coordinator?.state?.seed ?? 0);
  return world.nodes.get(address)?.disk.register(slot, key);
}

/** Whether all nodes hold a key at one version. */
function equalEverywhere(world: World, key: string): boolean {
  const [first, ...others] = ADDRESSES.map((address) => stored(world, address, key));
  return others.every((record) => record && first && compare(record.version, first.version) === 0);
}

/** How far a node is behind, as `status` has it. */
function lagOf(world: World, id: string): { missed: number; unchecked: number; behindMs: number | null } {
  const answer = world.ask({ op: "status" }) as { nodes?: { id: string }[] };
  const node = answer.nodes?.find((candidate) => candidate.id === id);
  return node as unknown as ReturnType<typeof lagOf>;
}

function inStep(world: World): boolean {
  return "ABC".split("").every((id) => lagOf(world, id).behindMs === null);
}

test("C9: a node that is back gets what it missed, at the very versions that the others hold", () => {
  const world = cluster(1);
  put(world, 50, "before");
  world.runUntil(() => inStep(world));
  world.crashNode(C);
  put(world, 50, "after");
  const versions = Array.from({ length: 50 }, (_, index) => stored(world, A, `key ${index}`)?.version);
  expect(lagOf(world, "C").missed).toBeGreaterThan(0);
  expect(lagOf(world, "C").behindMs).toBeGreaterThan(0);
  world.startNode(C);
  world.runUntil(() => lagOf(world, "C").behindMs === null, 10_000);
  for (let index = 0; index < 50; index++) {
    expect(stored(world, C, `key ${index}`)).toMatchObject({ value: `after ${index}`, version: versions[index] });
  }
});

test("C6, C9: where no write quorum holds a version, FIX gives it a fresh one, at the same origin", () => {
  const world = cluster(2);
  world.crashNode(B);
  world.crashNode(C);
  const written = world.ask({ op: "put", key: "only here", value: "x", consistency: "one" });
  expect(written).toMatchObject({ status: "ok" });
  world.crashCoordinator();
  world.startCoordinator();
  world.startNode(B);
  world.startNode(C);
  world.runUntil(() => world.coordinator?.role === "leader" && equalEverywhere(world, "only here"), 20_000);
  const record = stored(world, B, "only here");
  expect(record?.value).toBe("x");
  expect(record?.version.join(".")).not.toBe(written["version"]);
  expect(world.ask({ op: "get", key: "only here" })).toMatchObject({ value: "x", version: written["version"] });
});

test("a tombstone that a node missed reaches it, and its old value never comes back", () => {
  const world = cluster(3);
  put(world, 1, "old");
  world.runUntil(() => equalEverywhere(world, "key 0"));
  world.crashNode(C);
  expect(world.ask({ op: "delete", key: "key 0" })).toMatchObject({ status: "ok" });
  world.startNode(C);
  world.runUntil(() => stored(world, C, "key 0")?.value === null, 10_000);
  expect(equalEverywhere(world, "key 0")).toBe(true);
  expect(world.ask({ op: "get", key: "key 0" })).toMatchObject({ code: "NOT_FOUND" });
});

test("what nobody noticed is found by digests: under a new leader everything is compared once", () => {
  const world = cluster(4);
  world.network.block(LEADER, C);
  put(world, 20, "unseen");
  world.crashCoordinator();
  world.network.heal();
  world.nodes.get(C)?.process.resume();
  world.startCoordinator();
  const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`);
  world.runUntil(() => keys.every((key) => equalEverywhere(world, key)), 30_000);
});

test("in a slot of which less is known to be missing, what was missed before is found all the same", () => {
  const world = cluster(7);
  world.network.block(LEADER, C);
  put(world, 40, "unseen");
  world.crashNode(C);
  world.crashCoordinator();
  world.network.heal();
  world.startCoordinator();
  world.runUntil(() => world.coordinator?.role === "leader");
  // Other keys of the same slots: the new leader knows of these alone that they are missing.
  for (let index = 0; index < 40; index++)
    expect(world.ask({ op: "put", key: `later ${index}`, value: "x" })).toMatchObject({ status: "ok" });
  expect(lagOf(world, "C").missed).toBeGreaterThan(0);
  world.startNode(C);
  world.runUntil(() => lagOf(world, "C").behindMs === null, 30_000);
  for (let index = 0; index < 40; index++) {
    expect(stored(world, C, `later ${index}`)).toMatchObject({ value: "x" });
    expect(stored(world, C, `key ${index}`)).toMatchObject({ value: `unseen ${index}` });
  }
});

test("a node whose log ended in damage is compared at once: it may lack what it had acknowledged", () => {
  const world = cluster(9);
  put(world, 20, "acknowledged");
  world.runUntil(() => inStep(world));
  world.crashNode(C);
  const { disk } = world.nodes.get(C) ?? {};
  const slot = slotOf("key 3", world.coordinator?.state?.seed ?? 0);
  disk?.remove(slot, ["key 3"]);
  if (disk) disk.tailCut = true;
  world.startNode(C);
  world.runUntil(() => lagOf(world, "C").unchecked > 0);
  world.runUntil(() => inStep(world));
  expect(stored(world, C, "key 3")).toMatchObject({ value: "acknowledged 3" });
});

test("a slot that changes hands is left alone, and mended afterwards (M2)", () => {
  const world = cluster(5);
  world.addNode("127.0.0.1:5004");
  put(world, 30, "first");
  world.crashNode(C);
  put(world, 30, "second");
  world.startNode(C);
  expect(world.ask({ op: "addnode", node: "D", address: "127.0.0.1:5004" })).toMatchObject({ phase: "done" });
  world.runUntil(() => inStep(world), 20_000);
  for (let index = 0; index < 30; index++)
    expect(world.ask({ op: "get", key: `key ${index}`, consistency: "all" })).toMatchObject({
      value: `second ${index}`,
    });
});

test("repair compares and mends at once, says what it did, and names a node that is not there", () => {
  const world = cluster(6);
  world.runUntil(() => inStep(world), 20_000);
  put(world, 20, "first");
  expect(world.ask({ op: "repair", node: "X" })).toMatchObject({ code: "NO_SUCH_NODE" });
  expect(world.ask({ op: "repair", node: "B" })).toMatchObject({ slotsCompared: SLOTS, slotsLeft: 0, keysMended: 0 });
  world.crashNode(C);
  put(world, 20, "second");
  expect(world.ask({ op: "repair", node: "C" })).toMatchObject({ done: true, slotsCompared: SLOTS });
  expect(lagOf(world, "C").missed).toBeGreaterThan(0);
  world.startNode(C);
  world.runUntil(() => inStep(world), 20_000);
  expect(world.ask({ op: "repair" })).toMatchObject({ slotsTotal: SLOTS, slotsCompared: SLOTS, slotsDifferent: 0 });
});

/** Slots of which one member answers for all. */
function slotsInStep(world: World): number {
  return world.coordinator?.gauges?.slotsInStep ?? 0;
}

test("C6: all slots come into step by themselves, and again after a node was away; none of its slots is while it is", () => {
  const world = cluster(10);
  put(world, 50, "first");
  world.runUntil(() => slotsInStep(world) === SLOTS);
  put(world, 50, "second");
  expect(slotsInStep(world)).toBe(SLOTS);
  world.crashNode(C);
  world.startNode(C); // it has missed nothing; what it brings back is looked at nevertheless
  world.runUntil(() => slotsInStep(world) < SLOTS);
  world.runUntil(() => slotsInStep(world) === SLOTS, 20_000);
  world.crashNode(C);
  put(world, 200, "third");
  expect(slotsInStep(world)).toBeLessThan(SLOTS / 2);
  world.startNode(C);
  world.runUntil(() => slotsInStep(world) === SLOTS, 20_000);
  expect(equalEverywhere(world, "key 7")).toBe(true);
});

test("C6: slots come into step at their new members", () => {
  const world = cluster(11);
  world.addNode("127.0.0.1:5004");
  put(world, 30, "first");
  expect(world.ask({ op: "addnode", node: "D", address: "127.0.0.1:5004" })).toMatchObject({ phase: "done" });
  expect(slotsInStep(world)).toBeLessThan(SLOTS);
  world.runUntil(() => slotsInStep(world) === SLOTS, 20_000);
});
