import { expect, test } from "vitest";
import { parseCursor } from "../../../coordinator/views/scan-cursor.ts";
import { simulateSlots } from "../../../shared/limits.ts";
import { World, type Message } from "../../simulation/world.ts";

simulateSlots(64);

const ADDRESSES = ["127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5003", "127.0.0.1:5004"];

function cluster(seed: number, nodes = 3): World {
  const world = new World(seed);
  for (const address of ADDRESSES) world.addNode(address);
  world.startCoordinator();
  for (let index = 0; index < nodes; index++) {
    const added = world.ask({ op: "addnode", node: "ABCD".charAt(index), address: ADDRESSES[index] });
    expect(added).toMatchObject({ status: "ok", phase: "done" });
  }
  return world;
}

/** Sends all requests at once and waits for their answers. */
function askAll(world: World, requests: readonly Message[]): Message[] {
  const answers: Message[] = [];
  for (const request of requests) world.request(request, (answer) => answers.push(answer));
  world.runUntil(() => answers.length === requests.length);
  return answers;
}

function putAll(world: World, keys: readonly string[]): void {
  const answers = askAll(
    world,
    keys.map((key) => ({ op: "put", key, value: `value of ${key}` })),
  );
  for (const answer of answers) expect(answer).toMatchObject({ status: "ok" });
}

function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

interface Pages {
  readonly keys: string[];
  pages: number;
}

/** Follows the cursor to the end. @param between Runs before each page but the first */
function scanAll(world: World, request: Message, between: (page: number) => void = () => undefined): Pages {
  const found: Pages = { keys: [], pages: 0 };
  let cursor: unknown;
  do {
    if (found.pages > 0) between(found.pages);
    const page = world.ask({ op: "scan", ...request, ...(cursor === undefined ? {} : { cursor }) });
    expect(page, String(page["message"])).toMatchObject({ status: "ok" });
    found.keys.push(...(page["keys"] as string[]));
    found.pages++;
    cursor = page["cursor"];
  } while (cursor !== undefined);
  return found;
}

const sorted = (keys: readonly string[]): string[] => [...keys].sort();

test("a scan of an empty cluster is one empty page", () => {
  const world = cluster(1, 1);
  expect(world.ask({ op: "scan" })).toEqual({ id: expect.any(Number) as number, status: "ok", keys: [] });
});

test("every key appears exactly once, whatever the size of the pages", () => {
  const world = cluster(2);
  const keys = numbered("key ", 400);
  putAll(world, keys);
  for (const limit of [17, 100, 1000]) {
    const { keys: found, pages } = scanAll(world, { limit });
    expect(sorted(found)).toEqual(sorted(keys));
    expect(pages).toBeLessThanOrEqual(Math.ceil(keys.length / limit) + 1);
  }
});

test("a prefix lists its keys alone, the one that equals it included", () => {
  const world = cluster(3);
  const users = ["user:", ...numbered("user:", 40), "user:é", "user:\u{1F34E}", "user:\uFF21"];
  putAll(world, [...users, ...numbered("use", 30), ...numbered("userx", 30), "v"]);
  expect(sorted(scanAll(world, { prefix: "user:", limit: 9 }).keys)).toEqual(sorted(users));
  expect(scanAll(world, { prefix: "nobody" }).keys).toEqual([]);
});

test("keys come by slot and then by key, and a page is never longer than its limit", () => {
  const world = cluster(4);
  putAll(world, numbered("k", 300));
  const whole = scanAll(world, { limit: 1000 }).keys;
  expect(scanAll(world, { limit: 13 }).keys).toEqual(whole);
  expect(world.ask({ op: "scan", limit: 13 })["keys"]).toEqual(whole.slice(0, 13));
});

test("deleted keys are not listed, and pages of nothing but tombstones lead on", () => {
  const world = cluster(5);
  const keys = numbered("gone ", 250);
  putAll(world, [...keys, "kept"]);
  askAll(
    world,
    keys.map((key) => ({ op: "delete", key })),
  );
  expect(scanAll(world, { limit: 1 }).keys).toEqual(["kept"]);
});

test("C6: with one of three nodes dead everything is listed; with two dead it is NO_QUORUM", () => {
  const world = cluster(6);
  const keys = numbered("key ", 200);
  putAll(world, keys);
  world.crashNode("127.0.0.1:5002");
  expect(sorted(scanAll(world, { limit: 50 }).keys)).toEqual(sorted(keys));
  world.crashNode("127.0.0.1:5003");
  expect(world.ask({ op: "scan", timeoutMs: 3000 })).toMatchObject({
    status: "error",
    code: "NO_QUORUM",
    outcome: "failed",
  });
});

test("C6: what a replica missed while it was away is listed, and what was deleted meanwhile is not", () => {
  const world = cluster(7);
  putAll(world, numbered("old ", 60));
  world.crashNode("127.0.0.1:5003");
  putAll(world, numbered("new ", 60));
  askAll(
    world,
    numbered("old ", 30).map((key) => ({ op: "delete", key })),
  );
  world.startNode("127.0.0.1:5003");
  world.runUntil(() => world.ask({ op: "status" })["underReplicatedSlots"] === 0);
  const expected = [...numbered("new ", 60), ...numbered("old ", 60).slice(30)];
  for (const dead of ["127.0.0.1:5001", "127.0.0.1:5002"]) {
    world.crashNode(dead);
    expect(sorted(scanAll(world, { limit: 20 }).keys)).toEqual(sorted(expected));
    world.startNode(dead);
  }
});

