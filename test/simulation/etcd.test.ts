// The simulator with an etcd in place of voters: etcd is gone for seconds at a time and loses calls and answers, beside all the other faults.
// Also the facts of it that need no luck, step by step.
import { expect, test } from "vitest";
import { simulateSlots } from "../../shared/limits.ts";
import { runSeed } from "./run.ts";
import { addMembers } from "./members.ts";
import { World } from "./world.ts";

const SEEDS = process.env["HOLDFAST_LONG"] === "1" ? 3_000 : 60;
const SECOND = "127.0.0.1:7402";

test(`seeds 1–${SEEDS} violate nothing with the state in an etcd`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violation } = runSeed(seed, { etcd: true });
    if (violation === undefined) continue;
    expect.fail(`${violation}\nreplay: npm run simulate -- --seed ${seed} --etcd --trace`);
  }
});

function threeNodes(seed: number): World {
  simulateSlots(64);
  const world = new World(seed, { etcd: true });
  for (const port of [5001, 5002, 5003]) world.addNode(`127.0.0.1:${port}`);
  world.startCoordinator();
  addMembers(world, 3);
  return world;
}

function etcdGone(world: World, gone: boolean): void {
  if (world.etcd) world.etcd.gone = gone;
}

test("C10: while etcd is gone data flows, changes of the cluster wait, and nobody is elected; then they go on", () => {
  const world = threeNodes(1);
  const { epoch } = world.ask({ op: "status" });
  world.startCoordinator(SECOND);
  world.runFor(3_000);
  etcdGone(world, true);
  let moved = false;
  world.request({ op: "setreplica", rf: 2 }, () => (moved = true));
  for (let index = 0; index < 40; index++) {
    world.runFor(250);
    expect(world.ask({ op: "put", key: `k${index}`, value: "v" }, 500)).toMatchObject({ status: "ok" });
  }
  expect(moved).toBe(false);
  expect(world.ask({ op: "status" })).toMatchObject({ epoch, rf: 3, voters: [], stateAt: { answers: false } });
  etcdGone(world, false);
  world.runUntil(() => moved);
  expect(world.ask({ op: "status" })).toMatchObject({ epoch, rf: 2, stateAt: { answers: true } });

  etcdGone(world, true);
  world.crashCoordinator();
  world.runFor(10_000);
  expect(world.leader).toBeUndefined();
  etcdGone(world, false);
  world.runUntil(() => world.leader !== undefined);
  expect(world.ask({ op: "get", key: "k0" }, 5_000, SECOND)).toMatchObject({ status: "ok", value: "v" });
});

test("C10: a leader pauses only when it has neither its lease nor a majority of the nodes", () => {
  const world = threeNodes(2);
  world.crashNode("127.0.0.1:5001");
  world.crashNode("127.0.0.1:5002");
  world.runFor(3_000);
  expect(world.ask({ op: "get", key: "k" })).toMatchObject({ code: "NO_QUORUM" });
  etcdGone(world, true);
  world.runFor(5_000);
  expect(world.ask({ op: "get", key: "k" })).toMatchObject({ code: "NO_LEADER" });
  etcdGone(world, false);
  world.runFor(3_000);
  expect(world.ask({ op: "get", key: "k" })).toMatchObject({ code: "NO_QUORUM" });
});

test("C1: an etcd that went back learns again from the leader, or from the nodes when the leader is dead", () => {
  const world = threeNodes(3);
  world.etcd?.forget();
  expect(world.ask({ op: "setreplica", rf: 2 })).toMatchObject({ phase: "done" });
  const before = world.ask({ op: "status" });
  world.crashCoordinator();
  world.startCoordinator();
  world.runUntil(() => world.coordinator?.role === "leader");
  expect(world.ask({ op: "status" })).toMatchObject({
    cluster: before["cluster"],
    rf: 2,
    epoch: Number(before["epoch"]) + 1,
  });
});
