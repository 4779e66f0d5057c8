// Failure detection on the simulated network: a stopped node is suspected and then down, a broken path is only suspicious while other nodes
// reach it, and a leader that stood still itself accuses nobody.
import { expect, test } from "vitest";
import { simulateSlots } from "../../../shared/limits.ts";
import { addMembers } from "../../simulation/members.ts";
import { World } from "../../simulation/world.ts";

simulateSlots(64);

const LEADER = "127.0.0.1:7401";
const B = "127.0.0.1:5002";

function threeNodes(seed: number, notices: string[]): World {
  const world = new World(seed, { trace: (text) => void notices.push(text) });
  for (const port of [5001, 5002, 5003]) world.addNode(`127.0.0.1:${port}`);
  world.startCoordinator();
  addMembers(world, 3);
  return world;
}

function stateOf(world: World, id: string): unknown {
  const { nodes } = world.ask({ op: "nodes" }) as unknown as { nodes: { id: string; state: string }[] };
  return nodes.find((node) => node.id === id)?.state;
}

test("a node that is stopped is suspected, then down, and up again when it goes on", () => {
  const notices: string[] = [];
  const world = threeNodes(1, notices);
  world.nodes.get(B)?.process.pause();
  world.runFor(2_200);
  expect(stateOf(world, "B")).toBe("suspect");
  world.runFor(2_500);
  expect(stateOf(world, "B")).toBe("down");
  world.nodes.get(B)?.process.resume();
  world.runFor(1_500);
  expect(stateOf(world, "B")).toBe("up");
  expect(notices.filter((text) => text.includes(": node B"))).toHaveLength(2);
});

test("a node that others reach is suspected, never down, however long its path to the leader is broken", () => {
  const world = threeNodes(2, []);
  world.network.block(B, LEADER);
  world.runFor(2_200);
  for (let second = 0; second < 10; second++) {
    expect(stateOf(world, "B")).toBe("suspect");
    world.runFor(1_000);
  }
  world.network.heal();
  world.runFor(2_000);
  expect(stateOf(world, "B")).toBe("up");
});

test("a leader that stood still for longer than nodes may be silent calls none of them down", () => {
  const notices: string[] = [];
  const world = threeNodes(3, notices);
  const leader = world.coordinators.get(LEADER);
  leader?.process.pause();
  world.runFor(8_000);
  leader?.process.resume();
  world.runFor(3_000);
  expect(notices.filter((text) => text.includes("is down"))).toEqual([]);
  expect(stateOf(world, "B")).toBe("up");
});
