// `holdfast/testing`: what the tests of an application can do with a cluster in their own process.
import { expect, test } from "vitest";
import { startCluster } from "../../coordinator/testing.ts";

test("one node is enough to write, read, scan and delete; closing frees everything", async () => {
  const cluster = await startCluster();
  const kv = await cluster.connect();
  const { version } = await kv.put("user:1", "Alice");
  expect((await kv.get("user:1"))?.version).toBe(version);
  const keys: string[] = [];
  for await (const key of kv.scan({ prefix: "user:" })) keys.push(key);
  expect(keys).toEqual(["user:1"]);
  await kv.delete("user:1");
  expect(await kv.get("user:1")).toBeNull();
  const { addresses } = cluster;
  await cluster.close();
  await cluster.close();
  await expect(kv.get("user:1")).rejects.toThrow();
  expect(addresses).toHaveLength(1);
});

test("nodes stop and come back, the leader goes, and what was acknowledged stays", async () => {
  await using cluster = await startCluster({ nodes: 3, coordinators: 2 });
  expect(cluster.nodeIds).toEqual(["A", "B", "C"]);
  const kv = await cluster.connect({ timeoutMs: 20_000 });
  await kv.put("a", "1");
  await cluster.stopNode("B");
  await kv.put("a", "2");
  await cluster.startNode("B");
  await cluster.stopLeader();
  expect((await kv.get("a"))?.text()).toBe("2");
  await kv.put("a", "3", { consistency: "all" });
  await cluster.addNode("D");
  expect((await kv.get("a"))?.text()).toBe("3");
});

test("two clusters live beside each other, and mistakes are named", async () => {
  await using one = await startCluster();
  await using other = await startCluster({ valueBytesMax: 10 });
  const [first, second] = [await one.connect(), await other.connect()];
  await first.put("who", "one");
  expect(await second.get("who")).toBeNull();
  await expect(second.put("long", "12345678901")).rejects.toMatchObject({ code: "TOO_LARGE" });
  await expect(one.stopNode("Z")).rejects.toMatchObject({ code: "NO_SUCH_NODE" });
  await expect(startCluster({ nodes: 0 })).rejects.toMatchObject({ code: "BAD_REQUEST" });
});
