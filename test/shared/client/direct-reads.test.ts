import { afterEach, expect, test } from "vitest";
import { connect } from "../../../shared/client/connect.ts";
import type { KvClient } from "../../../shared/client/client.ts";
import { slotOf } from "../../../shared/slot.ts";
import type { Script } from "./fake-server.ts";
import { CLUSTER, FakeServer, until } from "./fake-server.ts";

const SEED = 7;
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function node(name: string, script: Script): Promise<FakeServer> {
  const server = await FakeServer.start(script);
  server.hello = { protocol: 1, role: "node", cluster: CLUSTER, node: name, incarnation: `i-${name}`, fence: 3 };
  closing.push(() => server.stop());
  return server;
}

/** A leader whose ring has these nodes, with the slot of `key` on all of them in this order, and other slots on none. */
async function leaderOf(nodes: FakeServer[], key: string): Promise<{ leader: FakeServer; kv: KvClient }> {
  const members = nodes.map(({ hello, address }) => ({
    id: hello["node"],
    incarnation: hello["incarnation"],
    address,
    weight: 1,
  }));
  const slots = Array.from({ length: 4096 }, (_, slot) =>
    slot === slotOf(key, SEED) ? members.map((_member, index) => index) : [],
  );
  const leader = await FakeServer.start(({ message, answer }) => {
    if (message.op === "ring") answer({ cluster: CLUSTER, seed: SEED, ballot: "3.1", epoch: 3, rf: 2, members, slots });
    else answer({ value: "from the leader", version: "3.9" });
  });
  closing.push(() => leader.stop());
  const kv = await connect(leader.address);
  closing.push(() => kv.close());
  return { leader, kv };
}

const holds =
  (value: string): Script =>
  ({ answer }) =>
    answer({ value, version: [4, 2], origin: [3, 1] });

test("level one is read from the first replica, stale, with the origin as its version; ring and link are kept", async () => {
  const [a, b] = [await node("A", holds("1")), await node("B", holds("2"))];
  const { leader, kv } = await leaderOf([a, b], "apple");
  for (let n = 0; n < 3; n++) {
    const entry = await kv.get("apple", { consistency: "one" });
    expect([entry?.text(), entry?.version, entry?.stale]).toEqual(["1", "3.1", true]);
  }
  expect([leader.of("ring").length, leader.of("get").length, a.connections, b.connections]).toEqual([1, 0, 1, 0]);
  expect(a.asked[0]?.message).toEqual({ id: expect.any(Number) as number, op: "read", key: "apple" });
});

test("a register that is absent, or a tombstone, reads as null", async () => {
  const a = await node("A", ({ answer }) => answer({ value: null, version: [0, 0] }));
  const { kv } = await leaderOf([a], "apple");
  expect(await kv.get("apple", { consistency: "one" })).toBeNull();
  a.script = ({ answer }) => answer({ value: null, version: [3, 8] });
  expect(await kv.get("apple", { consistency: "one" })).toBeNull();
});

test("N7: NOT_OWNER goes to the next replica, and has the ring fetched again for later reads", async () => {
  const a = await node("A", ({ refuse }) => refuse("NOT_OWNER"));
  const b = await node("B", holds("2"));
  const { leader, kv } = await leaderOf([a, b], "apple");
  while (leader.of("ring").length < 2) {
    expect((await kv.get("apple", { consistency: "one" }))?.text()).toBe("2");
  }
  expect(leader.of("get")).toEqual([]);
});

test("where no replica answers the coordinator is asked, and the ring is fetched again at most once a second", async () => {
  const a = await node("A", ({ refuse }) => refuse("NOT_OWNER"));
  const { leader, kv } = await leaderOf([a], "apple");
  for (let n = 0; n < 20; n++) {
    const entry = await kv.get("apple", { consistency: "one" });
    expect([entry?.text(), entry?.stale]).toEqual(["from the leader", true]);
  }
  expect(leader.of("get")).toHaveLength(20);
  expect(leader.of("get")[0]).toMatchObject({ consistency: "one" });
  expect(leader.of("ring").length).toBeLessThanOrEqual(2);
});

test("a dead node costs one attempt; a silent one is left alone for a while", async () => {
  const dead = await node("A", holds("1"));
  const silent = await node("B", () => {});
  const c = await node("C", holds("3"));
  const { kv } = await leaderOf([dead, silent, c], "apple");
  await dead.stop();
  for (let n = 0; n < 10; n++) expect((await kv.get("apple", { consistency: "one" }))?.text()).toBe("3");
  expect([silent.asked.length, c.asked.length]).toEqual([1, 10]);
});

test("a node of another incarnation at a known address is not believed", async () => {
  const a = await node("A", holds("1"));
  const { kv } = await leaderOf([a], "apple");
  a.hello = { ...a.hello, incarnation: "i-other" };
  expect((await kv.get("apple", { consistency: "one" }))?.text()).toBe("from the leader");
  expect(a.asked).toEqual([]);
});

test("order: a direct read waits for the client's own earlier write, and a later write for the read", async () => {
  const a = await node("A", () => {});
  const { leader, kv } = await leaderOf([a], "apple");
  await kv.get("other"); // the ring is not known yet, the connection is
  const plain = leader.script;
  leader.script = (asked) => (asked.message.op === "put" ? undefined : plain(asked));
  const write = kv.put("apple", "1");
  const read = kv.get("apple", { consistency: "one" });
  const next = kv.put("apple", "2");
  await until(() => leader.of("put").length === 1, "the write arrives");
  await kv.get("other"); // whatever was sent before has arrived as well
  expect([a.asked.length, leader.of("put").length]).toEqual([0, 1]);
  leader.asked.find(({ message }) => message.op === "put")?.answer({ version: "3.1" });
  await write;
  await until(() => a.asked.length === 1, "the read arrives");
  expect(leader.of("put")).toHaveLength(1);
  a.asked[0]?.answer({ value: "1", version: [3, 1] });
  expect((await read)?.text()).toBe("1");
  await until(() => leader.of("put").length === 2, "the second write arrives");
  leader.asked.at(-1)?.answer({ version: "3.2" });
  expect((await next).version).toBe("3.2");
});
