import { afterEach, expect, test } from "vitest";
import type { KvClient } from "../../../shared/client/client.ts";
import { connect } from "../../../shared/client/connect.ts";
import type { ConnectOptions } from "../../../shared/client/options.ts";
import { KvError } from "../../../shared/errors.ts";
import type { Script } from "./fake-server.ts";
import { FakeServer, memory, until } from "./fake-server.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function start(script?: Script): Promise<FakeServer> {
  const server = await FakeServer.start(script);
  closing.push(() => server.stop());
  return server;
}

async function client(addresses: string | string[], options?: ConnectOptions): Promise<KvClient> {
  const kv = await connect(addresses, options);
  closing.push(() => kv.close());
  return kv;
}

async function failure(promise: Promise<unknown>): Promise<KvError> {
  const error: unknown = await promise.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (error instanceof KvError) return error;
  throw error;
}

test("put, get, delete and scan, text and bytes, as the contract shows them", async () => {
  const values = memory();
  const server = await start((asked) => {
    const { message, answer } = asked;
    if (message.op !== "scan") return values(asked);
    const cursor = message["cursor"];
    answer(cursor === undefined ? { keys: ["user:1", "user:2"], cursor: "c1" } : { keys: ["user:3"] });
  });
  const kv = await client(server.address);
  const { version } = await kv.put("user:1", JSON.stringify({ name: "Ä" }));
  const entry = await kv.get("user:1");
  expect([entry?.key, entry?.version, entry?.stale, entry?.json()]).toEqual(["user:1", version, false, { name: "Ä" }]);
  const bytes = Uint8Array.of(0, 255, 254);
  await kv.put("raw", bytes);
  expect((await kv.get("raw"))?.bytes).toEqual(bytes);
  expect(server.of("put")[1]?.["value"]).toEqual({ base64: "AP/+" });
  expect(await kv.delete("raw")).toMatchObject({ found: true });
  expect(await kv.get("raw")).toBeNull();
  const keys: string[] = [];
  for await (const key of kv.scan({ prefix: "user:", pageKeys: 2 })) keys.push(key);
  expect(keys).toEqual(["user:1", "user:2", "user:3"]);
  expect(server.of("scan")).toMatchObject([{ prefix: "user:", limit: 2 }, { cursor: "c1" }]);
});

test("what is wrong with the arguments is said before anything is sent", async () => {
  const server = await start();
  server.hello = { ...server.hello, valueBytesMax: 100 };
  const kv = await client(server.address);
  const wrong: [() => Promise<unknown>, string][] = [
    [() => kv.put("", "x"), "BAD_REQUEST"],
    [() => kv.put("ä".repeat(513), "x"), "TOO_LARGE"],
    [() => kv.put("\ud800", "x"), "BAD_REQUEST"],
    [() => kv.put("k", "\udc00"), "BAD_REQUEST"],
    [() => kv.put("k", "ä".repeat(51)), "TOO_LARGE"],
    [() => kv.put("k", new Uint8Array(101)), "TOO_LARGE"],
    [() => kv.put("k", 5 as unknown as string), "BAD_REQUEST"],
    [() => kv.put("k", "x", { ifVersion: "3.1", consistency: "one" }), "BAD_REQUEST"],
    [() => kv.put("k", "x", { ifVersion: "3.1", ifAbsent: true }), "BAD_REQUEST"],
    [() => kv.get("k", { timeoutMs: 0 }), "BAD_REQUEST"],
    [() => kv.get("k", { timeoutMs: 60_001 }), "BAD_REQUEST"],
    [() => kv.get("k", { consistency: "most" as "all" }), "BAD_REQUEST"],
    [() => kv.scan({ pageKeys: 1001 }).next(), "BAD_REQUEST"],
  ];
  for (const [call, code] of wrong) expect((await failure(call())).code, call.toString()).toBe(code);
  expect(server.asked).toEqual([]);
  await kv.put("ä".repeat(512), "ä".repeat(50));
});

test("what is issued in one turn leaves in one line", async () => {
  const server = await start();
  const kv = await client(server.address);
  await Promise.all([kv.put("a", "1"), kv.get("a"), kv.put("b", "2"), kv.delete("a")]);
  expect(server.lines.filter(({ op }) => op === "batch")).toHaveLength(1);
  expect(server.asked.map(({ message }) => `${message.op} ${String(message["key"])}`)).toEqual([
    "put a",
    "get a",
    "put b",
    "delete a",
  ]);
});

