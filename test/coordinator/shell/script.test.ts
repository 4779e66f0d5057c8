import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { KvError } from "../../../shared/errors.ts";
import { FakeCluster } from "./fake-cluster.ts";
import { runLines, runWords } from "./desk.ts";

function clusterWithKeys(count: number): FakeCluster {
  const cluster = new FakeCluster();
  cluster.addNode("A", "127.0.0.1:5001");
  for (let index = 0; index < count; index++) cluster.values.set(`key${index}`, `value${index}`);
  return cluster;
}

/** A cluster whose every request of that kind fails. */
function failing(op: string, error: KvError): FakeCluster {
  const cluster = clusterWithKeys(1);
  cluster.override = (message) => (message.op === op ? Promise.reject(error) : undefined);
  return cluster;
}

describe("a script on standard input", () => {
  test("goes on after failures, exits with the first one's status, and shows no prompt and no banner", async () => {
    const { status, output, errors } = await runLines(["# a comment", "", "get nothing", "gte key0", "get key0"], {
      cluster: clusterWithKeys(1),
    });
    expect(status).toBe(1);
    expect(output).toBe("Key not found: nothing\nkey0 -> value0\n");
    expect(errors).toBe("Error: unknown command: gte; did you mean get?\n");
  });

  test("stops at the first failure when told so", async () => {
    const cluster = clusterWithKeys(1);
    const { status, output } = await runLines(["get nothing", "get key0"], { cluster, stopOnError: true });
    expect([status, output]).toEqual([1, "Key not found: nothing\n"]);
  });

  test("the session's level is used where none is given", async () => {
    const cluster = clusterWithKeys(1);
    await runLines(["get key0", "consistency all", "get key0", "get key0 one", "put a b"], { cluster });
    const levels = cluster.received.map((message) => ("consistency" in message ? message.consistency : undefined));
    expect(levels).toEqual(["quorum", "all", "one", "all"]);
  });

  test("onExit is called after the last command", async () => {
    const cluster = clusterWithKeys(1);
    let seen = 0;
    await runLines(["get key0"], { cluster, onExit: () => void (seen = cluster.received.length) });
    expect(seen).toBe(1);
  });
});

describe("--json", () => {
  test.each([
    [["get", "key0", "--json"], 0, { status: "ok", key: "key0", value: "value0", version: "3.1" }],
    [["get", "nothing", "--json"], 1, { status: "error", code: "NOT_FOUND", outcome: "failed" }],
    [["gte", "--json"], 2, { status: "error", code: "BAD_REQUEST" }],
    [["put", "a", "b", "--json"], 0, { status: "ok", replicas: [{ id: "A", status: "ok" }] }],
    [["scan", "--limit", "2", "--json"], 0, { status: "ok", keys: ["key0", "key1"], more: true }],
    [["addnode", "B", "5002", "--json"], 0, { status: "ok", operation: "1", phase: "done", done: true }],
    [["plan", "addnode", "D", "5004", "--json"], 0, { status: "ok", slots: 1024 }],
    [["help", "--json"], 0, { status: "ok" }],
    [["switch", "A", "--json"], 0, { status: "ok", kind: "node", name: "A" }],
  ])("%j exits with %i and prints exactly one document", async (words, expected, document) => {
    const cluster = clusterWithKeys(3);
    cluster.progressLines = 3;
    const { status, output, errors } = await runWords(words, { cluster });
    expect(status).toBe(expected);
    expect(errors).toBe("");
    expect(output.trimEnd().split("\n")).toHaveLength(1);
    expect(JSON.parse(output)).toMatchObject(document);
  });
});