test("a cursor stays good when the coordinator restarts and wins a new epoch", () => {
  const world = cluster(8);
  const keys = numbered("key ", 150);
  putAll(world, keys);
  const { keys: found } = scanAll(world, { limit: 40 }, () => {
    world.crashCoordinator();
    world.startCoordinator();
    world.runUntil(() => world.coordinator?.role === "leader");
  });
  expect(sorted(found)).toEqual(sorted(keys));
});

test("a scan beside writes lists every key that is there throughout exactly once", () => {
  for (const seed of [11, 12]) {
    const world = cluster(seed);
    const kept = numbered("kept ", 150);
    putAll(world, [...kept, ...numbered("coming and going ", 100)]);
    let writes = 0;
    const write = (): void => {
      const index = Math.floor(world.random() * 150);
      const change =
        world.random() < 0.5
          ? { op: "put", key: `kept ${index}`, value: `again ${++writes}` }
          : world.random() < 0.5
            ? { op: "delete", key: `coming and going ${index}` }
            : { op: "put", key: `coming and going ${index}`, value: "back" };
      world.request(change, write);
    };
    for (let client = 0; client < 20; client++) write();
    const { keys: found } = scanAll(world, { limit: 25 });
    expect(new Set(found).size, `seed ${seed}`).toBe(found.length);
    expect(sorted(found.filter((key) => key.startsWith("kept"))), `seed ${seed}`).toEqual(sorted(kept));
    expect(writes, `seed ${seed}`).toBeGreaterThan(20);
  }
});

test("M2, M4: a scan during a rebalance lists every key that is there throughout exactly once", () => {
  for (const seed of [21, 22]) {
    const world = cluster(seed);
    const keys = numbered("key ", 120);
    putAll(world, keys);
    const ended: Message[] = [];
    let found: Pages = { keys: [], pages: 0 };
    let scansWhileMoving = 0;
    const during = (change: Message): void => {
      ended.length = 0;
      world.request(change, (answer) => ended.push(answer));
      do {
        found = scanAll(world, { limit: 40, timeoutMs: 10_000 });
        expect(sorted(found.keys), `seed ${seed}`).toEqual(sorted(keys));
        scansWhileMoving++;
      } while (ended.length === 0);
      expect(ended[0], `seed ${seed}`).toMatchObject({ phase: "done" });
    };
    during({ op: "addnode", node: "D", address: ADDRESSES[3] });
    during({ op: "removenode", node: "A" });
    expect(scansWhileMoving).toBeGreaterThanOrEqual(2);
  }
});

test("M2: a page waits for a slot that is held, but not beyond its deadline", () => {
  const world = cluster(31);
  putAll(world, numbered("key ", 20));
  const timeoutMs = 40;
  const answers: Message[] = [];
  const ask = (): void => {
    const askedAt = world.timers.now;
    world.request({ op: "scan", limit: 5, timeoutMs }, (answer) => {
      answers.push(answer);
      if (answer["status"] !== "ok") expect(answer).toMatchObject({ code: "MOVING", outcome: "failed" });
      expect(world.timers.now - askedAt).toBeLessThan(timeoutMs + 30);
      if (!added) ask();
    });
  };
  let added = false;
  world.request({ op: "addnode", node: "D", address: ADDRESSES[3] }, () => {
    added = true;
  });
  for (let client = 0; client < 10; client++) ask();
  world.runUntil(() => added);
  expect(answers.filter(({ status }) => status === "ok").length).toBeGreaterThan(10);
});

test("a delete that only one replica has seen does not hide a key unless it takes effect (FIX)", () => {
  const world = cluster(32);
  putAll(world, ["k"]);
  for (const address of ["127.0.0.1:5002", "127.0.0.1:5003"]) world.crashNode(address);
  expect(world.ask({ op: "delete", key: "k", timeoutMs: 100 })).toMatchObject({ status: "error" });
  for (const address of ["127.0.0.1:5002", "127.0.0.1:5003"]) world.startNode(address);
  world.runUntil(() => world.ask({ op: "stats" })["nodes"] === 3);
  world.runUntil(() => world.ask({ op: "scan" })["status"] === "ok");
  const listed = world.ask({ op: "scan" })["keys"];
  const read = world.ask({ op: "get", key: "k" });
  expect(listed).toEqual(read["status"] === "ok" ? ["k"] : []);
});

test("a cursor is refused where no scan of that prefix gave it", () => {
  for (const text of ["", "17", "5000.3", "1.0", "1.2.other", "x.y.z", "1.99999999"]) {
    expect(() => parseCursor(text, "user:"), text).toThrow(/cursor/);
  }
  expect(parseCursor("17.40.user:1.2", "user:")).toEqual({ place: { slot: 17, key: "user:1.2" }, spread: 40 });
  const world = cluster(33, 1);
  expect(world.ask({ op: "scan", cursor: "never" })).toMatchObject({ code: "BAD_REQUEST" });
});
