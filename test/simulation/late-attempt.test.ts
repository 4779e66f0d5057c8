// C8: a first attempt that arrives when its leadership has gone away and come back, while the leader in between has applied its retry.
import { expect, test } from "vitest";
import { simulateSlots } from "../../shared/limits.ts";
import { addMembers } from "./members.ts";
import { Process } from "./process.ts";
import { Asking, World, type Message } from "./world.ts";

const FIRST = "127.0.0.1:7401";
const SECOND = "127.0.0.1:7402";

test("C8: what was sent to an earlier leadership of the same process is not taken by a later one", () => {
  simulateSlots(8);
  const world = new World(1);
  for (const port of [5001, 5002, 5003]) world.addNode(`127.0.0.1:${port}`);
  world.startCoordinator(FIRST);
  addMembers(world, 3);
  world.startCoordinator(SECOND);
  world.runUntil(() => world.coordinators.get(SECOND)?.core?.role === "standby");

  const client = new Process("client", world.timers);
  client.start();
  const asking = new Asking(world.network, client, FIRST);
  let greeting: Message | undefined;
  asking.ask({ op: "hello", versions: [1, 1] }, (answer) => (greeting = answer));
  world.runUntil(() => greeting !== undefined);
  const firstEpoch = Number(greeting?.["epoch"]);

  // The connection stands, but nothing that the client sends gets through.
  world.network.block("client", FIRST);
  const write = { op: "put", key: "k", value: "first", operation: "client:1" };
  let late: Message | undefined;
  asking.ask(write, (answer) => (late = answer));

  handOver(world, FIRST, SECOND);
  expect(world.ask({ ...write, firstEpoch }, 60_000, SECOND)).toMatchObject({ status: "ok" });
  expect(world.ask({ op: "put", key: "k", value: "second" }, 60_000, SECOND)).toMatchObject({ status: "ok" });
  handOver(world, SECOND, FIRST);

  world.network.heal();
  world.runFor(5_000);
  expect(world.ask({ op: "get", key: "k" })).toMatchObject({ value: "second" });
  expect(late).toMatchObject({ status: "error", code: "NOT_LEADER", leader: FIRST });
});

/** Takes a moment: the standby has to be known first. */
function handOver(world: World, from: string, to: string): void {
  while (world.ask({ op: "stepdown" }, 60_000, from)["status"] !== "ok") world.runFor(100);
  world.runUntil(() => world.leader?.process.name === to);
}
