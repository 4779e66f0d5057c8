// Standbys on the simulated network (V4, C10): who takes over, when, and who does not.
import { expect, test } from "vitest";
import { simulateSlots } from "../../../shared/limits.ts";
import { addMembers } from "../../simulation/members.ts";
import type { Message } from "../../simulation/network.ts";
import { World } from "../../simulation/world.ts";

const FIRST = "127.0.0.1:7401";
const SECOND = "127.0.0.1:7402";

function cluster(seed: number, nodes = 3): World {
  simulateSlots(64);
  const world = new World(seed);
  for (let index = 0; index < nodes; index++) world.addNode(`127.0.0.1:${5001 + index}`);
  world.startCoordinator();
  addMembers(world, nodes);
  world.startCoordinator(SECOND);
  world.runUntil(() => roleOf(world, SECOND) === "standby");
  world.runFor(1_000);
  return world;
}

function roleOf(world: World, address: string): string | undefined {
  return world.coordinators.get(address)?.core?.role;
}

test("a second coordinator on a living cluster becomes standby by itself, and status names it", () => {
  const world = cluster(1);
  expect(world.ask({ op: "status" })).toMatchObject({ standbys: [SECOND] });
  expect(world.ask({ op: "get", key: "k" }, 5_000, SECOND)).toMatchObject({ code: "NOT_LEADER", leader: FIRST });
  world.runFor(20_000);
  expect(roleOf(world, FIRST)).toBe("leader");
});

test("V4: a leader's death is seen by its closed connections: the standby leads within a second, with everything that was acknowledged", () => {
  const world = cluster(2);
  expect(world.ask({ op: "put", key: "k", value: "kept" })).toMatchObject({ status: "ok" });
  const diedAt = world.timers.now;
  world.crashCoordinator();
  world.runUntil(() => roleOf(world, SECOND) === "leader", 5_000);
  expect(world.timers.now - diedAt).toBeLessThan(1_000);
  expect(world.ask({ op: "get", key: "k" }, 5_000, SECOND)).toMatchObject({ value: "kept" });
  world.startCoordinator(FIRST);
  world.runUntil(() => roleOf(world, FIRST) === "standby", 5_000);
});

test("V4: a standby that alone has lost the leader changes nothing: the voters still hear it", () => {
  const world = cluster(3);
  const epochs = world.epochs.size;
  world.network.block(FIRST, SECOND);
  world.network.block(SECOND, FIRST);
  world.runFor(15_000);
  expect(roleOf(world, FIRST)).toBe("leader");
  expect(world.epochs.size).toBe(epochs);
});

test("C10: a leader that stood still finds another one when it goes on, and steps down within a second", () => {
  const world = cluster(4);
  const zombie = world.coordinators.get(FIRST);
  zombie?.process.pause();
  world.runUntil(() => roleOf(world, SECOND) === "leader", 10_000);
  expect(world.ask({ op: "put", key: "k", value: "new" }, 5_000, SECOND)).toMatchObject({ status: "ok" });
  world.runFor(5_000);
  const wokenAt = world.timers.now;
  zombie?.process.resume();
  world.runUntil(() => roleOf(world, FIRST) === "standby", 5_000);
  expect(world.timers.now - wokenAt).toBeLessThan(1_000);
});

test("C10: without a majority of the voters operations are held, then refused without effect; with it they go on", () => {
  const world = cluster(5);
  for (const port of [5001, 5002]) world.nodes.get(`127.0.0.1:${port}`)?.process.pause();
  world.runFor(1_000);
  let held: unknown;
  world.request({ op: "put", key: "k", value: "held", timeoutMs: 5_000 }, (answer) => (held = answer["status"]));
  world.runFor(200);
  expect(held).toBeUndefined();
  for (const port of [5001, 5002]) world.nodes.get(`127.0.0.1:${port}`)?.process.resume();
  world.runUntil(() => held !== undefined, 3_000);
  expect(held).toBe("ok");
  for (const port of [5001, 5002]) world.nodes.get(`127.0.0.1:${port}`)?.process.pause();
  world.runFor(4_000);
  expect(world.ask({ op: "put", key: "k", value: "refused" })).toMatchObject({ code: "NO_LEADER", outcome: "failed" });
  expect(world.ask({ op: "get", key: "k", consistency: "one" })).toMatchObject({ status: "ok", stale: true });
});

test("stepdown hands over to the standby within 200 ms, and the old leader stands by", () => {
  const world = cluster(6);
  const askedAt = world.timers.now;
  expect(world.ask({ op: "stepdown" })).toMatchObject({ status: "ok", leader: SECOND });
  world.runUntil(() => roleOf(world, SECOND) === "leader", 1_000);
  expect(world.timers.now - askedAt).toBeLessThan(200);
  world.runUntil(() => roleOf(world, FIRST) === "standby", 1_000);
  world.runFor(1_000);
  expect(world.ask({ op: "stepdown" }, 5_000, SECOND)).toMatchObject({ leader: FIRST });
});

test("stepdown without a standby is refused, and the leader leads on", () => {
  const world = cluster(7);
  world.crashCoordinator(SECOND);
  world.runFor(3_000);
  expect(world.ask({ op: "stepdown" })).toMatchObject({ code: "NO_STANDBY" });
  expect(world.ask({ op: "put", key: "k", value: "v" })).toMatchObject({ status: "ok" });
});

test("on ten nodes with one message in ten breaking its connection, every node knows the new leader within a second", () => {
  for (let seed = 1; seed <= 5; seed++) {
    const world = cluster(seed, 10);
    world.network.faults.breakage = 0.1;
    world.crashCoordinator();
    world.runUntil(() => roleOf(world, SECOND) === "leader", 30_000);
    const electedAt = world.timers.now;
    const known = new Set<string>();
    world.network.intercept = ({ from, message }) => {
      if (message["role"] === "node" && message["leader"] === SECOND) known.add(from);
      return undefined;
    };
    const ask = (): void => {
      for (const address of world.nodes.keys())
        world.request({ op: "hello", versions: [1, 1] }, () => undefined, address);
      world.timers.after(50, ask);
    };
    ask();
    world.runUntil(() => known.size === 10, 5_000);
    expect(world.timers.now - electedAt, `seed ${seed}`).toBeLessThan(1_000);
  }
});

test("whoever asked for an operation is answered, whenever its leader hands over while it is cancelled", () => {
  for (let afterMs = 0; afterMs <= 40; afterMs += 2) {
    const world = cluster(100 + afterMs, 2);
    world.addNode("127.0.0.1:5003");
    let answer: Message | undefined;
    world.request({ op: "addnode", node: "C", address: "127.0.0.1:5003" }, (found) => (answer = found));
    world.runFor(10);
    world.request({ op: "cancel", operation: "2" }, () => undefined);
    world.runFor(afterMs);
    world.request({ op: "stepdown" }, () => undefined);
    world.runUntil(() => answer !== undefined, 20_000);
    expect(["done", "cancelled", undefined]).toContain(answer?.["phase"]);
  }
});
