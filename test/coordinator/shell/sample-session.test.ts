import { expect, test } from "vitest";
import { FakeCluster } from "./fake-cluster.ts";
import { runLines } from "./desk.ts";

test("the sample session reads word for word as it always did", async () => {
  const { output, errors, status } = await runLines([
    "addnode A 5001",
    "addnode B 5002",
    "setreplica 2",
    "put apple 123",
    "get apple",
    "show",
    "stats",
    "del apple",
    "get apple",
    "exit",
    "put never 1",
  ]);
  expect(errors).toBe("");
  expect(output).toBe(`Node added: A (127.0.0.1:5001)
Rebalancing after adding node A...
Node added: B (127.0.0.1:5002)
Rebalancing after adding node B...
[Coordinator] Replica set to 2
Replicas for key apple: A B
[A] PUT apple = 123 -> {"status":"ok"}
[B] PUT apple = 123 -> {"status":"ok"}
apple -> 123
Active Nodes:
  A (127.0.0.1:5001, keys=1)
  B (127.0.0.1:5002, keys=1)
[System Stats]
Nodes: 2
Total Keys: 2
Avg Keys per Node: 1
Distinct Keys: 1
Deleted: apple
Key not found: apple
`);
  expect(status).toBe(1);
});

test("removing a node says what it does before and after, and what moved", async () => {
  const cluster = new FakeCluster();
  cluster.addNode("A", "127.0.0.1:5001");
  cluster.addNode("B", "127.0.0.1:5002");
  cluster.values.set("apple", "1");
  cluster.progressLines = 2;
  const { output, status } = await runLines(["REMOVENODE A"], { cluster });
  expect(output).toBe(`Rebalancing before removing node A...
Moved 4096 slots and 1 key in 2.0 s; freeze per slot: p50 3 ms, p99 9.3 ms
Node removed: A
`);
  expect(status).toBe(0);
});

test("a node that is down shows no number of keys, and its replica lines say pending", async () => {
  const cluster = new FakeCluster();
  cluster.addNode("A", "127.0.0.1:5001");
  cluster.addNode("B", "127.0.0.1:5002", { state: "down" });
  const { output } = await runLines(["put pear x", "show"], { cluster });
  expect(output).toContain('[B] PUT pear = x -> {"status":"pending"}\n');
  expect(output).toContain("  B (127.0.0.1:5002, keys=?, down)\n");
});
