import { expect, test } from "vitest";
import { LocalVoter, type LocalVoterFile } from "../../../coordinator/election/local-voter.ts";
import type { ClusterId, OwnerId } from "../../../shared/ids.ts";
import { simulateSlots } from "../../../shared/limits.ts";
import { World, type Message } from "../../simulation/world.ts";

simulateSlots(64);

const FIRST = "127.0.0.1:7401";
const SECOND = "127.0.0.1:7402";
const OWNER = "00000000-0000-4000-8000-00000000000a";

/** Two nodes: the third record is the coordinator's (V5). */
function twoNodes(seed: number): World {
  const world = new World(seed);
  world.startCoordinator();
  for (const [node, address] of Object.entries({ A: "127.0.0.1:5001", B: "127.0.0.1:5002" })) {
    world.addNode(address);
    expect(world.ask({ op: "addnode", node, address })).toMatchObject({ phase: "done" });
  }
  return world;
}

function seatOf(world: World): string {
  const seats = world.ask({ op: "status" })["voters"] as { id: string }[];
  return seats.find(({ id }) => id.startsWith("coordinator:"))?.id ?? "";
}

test("V1–V3: a coordinator answers for its own record on its port, as a node does", () => {
  const world = twoNodes(71);
  const voter = seatOf(world);
  const found = world.ask({ op: "inspect" });
  expect(found).toMatchObject({ status: "ok", voter, node: null, promised: 1, ballot: [1, expect.any(Number)] });
  const { cluster } = JSON.parse(String(found["state"])) as { cluster: string };
  expect(found["cluster"]).toBe(cluster);
  const prepare = (epoch: number): Message => world.ask({ op: "prepare", cluster, voter, epoch, owner: OWNER });
  expect(prepare(1)).toMatchObject({ status: "error", code: "OUT_PROMISED", promised: 1 });
  expect(prepare(7)).toMatchObject({ status: "ok", promised: 7, ballot: found["ballot"], state: found["state"] });
  expect(world.ask({ op: "inspect" })).toMatchObject({ promised: 7 });
  const accept = { op: "accept", cluster, voter, owner: OWNER, ballot: [7, 1], state: found["state"] };
  expect(world.ask(accept)).toMatchObject({ status: "ok" });
  expect(world.ask({ ...accept, ballot: [6, 9] })).toMatchObject({ code: "OUT_PROMISED", promised: 7 });
});

test("a vote for another seat, another cluster or without an owner is refused", () => {
  const world = twoNodes(72);
  const { cluster } = world.ask({ op: "inspect" });
  const vote = { op: "prepare", cluster, voter: seatOf(world), epoch: 9, owner: OWNER };
  expect(world.ask({ ...vote, voter: "coordinator:elsewhere" })).toMatchObject({ code: "WRONG_NODE" });
  expect(world.ask({ ...vote, voter: "A" })).toMatchObject({ code: "WRONG_NODE" });
  expect(world.ask({ ...vote, cluster: OWNER })).toMatchObject({ code: "WRONG_NODE" });
  expect(world.ask({ ...vote, owner: "me" })).toMatchObject({ code: "BAD_REQUEST" });
  expect(world.ask({ op: "inspect" })).toMatchObject({ promised: 1 });
});

test("V5: a second coordinator counts the record that the first one keeps, and wins with it", () => {
  const world = twoNodes(73);
  expect(world.ask({ op: "put", key: "k", value: "v" })).toMatchObject({ status: "ok" });
  world.crashCoordinator();
  world.crashNode("127.0.0.1:5001");
  world.startCoordinator(SECOND);
  world.runFor(3_000);
  expect(world.coordinators.get(SECOND)?.core?.role).toBe("waiting");
  // The first comes back, and does not reach the node that is left: alone it cannot win.
  world.network.block(FIRST, "127.0.0.1:5002");
  world.network.block("127.0.0.1:5002", FIRST);
  world.startCoordinator(FIRST);
  world.runUntil(() => world.coordinators.get(SECOND)?.core?.role === "leader");
  expect(world.ask({ op: "inspect" })).toMatchObject({ promised: world.coordinators.get(SECOND)?.core?.epoch });
});

test("V2: nothing is answered before it is durable: not a repetition, a refusal or an inspection either", () => {
  const saved: { readonly file: LocalVoterFile; readonly token: number }[] = [];
  const voter = new LocalVoter("coordinator:1", undefined, (file, token) => void saved.push({ file, token }));
  const cluster = "c" as ClusterId;
  const owner = OWNER as OwnerId;
  const seat = { cluster, voter: "coordinator:1" };
  const answers = [
    voter.accept({ ...seat, owner, ballot: [3, 1], state: "{}", seat: true }),
    voter.accept({ ...seat, owner, ballot: [3, 1], state: "{}" }),
    voter.prepare({ ...seat, owner, epoch: 2 }),
    voter.inspection(),
  ];
  expect(answers.map(({ done }) => done)).toEqual([false, false, false, false]);
  for (const { token } of saved) voter.persisted(token);
  const told: unknown[] = [];
  for (const answer of answers) answer.whenDone(({ status, promised }) => told.push([status, promised]));
  expect(told).toEqual([
    ["ok", 3],
    ["ok", 3],
    ["error", 3],
    ["ok", 3],
  ]);
  expect(saved.at(-1)?.file.record).toMatchObject({ promised: 3, ballot: [3, 1] });
});
