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