describe("one command", () => {
  test("C8: a put whose outcome is unknown says so and exits with 4", async () => {
    const cluster = failing("put", new KvError("TIMEOUT", "no quorum answered in time"));
    const { status, errors } = await runWords(["put", "my key", "1"], { cluster });
    expect(status).toBe(4);
    expect(errors).toBe('The put may or may not have happened: no quorum answered in time; `get "my key"` shows\n');
  });

  test("without a quorum it exits with 3", async () => {
    const { status } = await runWords(["get", "a"], {
      cluster: failing("get", new KvError("NO_QUORUM", "1 of 2 answered")),
    });
    expect(status).toBe(3);
  });

  test("without a coordinator it exits with 3 and one line", async () => {
    const { status, errors } = await runWords(["get", "a"], {
      connect: () => Promise.reject(new Error("connect ECONNREFUSED 127.0.0.1:7401")),
    });
    expect(status).toBe(3);
    expect(errors).toMatch(/^Error: no coordinator answers: connect ECONNREFUSED 127\.0\.0\.1:7401; .*\n$/);
  });

  test("a value beyond the limit is refused before anything is sent", async () => {
    const cluster = clusterWithKeys(0);
    const { status, errors } = await runLines(["show", `put a ${"x".repeat(1025)}`], { cluster });
    expect(status).toBe(2);
    expect(errors).toBe("Error: the value has 1025 bytes, the limit is 1024\n");
    expect(cluster.received.map(({ op }) => op)).toEqual(["status"]);
  });

  test("conditions travel as they were given, and exclude each other", async () => {
    const cluster = clusterWithKeys(0);
    await runLines(["put a b --if-absent", "put a c --if-version 3.1"], { cluster });
    expect(cluster.received).toMatchObject([{ ifAbsent: true }, { ifVersion: "3.1" }]);
    expect((await runWords(["put", "a", "b", "--if-absent", "--if-version", "1"], { cluster })).status).toBe(2);
  });

  test("bytes that are no text go in and out as base64", async () => {
    const cluster = clusterWithKeys(0);
    const { output } = await runLines(["put a /w== --base64", "get a"], { cluster });
    expect(cluster.received[0]).toMatchObject({ value: { base64: "/w==" } });
    expect(output).toContain("a -> /w== (base64 of 1 byte: not text)\n");
    expect((await runWords(["put", "a", "/w=", "--base64"], { cluster })).status).toBe(2);
  });

  test("scan follows the pages up to its limit and says when there is more", async () => {
    const cluster = clusterWithKeys(2500);
    const all = await runWords(["scan", "key", "--limit", "3000"], { cluster });
    expect(all.output.trimEnd().split("\n")).toHaveLength(2501);
    expect(all.output).toMatch(/\(2500 keys\)\n$/);
    const some = await runWords(["scan", "key", "--limit", "10"], { cluster });
    expect(some.output).toMatch(/\(there are more: scan key --limit 100\)\n$/);
  });

  test("a mistyped node id is answered with the nearest one", async () => {
    const cluster = new FakeCluster();
    cluster.addNode("storage-1", "127.0.0.1:5001");
    const { status, errors } = await runWords(["status", "storage1"], { cluster });
    expect([status, errors]).toEqual([1, "Error: no node storage1; did you mean storage-1?\n"]);
  });

  test("logs print the end of the file, and say where there is none", async () => {
    const logsOf = (id: string | undefined): Promise<{ path: string; lines: string[] } | undefined> =>
      Promise.resolve(id === "A" ? { path: "logs/A.log", lines: ["one", "two"] } : undefined);
    expect((await runWords(["logs", "A"], { logsOf })).output).toBe("logs/A.log\none\ntwo\n");
    expect((await runWords(["logs", "B"], { logsOf })).errors).toMatch(/no log file of node B/);
  });
});

test("when nobody reads the answers any more, a script ends without a failure of its own", async () => {
  const cluster = clusterWithKeys(1);
  const answer = { id: 1, status: "ok", value: "x", version: "3.1" };
  cluster.override = () => new Promise((resolve) => setImmediate(() => resolve(answer)));
  const output = new Writable({ write: (_chunk, _encoding, done) => done(new Error("EPIPE")) });
  const lines = Array.from({ length: 50 }, () => "get key0");
  const { status } = await runLines(lines, { cluster, output });
  expect(status).toBe(0);
  expect(cluster.received.length).toBeLessThan(50);
});

describe("where commands go", () => {
  test("a leader that is named is followed, and the command is sent there once", async () => {
    const leader = clusterWithKeys(1);
    const standby = new FakeCluster();
    standby.override = () => Promise.reject(new KvError("NOT_LEADER", "a standby", { leader: "127.0.0.1:7402" }));
    const connect = (address?: string) =>
      Promise.resolve(address === "127.0.0.1:7402" ? leader.session(address) : standby.session());
    const { status } = await runLines(["put a b", "addnode B 5002"], { connect });
    expect(status).toBe(0);
    expect(leader.received.map(({ op }) => op)).toEqual(["put", "addnode"]);
  });

  test("switched to a node, get reads from it and everything else goes to the leader", async () => {
    const cluster = clusterWithKeys(1);
    const { output, status } = await runLines(["switch A", "get key0", "put a b", "get a quorum", "switch", "get a"], {
      cluster,
    });
    expect(status).toBe(0);
    expect(cluster.received.map(({ op }) => op)).toEqual(["status", "read", "put", "get", "get"]);
    expect(output).toContain("Reading straight from node A (127.0.0.1:5001)");
  });

  test("switching to an address where nobody answers changes nothing", async () => {
    const cluster = clusterWithKeys(1);
    const connect = (address?: string) =>
      address === undefined
        ? Promise.resolve(cluster.session())
        : Promise.reject(new KvError("NODE_UNREACHABLE", `no answer from ${address}`));
    const { output, errors } = await runLines(["switch 127.0.0.1:9", "switch nowhere", "get key0"], { connect });
    expect(errors).toContain("no answer from 127.0.0.1:9");
    expect(errors).toContain("no node nowhere");
    expect(output).toBe("key0 -> value0\n");
  });

  test("a lost connection is opened again for the next command; a read under way is asked again, a write never", async () => {
    const cluster = clusterWithKeys(1);
    let opened = 0;
    const connect = () => {
      opened++;
      return Promise.resolve(cluster.session());
    };
    let losses = 2;
    cluster.override = () => (losses-- > 0 ? Promise.reject(new KvError("LOST", "went away")) : undefined);
    const { output, status } = await runLines(["put a b", "get key0", "get key0"], { connect });
    // The put is lost and stays lost; the first get is lost once and asked again.
    expect(cluster.received.map(({ op }) => op)).toEqual(["put", "get", "get", "get"]);
    expect(output).toBe("key0 -> value0\nkey0 -> value0\n");
    expect([status, opened]).toEqual([4, 2]);
  });
});
