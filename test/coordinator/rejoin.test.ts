import { expect, test } from "vitest";
import { simulateSlots } from "../../shared/limits.ts";
import { World, type Message } from "../simulation/world.ts";

simulateSlots(64);

const address = (port: number): string => `127.0.0.1:${port}`;

function cluster(seed: number, nodes: Readonly<Record<string, number>>): World {
  const world = new World(seed);
  for (const port of [5001, 5002, 5003, 5009]) world.addNode(address(port));
  world.startCoordinator();
  for (const [node, port] of Object.entries(nodes)) {
    expect(world.ask({ op: "join", node, address: address(port) })).toMatchObject({ phase: "done", done: true });
  }
  for (let index = 0; index < 20; index++) world.ask({ op: "put", key: `key ${index}`, value: "v" });
  return world;
}

/** The data directory goes to another address. */
function move(world: World, from: number, to: number): void {
  world.crashNode(address(from));
  world.crashNode(address(to));
  const [old, next] = [world.nodes.get(address(from)), world.nodes.get(address(to))];
  if (!old || !next) throw new Error("no such node");
  next.disk = old.disk;
  world.startNode(address(to));
}

function membersOf(world: World): Message[] {
  return world.ask({ op: "ring" })["members"] as Message[];
}

test("a node that joins becomes a member, the first one makes the cluster, and members keep what they are", () => {
  const world = cluster(61, { A: 5001, B: 5002 });
  const before = world.ask({ op: "status" });
  expect(world.ask({ op: "join", node: "B", address: address(5002) })).toMatchObject({
    status: "ok",
    phase: "done",
    done: true,
    slotsMoved: 0,
  });
  expect(world.ask({ op: "status" })["ballot"]).toBe(before["ballot"]);
  expect(membersOf(world).map(({ id }) => id)).toEqual(["A", "B"]);
});

test("a known incarnation at a new address gets its address updated, its seat too, and nothing moves", () => {
  const world = cluster(62, { A: 5001, B: 5002, C: 5003 });
  const before = world.ask({ op: "ring" });
  move(world, 5002, 5009);
  expect(world.ask({ op: "join", node: "B", address: address(5009) })).toMatchObject({ done: true, slotsMoved: 0 });
  const after = world.ask({ op: "ring" });
  expect(after["slots"]).toEqual(before["slots"]);
  expect(membersOf(world).map(({ id, address: at }) => [id, at])).toEqual([
    ["A", address(5001)],
    ["B", address(5009)],
    ["C", address(5003)],
  ]);
  expect(world.ask({ op: "status" })["voters"]).toContainEqual({ id: "B", address: address(5009), answers: true });
  // The moved node serves: with another one dead it is needed for every quorum.
  world.crashNode(address(5001));
  for (let index = 0; index < 20; index++) {
    expect(world.ask({ op: "get", key: `key ${index}` })).toMatchObject({ status: "ok" });
  }
});

test("V5: the only voter moves, and its vote is asked for at its new address", () => {
  const world = cluster(63, { A: 5001 });
  move(world, 5001, 5009);
  expect(world.ask({ op: "join", node: "A", address: address(5009) })).toMatchObject({ done: true });
  expect(world.ask({ op: "put", key: "key 1", value: "again" })).toMatchObject({ status: "ok" });
  world.crashCoordinator();
  world.startCoordinator();
  world.runUntil(() => world.coordinator?.role === "leader");
  expect(world.ask({ op: "get", key: "key 1" })).toMatchObject({ value: "again" });
});

test("V5: voters that moved while nobody led are found by asking to join", () => {
  const world = cluster(66, { A: 5001 });
  world.crashCoordinator();
  move(world, 5001, 5009);
  world.startCoordinator();
  world.runFor(5_000);
  expect(world.coordinator?.role).toBe("waiting");
  expect(world.ask({ op: "join", node: "A", address: address(5009) })).toMatchObject({ code: "NO_LEADER" });
  world.runUntil(() => world.coordinator?.role === "leader");
  expect(world.ask({ op: "join", node: "A", address: address(5009) })).toMatchObject({ done: true });
  expect(world.ask({ op: "get", key: "key 1" })).toMatchObject({ value: "v" });
});

