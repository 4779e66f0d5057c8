// N9: when tombstones go, and that a deleted key never comes back. Whole clusters on a virtual clock; the grace period is seconds here.
import { expect, test } from "vitest";
import { simulateSlots } from "../../../shared/limits.ts";
import { allSlots } from "../../../shared/slot.ts";
import { World, type WorldOptions } from "../../simulation/world.ts";

simulateSlots(64);

const ADDRESSES = ["127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5003"] as const;
const [A, B, C] = ADDRESSES;
const GRACE_MS = 5_000;

function cluster(seed: number, options: WorldOptions = {}): World {
  const world = new World(seed, { ...options, upkeep: { collectAfterMs: GRACE_MS } });
  for (const address of ADDRESSES) world.addNode(address);
  world.startCoordinator();
  for (const [index, address] of ADDRESSES.entries())
    expect(world.ask({ op: "addnode", node: "ABC"[index], address })).toMatchObject({ phase: "done" });
  return world;
}

/** What a node holds under a key: a value, `tombstone` or `nothing`. */
function at(world: World, address: string, key: string): string {
  // Whatever the slot: while no coordinator lives, nobody can be asked for the seed.
  const { disk } = world.nodes.get(address) ?? {};
  const record = allSlots()
    .map((slot) => disk?.register(slot, key))
    .find((found) => found !== undefined);
  if (!record) return "nothing";
  return typeof record.value === "string" ? record.value : "tombstone";
}

function everywhere(world: World, key: string): string[] {
  return ADDRESSES.map((address) => at(world, address, key));
}

function putThenDelete(world: World, key: string): void {
  expect(world.ask({ op: "put", key, value: "old" })).toMatchObject({ status: "ok" });
  world.runUntil(() => everywhere(world, key).every((held) => held === "old"));
  expect(world.ask({ op: "delete", key })).toMatchObject({ status: "ok" });
}

/** A whole round of the background comparison. */
const ROUND_MS = 70_000;

test("N9: a tombstone older than the grace period goes from all members, a younger one stays", () => {
  const world = cluster(1);
  putThenDelete(world, "gone");
  world.runUntil(() => everywhere(world, "gone").every((held) => held === "tombstone"));
  world.runFor(GRACE_MS - 1_000);
  expect(everywhere(world, "gone")).toEqual(["tombstone", "tombstone", "tombstone"]);
  world.runUntil(() => everywhere(world, "gone").every((held) => held === "nothing"), ROUND_MS * 2);
  expect(world.ask({ op: "get", key: "gone" })).toMatchObject({ code: "NOT_FOUND" });
  expect(world.ask({ op: "put", key: "gone", value: "new" })).toMatchObject({ status: "ok" });
  expect(world.ask({ op: "get", key: "gone" })).toMatchObject({ value: "new" });
});

test("N9: while a member is not there its tombstones stay, and its old value does not come back with it", () => {
  const world = cluster(2);
  expect(world.ask({ op: "put", key: "gone", value: "old" })).toMatchObject({ status: "ok" });
  world.runUntil(() => everywhere(world, "gone").every((held) => held === "old"));
  world.crashNode(C);
  expect(world.ask({ op: "delete", key: "gone" })).toMatchObject({ status: "ok" });
  world.runFor(ROUND_MS * 2);
  expect([at(world, A, "gone"), at(world, B, "gone")]).toEqual(["tombstone", "tombstone"]);
  world.startNode(C);
  world.runUntil(() => everywhere(world, "gone").every((held) => held === "nothing"), ROUND_MS * 3);
});

test("N9-all switched off, the old value comes back: what the rule is for", () => {
  const world = cluster(2, { without: new Set(["N9-all"]) });
  expect(world.ask({ op: "put", key: "gone", value: "old" })).toMatchObject({ status: "ok" });
  world.runUntil(() => everywhere(world, "gone").every((held) => held === "old"));
  world.crashNode(C);
  expect(world.ask({ op: "delete", key: "gone" })).toMatchObject({ status: "ok" });
  world.runUntil(() => at(world, A, "gone") === "nothing" && at(world, B, "gone") === "nothing", ROUND_MS * 2);
  world.startNode(C);
  world.runUntil(() => everywhere(world, "gone").every((held) => held === "old"), ROUND_MS);
});

test("N9: a purge that reached one member only is made good by the next leader, and the key stays deleted", () => {
  const world = cluster(3);
  putThenDelete(world, "gone");
  world.network.intercept = ({ message, to }) => {
    const ops = message["op"] === "batch" ? ((message["ops"] ?? []) as readonly { readonly op: string }[]) : [];
    if (!ops.some(({ op }) => op === "purge")) return undefined;
    return to === A ? undefined : "lost";
  };
  world.runUntil(() => at(world, A, "gone") === "nothing", ROUND_MS * 2);
  world.crashCoordinator();
  expect([at(world, B, "gone"), at(world, C, "gone")]).toEqual(["tombstone", "tombstone"]);
  world.runFor(100);
  world.network.intercept = undefined;
  world.startCoordinator();
  world.runUntil(() => world.coordinator?.role === "leader");
  expect(world.ask({ op: "get", key: "gone", consistency: "all" })).toMatchObject({ code: "NOT_FOUND" });
  world.runUntil(() => everywhere(world, "gone").every((held) => held === "nothing"), ROUND_MS * 3);
});