test("every write carries its own operation id", async () => {
  const server = await start();
  const kv = await client(server.address);
  await Promise.all([kv.put("a", "1"), kv.put("a", "1"), kv.delete("a")]);
  const ids = server.asked.map(({ message }) => message["operation"] as string);
  expect(new Set(ids).size).toBe(3);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f-]{36}:\d+$/);
  expect(server.asked.every(({ message }) => message["firstEpoch"] === undefined)).toBe(true);
});

test("C8: a write lost after sending is sent again with the same operation id and the epoch of its first attempt", async () => {
  const answers = memory();
  const server = await start((asked) => (server.asked.length === 1 ? asked.cut() : answers(asked)));
  const kv = await client(server.address);
  server.hello = { ...server.hello, epoch: 4 }; // a new leader in the same place: the first epoch stays 3
  await kv.put("a", "1");
  const [first, second] = server.of("put");
  expect(server.of("put")).toHaveLength(2);
  expect([second?.["operation"], second?.["value"]]).toEqual([first?.["operation"], "1"]);
  expect([first?.["firstEpoch"], second?.["firstEpoch"]]).toEqual([undefined, 3]);
});

test("C8: an outcome that the coordinator cannot prove surfaces as unknown", async () => {
  const server = await start((asked) =>
    server.asked.length === 1 ? asked.cut() : asked.refuse("TIMEOUT", { outcome: "unknown", retryable: true }),
  );
  const kv = await client(server.address, { timeoutMs: 1_000 });
  const error = await failure(kv.put("a", "1"));
  expect([error.code, error.outcome]).toEqual(["TIMEOUT", "unknown"]);
  expect(server.of("put").length).toBeLessThanOrEqual(3);
});

test("C8: a lost write stays unknown when the leader then refuses it definitely", async () => {
  const server = await start((asked) => (server.asked.length === 1 ? asked.cut() : asked.refuse("NO_QUORUM")));
  const kv = await client(server.address);
  const error = await failure(kv.put("a", "1"));
  expect([error.outcome, error.details["last"]]).toEqual(["unknown", "NO_QUORUM"]);
});

test("C8: a condition proven false settles a lost write", async () => {
  const server = await start((asked) =>
    server.asked.length === 1 ? asked.cut() : asked.refuse("CONDITION_FAILED", { version: "3.9" }),
  );
  const kv = await client(server.address);
  const error = await failure(kv.put("a", "1", { ifVersion: "3.1" }));
  expect([error.code, error.outcome, error.details["version"]]).toEqual(["CONDITION_FAILED", "failed", "3.9"]);
});

test("C11: a definite refusal is tried again as a new attempt, three in all", async () => {
  const server = await start((asked) => asked.refuse("OVERLOADED"));
  const kv = await client(server.address);
  expect((await failure(kv.put("a", "1"))).code).toBe("OVERLOADED");
  expect(server.of("put")).toHaveLength(3);
  expect(server.of("put").every(({ firstEpoch }) => firstEpoch === undefined)).toBe(true);
});

test.each(["TOO_LARGE", "CONDITION_FAILED", "BAD_REQUEST", "DISK_FULL", "PARTIAL", "INTERNAL", "NO_CLUSTER"])(
  "%s is never tried again",
  async (code) => {
    const server = await start((asked) => asked.refuse(code));
    const kv = await client(server.address);
    expect((await failure(kv.put("a", "1"))).code).toBe(code);
    expect(server.of("put")).toHaveLength(1);
  },
);

test("a read lost after sending is asked again", async () => {
  const server = await start((asked) =>
    server.asked.length === 1 ? asked.cut() : asked.answer({ value: "1", version: "3.1" }),
  );
  const kv = await client(server.address);
  expect((await kv.get("a"))?.text()).toBe("1");
});

test("retries stay within the budget of a client: 10 % and what was saved up", async () => {
  const server = await start((asked) => asked.refuse("OVERLOADED"));
  const kv = await client(server.address);
  const operations = 1_500;
  await Promise.all(Array.from({ length: operations }, (_, n) => failure(kv.put(`k${n}`, ""))));
  const retries = server.of("put").length - operations;
  expect(retries).toBeGreaterThan(900);
  expect(retries).toBeLessThanOrEqual(1_000 + operations / 10);
});

