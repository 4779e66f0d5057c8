import { expect, test } from "vitest";
import { simulateSlots, SLOTS } from "../../../shared/limits.ts";
import { World, type Message } from "../../simulation/world.ts";

simulateSlots(64);

const address = (port: number): string => `127.0.0.1:${port}`;

/** Three nodes, 80 keys. */
function cluster(seed: number): World {
  const world = new World(seed);
  for (const port of [5001, 5002, 5003, 5004]) world.addNode(address(port));
  world.startCoordinator();
  for (const [node, port] of Object.entries({ A: 5001, B: 5002, C: 5003 })) {
    expect(world.ask({ op: "addnode", node, address: address(port) })).toMatchObject({ phase: "done" });
  }
  for (let index = 0; index < 80; index++) world.ask({ op: "put", key: `key ${index}`, value: "v".repeat(index) });
  return world;
}

const keysOf = (world: World): Map<unknown, number> =>
  new Map((world.ask({ op: "nodes" })["nodes"] as Message[]).map((node) => [node["id"], Number(node["keys"])]));

/** Plans and then does it: what each node gained is what the plan said. */
function compared(world: World, change: Message): Message {
  const ring = world.ask({ op: "ring" });
  const planned = world.ask({ op: "plan", change });
  expect(planned).toMatchObject({ status: "ok" });
  expect(world.ask({ op: "ring" })).toEqual({ ...ring, id: expect.any(Number) as number });
  const before = keysOf(world);
  const done = world.ask(change);
  expect(done).toMatchObject({ phase: "done", slotsMoved: planned["slots"], command: planned["command"] });
  const after = keysOf(world);
  for (const { id, keysIn, keysOut, slotsAfter } of planned["nodes"] as Message[]) {
    expect(after.get(id) ?? 0, `keys of ${String(id)}`).toBe((before.get(id) ?? 0) + Number(keysIn) - Number(keysOut));
    const node = (world.ask({ op: "nodes" })["nodes"] as Message[]).find((candidate) => candidate["id"] === id);
    expect(node?.["slots"] ?? 0).toBe(slotsAfter);
  }
  return planned;
}

test("a plan changes nothing, and says what the operation then does", () => {
  const world = cluster(51);
  const grown = compared(world, { op: "addnode", node: "D", address: address(5004) });
  expect(grown).toMatchObject({ slots: (3 * SLOTS) / 4, copiesBefore: 3, copiesAfter: 3, notes: [] });
  const fewer = compared(world, { op: "setreplica", rf: 2 });
  expect(fewer).toMatchObject({ keys: 0, bytes: 0, copiesBefore: 3, copiesAfter: 2 });
  const without = compared(world, { op: "removenode", node: "A" });
  expect(Number(without["keys"])).toBeGreaterThan(0);
  expect(Number(without["bytes"])).toBeGreaterThan(Number(without["keys"]));
});

test("a plan is refused as the operation would be", () => {
  const world = cluster(52);
  for (const change of [
    { op: "addnode", node: "A", address: address(5001) },
    { op: "addnode", node: "A", address: address(5004) },
    { op: "addnode", node: "D", address: address(5002) },
    { op: "removenode", node: "Z" },
  ]) {
    const planned = world.ask({ op: "plan", change });
    const { code, message } = world.ask(change);
    expect(planned).toMatchObject({ status: "error", code, message });
  }
  expect(world.ask({ op: "plan", change: { op: "setreplica", rf: 0 } })).toMatchObject({ code: "BAD_REQUEST" });
});

test("a plan before the first node is NO_CLUSTER", () => {
  const world = new World(53);
  world.startCoordinator();
  expect(world.ask({ op: "plan", change: { op: "removenode", node: "A" } })).toMatchObject({ code: "NO_CLUSTER" });
});

test("a plan notes too few copies, and what only a dead node holds", () => {
  const world = cluster(54);
  expect(world.ask({ op: "plan", change: { op: "removenode", node: "A" } })["notes"]).toEqual([
    expect.stringContaining("under-replicated: 2 of 3 copies") as string,
  ]);
  expect(world.ask({ op: "setreplica", rf: 1 })).toMatchObject({ phase: "done" });
  world.crashNode(address(5003));
  world.runUntil(() => (world.ask({ op: "nodes" })["nodes"] as Message[]).some(({ state }) => state === "down"));
  const { notes } = world.ask({ op: "plan", change: { op: "removenode", node: "C" } });
  expect(notes).toEqual([
    expect.stringMatching(/^2[12] slots have their only copy on C, which does not answer/) as string,
  ]);
  const forced = world.ask({ op: "plan", change: { op: "removenode", node: "C", force: true } });
  expect(forced["notes"]).toEqual([expect.stringContaining("--force would lose them") as string]);
});
