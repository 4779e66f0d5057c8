// V5: a leader that ends while the second voter gets its seat leaves a cluster that somebody can lead.
import { expect, test } from "vitest";
import { simulateSlots } from "../../../shared/limits.ts";
import type { Passing } from "../../simulation/network.ts";
import { World } from "../../simulation/world.ts";

simulateSlots(8);

const LEADER = "127.0.0.1:7401";
const [A, B] = ["127.0.0.1:5001", "127.0.0.1:5002"] as const;

/** Asks of a voter to accept a state in which both vote. */
function seatsBoth({ from, message }: Passing): boolean {
  if (from !== LEADER || message["op"] !== "accept") return false;
  const { voters } = JSON.parse(String(message["state"])) as { readonly voters: readonly { readonly id: string }[] };
  return voters.length === 2;
}

test.each(["the second voter", "the first voter"])(
  "V5: the leader ends when only %s has not heard of the set of two",
  (deaf) => {
    const world = new World(1);
    for (const address of [A, B]) world.addNode(address);
    world.startCoordinator();
    expect(world.ask({ op: "addnode", node: "A", address: A })).toMatchObject({ phase: "done" });
    expect(world.ask({ op: "put", key: "apple", value: "red" })).toMatchObject({ status: "ok" });
    let asked = 0;
    world.network.intercept = (passing) => {
      if (!seatsBoth(passing)) return undefined;
      asked++;
      if (asked === 1) world.timers.after(20, () => world.crashCoordinator());
      return passing.to === (deaf === "the second voter" ? B : A) ? "lost" : undefined;
    };
    world.request({ op: "addnode", node: "B", address: B }, () => undefined);
    world.runUntil(() => world.coordinator === undefined, 10_000);
    expect(asked).toBeGreaterThan(1);
    world.network.intercept = undefined;
    world.startCoordinator();
    world.runUntil(() => world.coordinator?.role === "leader", 20_000);
    world.runUntil(() => world.coordinator?.state?.operations.length === 0, 20_000);
    expect(world.ask({ op: "get", key: "apple" })).toMatchObject({ value: "red" });
  },
);

test("V5: who promised this epoch to a rival while it voted gets a seat again, in another epoch (seed 505409)", () => {
  const world = new World(3);
  const at = (index: number): string => `127.0.0.1:${5001 + index}`;
  for (let index = 0; index < 6; index++) world.addNode(at(index));
  world.startCoordinator();
  for (const [index, node] of ["A", "B", "C", "D", "E"].entries())
    expect(world.ask({ op: "addnode", node, address: at(index) })).toMatchObject({ phase: "done" });
  const voters = (): string =>
    world.coordinator?.state?.voters
      .map(({ id }) => id)
      .toSorted()
      .join("") ?? "";
  world.runUntil(() => voters() === "ABCDE");
  const cluster = world.coordinator?.state?.cluster;
  world.crashCoordinator();
  // The next leader is elected without E, which gives that epoch to somebody else.
  world.network.block(LEADER, at(4));
  world.startCoordinator();
  world.runUntil(() => world.coordinator?.role === "leader");
  const epoch = Number(world.ask({ op: "hello", versions: [1, 1] })["epoch"]);
  const owner = "00000000-0000-4000-8000-000000000001";
  expect(world.ask({ op: "prepare", cluster, voter: "E", epoch, owner }, 5_000, at(4))).toMatchObject({ status: "ok" });
  world.network.heal();
  expect(world.ask({ op: "removenode", node: "D" })).toMatchObject({ phase: "done" });
  world.runUntil(() => voters() === "ABC");
  world.request({ op: "addnode", node: "F", address: at(5) }, () => undefined);
  world.runUntil(() => voters() === "ABCEF" && world.coordinator?.state?.operations.length === 0);
  expect(Number(world.ask({ op: "hello", versions: [1, 1] })["epoch"])).toBeGreaterThan(epoch);
});