test("NOT_LEADER leads to the leader it names, and operations follow without loss", async () => {
  const next = await start();
  next.hello = { ...next.hello, epoch: 4 };
  const old = await start((asked) => asked.refuse("NOT_LEADER", { leader: next.address }));
  const kv = await client(old.address);
  await Promise.all([kv.put("a", "1"), kv.put("b", "2")]);
  expect(new Set(next.of("put").map(({ key }) => key))).toEqual(new Set(["a", "b"]));
});

test("a standby or a storage node given as the only address leads to the leader", async () => {
  const leader = await start();
  for (const role of ["standby", "node"]) {
    const other = await start();
    other.hello = { ...other.hello, role, leader: leader.address };
    const kv = await client(other.address);
    await kv.put(role, "1");
    expect(other.asked).toEqual([]);
  }
  expect(leader.of("put").map(({ key }) => key)).toEqual(["standby", "node"]);
});

test("a coordinator without any node is used only where nobody leads", async () => {
  const fresh = await start((asked) => asked.refuse("NO_CLUSTER"));
  fresh.hello = { ...fresh.hello, role: "new", cluster: null, epoch: 0 };
  expect((await failure((await client(fresh.address)).put("a", "1"))).code).toBe("NO_CLUSTER");
  const leader = await start();
  await (await client([fresh.address, leader.address])).put("b", "2");
  expect([fresh.of("put").length, leader.of("put").length]).toEqual([1, 1]);
});

test("when the leader dies, the standby that its hello named is found", async () => {
  const standby = await start();
  const leader = await start();
  standby.hello = { ...standby.hello, role: "standby", leader: leader.address };
  leader.hello = { ...leader.hello, others: [standby.address] };
  const kv = await client(leader.address);
  await kv.put("a", "1");
  await leader.stop();
  const put = kv.put("b", "2", { timeoutMs: 10_000 });
  await until(() => standby.connections > 0, "the standby is asked");
  standby.hello = { ...standby.hello, role: "leader", epoch: 4 };
  await put;
  expect(standby.of("put")).toMatchObject([{ key: "b" }]);
});

test("a coordinator that claims to lead in an older epoch than another has named is not believed", async () => {
  const zombie = await start();
  const leader = await start();
  const standby = await start();
  standby.hello = { ...standby.hello, role: "standby", epoch: 4, leader: leader.address };
  leader.hello = { ...leader.hello, epoch: 4 };
  const first = await client(standby.address);
  await first.put("a", "1");
  await leader.stop();
  const put = failure(first.put("b", "2", { timeoutMs: 1_000 }));
  standby.hello = { ...standby.hello, leader: zombie.address };
  expect(["NO_LEADER", "TIMEOUT"]).toContain((await put).code);
  expect(zombie.connections).toBeGreaterThan(0);
  expect(zombie.asked).toEqual([]);
});

test("a coordinator of another cluster is not used", async () => {
  const server = await start();
  const foreign = await start();
  foreign.hello = { ...foreign.hello, cluster: "another", epoch: 9 };
  const kv = await client(server.address);
  server.script = (asked) => asked.refuse("NOT_LEADER", { leader: foreign.address });
  server.hello = { ...server.hello, role: "standby", leader: foreign.address };
  const error = await failure(kv.put("a", "1", { timeoutMs: 200 }));
  expect(error.code).toBe("NO_LEADER");
  expect(error.message).toContain("another cluster");
  expect(foreign.asked).toEqual([]);
});

test("without a leader an operation fails definitely at its deadline; one sent before is unknown", async () => {
  const server = await start(() => {});
  const kv = await client(server.address);
  const sent = failure(kv.put("a", "1", { timeoutMs: 300 }));
  await until(() => server.asked.length === 1, "it is sent");
  await server.stop();
  await failure(kv.get("c", { timeoutMs: 50 })); // the client knows by now that the connection is gone
  const unsent = await failure(kv.put("b", "1", { timeoutMs: 100 }));
  expect([unsent.code, unsent.outcome]).toEqual(["NO_LEADER", "failed"]);
  expect((await sent).outcome).toBe("unknown");
});

test("a leader that does not answer is left for the one that leads by now", async () => {
  const next = await start();
  const silent = await start(() => {});
  next.hello = { ...next.hello, role: "standby" };
  const kv = await client([silent.address, next.address]);
  next.hello = { ...next.hello, role: "leader", epoch: 4 };
  expect((await failure(kv.put("a", "1", { timeoutMs: 100 }))).outcome).toBe("unknown");
  await kv.put("b", "2", { timeoutMs: 10_000 });
  expect(next.of("put")).toMatchObject([{ key: "b" }]);
});

