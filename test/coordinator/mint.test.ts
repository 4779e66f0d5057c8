import { expect, test } from "vitest";
import { simulateSlots } from "../../shared/limits.ts";
import { World } from "../simulation/world.ts";

simulateSlots(64);

const NODE = "127.0.0.1:5001";

/** A blank node and a coordinator without a cluster, between which the first answers to `init` do not arrive. */
function worldLosing(answers: number, how: "silently" | "with the connection"): World {
  const world = new World(71);
  world.addNode(NODE);
  world.startCoordinator();
  const asked = new Set<unknown>();
  let left = answers;
  world.network.intercept = ({ from, message, connection }) => {
    if (message["op"] === "init") asked.add(message["id"]);
    else if (from === NODE && asked.has(message["id"]) && message["status"] === "ok" && left > 0) {
      asked.delete(message["id"]);
      left--;
      if (how === "with the connection") connection.break();
      return "lost";
    }
    return undefined;
  };
  return world;
}

test.each([
  [1, "silently"],
  [3, "silently"],
  [2, "with the connection"],
] as const)(
  "C0: %d answers to the making of a cluster get lost %s: there is one cluster all the same",
  (answers, how) => {
    const world = worldLosing(answers, how);
    expect(world.ask({ op: "join", node: "A", address: NODE })).toMatchObject({ phase: "done", done: true });
    expect(world.ask({ op: "put", key: "a", value: "b" })).toMatchObject({ status: "ok" });
  },
);

test("C0: a node that never answers is given up after a while", () => {
  const world = worldLosing(1_000, "silently");
  expect(world.ask({ op: "join", node: "A", address: NODE })).toMatchObject({ code: "NODE_UNREACHABLE" });
});