test("the same incarnation under another id is refused, and so are an id, an address and a cluster that are taken", () => {
  const world = cluster(64, { A: 5001, B: 5002 });
  const join = (node: string, port: number): Message => world.ask({ op: "join", node, address: address(port) });
  expect(join("X", 5001)).toMatchObject({
    code: "NODE_EXISTS",
    message: expect.stringContaining("is node A's") as string,
  });
  expect(join("A", 5003)).toMatchObject({
    code: "NODE_EXISTS",
    message: expect.stringContaining("other data") as string,
  });
  world.crashNode(address(5003));
  expect(join("C", 5003)).toMatchObject({ code: "NODE_UNREACHABLE", retryable: true });
  // A's data at B's address: two members there would answer for each other.
  move(world, 5001, 5002);
  expect(join("A", 5002)).toMatchObject({
    code: "NODE_EXISTS",
    message: expect.stringContaining("B's address") as string,
  });
  expect(membersOf(world).map(({ address: at }) => at)).toEqual([address(5001), address(5002)]);
});

test("a node that asks again while it is being added is told how that goes, and is added once", () => {
  const world = cluster(65, { A: 5001, B: 5002 });
  const answers: Message[] = [];
  const ask = (): void =>
    world.request({ op: "join", node: "C", address: address(5003) }, (answer) => answers.push(answer));
  ask();
  world.runUntil(() => (world.ask({ op: "ops" })["operations"] as Message[]).some(({ phase }) => phase === "moving"));
  ask();
  world.runUntil(() => answers.length === 2);
  expect(answers[0]).toMatchObject({ phase: "done", done: true });
  expect(answers[1]).toMatchObject({ phase: "done", done: true, operation: answers[0]?.["operation"] });
  expect(membersOf(world).map(({ id }) => id)).toEqual(["A", "B", "C"]);
});

test("a node that lost its disk counts in no quorum, joins again under its id, and has everything again", () => {
  const world = cluster(67, { A: 5001, B: 5002, C: 5003 });
  expect(world.ask({ op: "delete", key: "key 7" })).toMatchObject({ status: "ok" });
  const before = membersOf(world).find(({ id }) => id === "B");
  world.crashNode(address(5002));
  world.nodes.get(address(5002))?.wipe();
  world.startNode(address(5002));
  const read = (index: number): unknown => world.ask({ op: "get", key: `key ${index}` })["status"];
  for (let index = 0; index < 20; index++) expect(read(index)).toBe(index === 7 ? "error" : "ok");
  expect(world.ask({ op: "join", node: "B", address: address(5002) })).toMatchObject({ kind: "addnode", done: true });
  expect(membersOf(world).find(({ id }) => id === "B")?.["incarnation"]).not.toBe(before?.["incarnation"]);
  // Only B and one other are left: B is needed for every quorum.
  world.crashNode(address(5001));
  for (let index = 0; index < 20; index++) expect(read(index)).toBe(index === 7 ? "error" : "ok");
});

test("a node that lost the only copy of something is not let in over it", () => {
  const world = cluster(68, { A: 5001, B: 5002 });
  expect(world.ask({ op: "setreplica", rf: 1 })).toMatchObject({ phase: "done" });
  world.crashNode(address(5002));
  world.nodes.get(address(5002))?.wipe();
  world.startNode(address(5002));
  expect(world.ask({ op: "join", node: "B", address: address(5002) })).toMatchObject({ code: "NODE_EXISTS" });
});

test("nodes that are added at the same time do not lose each other's greeting", () => {
  for (let seed = 70; seed < 80; seed++) {
    const world = cluster(seed, { A: 5001 });
    const phases: unknown[] = [];
    for (const [node, port] of [
      ["B", 5002],
      ["C", 5003],
      ["D", 5009],
    ] as const)
      world.request({ op: "addnode", node, address: address(port) }, ({ phase }) => void phases.push(phase));
    world.runUntil(() => phases.length === 3, 30_000);
    expect(phases, `seed ${seed}`).toEqual(["done", "done", "done"]);
  }
});

test("C0: a coordinator that looks for its cluster makes no other one of a blank node that asks to be let in (seed 481672)", () => {
  const nodes = { A: 5001, B: 5002, C: 5003 };
  const world = cluster(70, nodes);
  const before = world.ask({ op: "hello", versions: [1, 1] })["cluster"];
  world.crashCoordinator();
  for (const port of Object.values(nodes)) world.network.block("127.0.0.1:7401", address(port));
  expect(world.ask({ op: "ping" })).toMatchObject({ code: "LOST" });
  world.startCoordinator();
  for (let asked = 0; asked < 20; asked++)
    expect(world.ask({ op: "join", node: "D", address: address(5009) })).toMatchObject({ code: "NO_LEADER" });
  world.network.heal();
  world.runUntil(() => world.coordinator?.role === "leader");
  expect(world.ask({ op: "hello", versions: [1, 1] })["cluster"]).toBe(before);
  expect(world.ask({ op: "join", node: "D", address: address(5009) })).toMatchObject({ phase: "done" });
  expect(world.ask({ op: "get", key: "key 1" })).toMatchObject({ value: "v" });
});