test("a leader that falls silent is left long before the deadline of what it was sent", async () => {
  const next = await start();
  const silent = await start(() => {});
  next.hello = { ...next.hello, role: "standby" };
  const kv = await client([silent.address, next.address]);
  const write = kv.put("a", "1", { timeoutMs: 60_000 });
  const read = kv.get("b", { timeoutMs: 60_000 });
  await until(() => silent.of("put").length === 1, "it is sent");
  next.hello = { ...next.hello, role: "leader", epoch: 4 };
  await write;
  await read;
  expect(next.of("put")).toMatchObject([{ key: "a", firstEpoch: 3 }]);
});

test("a leader that is slow, and alive, is asked nothing twice", async () => {
  let pings = 0;
  const slow = await start((asked) => {
    if (asked.message.op === "ping") pings++;
    if (pings < 2) return asked.message.op === "ping" ? asked.answer({}) : undefined;
    for (const { message, answer } of slow.asked) answer(message.op === "put" ? { version: "3.1" } : {});
  });
  const kv = await client(slow.address);
  await kv.put("a", "1", { timeoutMs: 60_000 });
  expect(slow.of("put")).toHaveLength(1);
});

test("order: while a refused write waits to be sent again, later ones on its key wait, others do not", async () => {
  const answers = memory();
  const server = await start((asked) => (server.asked.length <= 3 ? undefined : answers(asked)));
  const kv = await client(server.address);
  const writes = [kv.put("a", "1"), kv.put("a", "2"), kv.put("b", "1")];
  await until(() => server.asked.length === 3, "all are pipelined");
  const later = kv.put("a", "3");
  server.cutAll();
  await Promise.all([...writes, later]);
  const repeated = server
    .of("put")
    .slice(3)
    .filter(({ key }) => key === "a");
  expect(repeated.slice(-3).map(({ value }) => value)).toEqual(["1", "2", "3"]);
});

test("order: a refused write that a later one has overtaken is not sent again", async () => {
  const server = await start(({ message, answer, refuse }) => {
    if (message["value"] === "1") refuse("OVERLOADED");
    else answer({ version: "3.1" });
  });
  const kv = await client(server.address);
  const [first, second] = [failure(kv.put("a", "1")), kv.put("a", "2")];
  expect([(await first).code, (await second).version]).toEqual(["OVERLOADED", "3.1"]);
  expect(server.of("put").map(({ value }) => value)).toEqual(["1", "2"]);
});

test("an aborted write is unknown when it was sent", async () => {
  const server = await start(() => {});
  const kv = await client(server.address);
  const controller = new AbortController();
  const put = failure(kv.put("a", "1", { signal: controller.signal }));
  await until(() => server.asked.length === 1, "it is sent");
  controller.abort();
  expect((await put).outcome).toBe("unknown");
  expect((await failure(kv.put("a", "1", { signal: controller.signal }))).code).toBe("CANCELLED");
  expect(server.of("put")).toHaveLength(1);
});

test("close waits for what is under way, refuses what comes later, and leaves no connection", async () => {
  const server = await start(() => {});
  const kv = await connect(server.address);
  const put = kv.put("a", "1");
  await until(() => server.asked.length === 1, "it is sent");
  const closed = kv.close();
  const refused = await failure(kv.put("b", "1"));
  expect([refused.code, refused.outcome]).toEqual(["SHUTTING_DOWN", "failed"]);
  server.asked[0]?.answer({ version: "3.1" });
  expect((await put).version).toBe("3.1");
  await closed;
  await kv.close();
  await until(() => server.open === 0, "connections end");
});

test("connect says why it found nobody", async () => {
  const gone = await FakeServer.start();
  await gone.stop();
  const standby = await start();
  standby.hello = { ...standby.hello, role: "waiting" };
  const error = await failure(connect([gone.address, standby.address], { timeoutMs: 200 }));
  expect(error.code).toBe("NO_LEADER");
  expect(error.message).toContain(`${gone.address}: cannot reach`);
  expect(error.message).toContain("waiting");
  expect((await failure(connect("no address"))).code).toBe("BAD_REQUEST");
  expect((await failure(connect([]))).code).toBe("BAD_REQUEST");
  expect((await failure(connect(gone.address, { signal: AbortSignal.abort() }))).code).toBe("CANCELLED");
});
