import { afterEach, expect, test } from "vitest";
import { LINE_OPS_MAX } from "../../../shared/client/lines.ts";
import type { SessionOptions, Session } from "../../../shared/client/session.ts";
import { openSession } from "../../../shared/client/session.ts";
import { KvError } from "../../../shared/errors.ts";
import type { Script } from "./fake-server.ts";
import { FakeServer, until } from "./fake-server.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function serverAndSession(
  script?: Script,
  options?: SessionOptions,
): Promise<{ server: FakeServer; session: Session }> {
  const server = await FakeServer.start(script);
  closing.push(() => server.stop());
  const session = await openSession(server.address, options);
  closing.push(() => session.close());
  return { server, session };
}

async function failure(promise: Promise<unknown>): Promise<KvError> {
  const error: unknown = await promise.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  );
  if (error instanceof KvError) return error;
  throw error;
}

test("hello opens a session and says who is there", async () => {
  const { session, server } = await serverAndSession();
  expect(server.lines[0]).toMatchObject({ op: "hello", versions: [1, 1] });
  expect(session.hello).toMatchObject({ role: "leader", epoch: 3, valueBytesMax: 1024 * 1024 });
  expect([session.isNode, session.epoch]).toEqual([false, 3]);
});

test("a storage node appears as a standby that names the leader", async () => {
  const server = await FakeServer.start();
  closing.push(() => server.stop());
  server.hello = { protocol: 1, role: "node", cluster: null, incarnation: "i-1", fence: 9, leader: "127.0.0.1:7401" };
  const session = await openSession(server.address);
  closing.push(() => session.close());
  expect([session.isNode, session.incarnation, session.epoch]).toEqual([true, "i-1", 0]);
  expect(session.hello).toMatchObject({ role: "standby", leader: "127.0.0.1:7401" });
});

test("what is called in one turn leaves as one line, in order, and one call alone as a plain line", async () => {
  const { session, server } = await serverAndSession();
  const first = session.call({ op: "put", key: "a", value: "1" });
  await first;
  await Promise.all([
    session.call({ op: "put", key: "b", value: "2" }),
    session.call({ op: "put", key: "a", value: "3" }),
    session.call({ op: "delete", key: "b" }),
  ]);
  expect(server.lines.map(({ op }) => op)).toEqual(["hello", "put", "batch"]);
  expect(server.asked.map(({ message }) => message["key"])).toEqual(["a", "b", "a", "b"]);
});

test("what is called in one turn and is more than a line holds leaves in several, in order", async () => {
  const { session, server } = await serverAndSession();
  const keys = Array.from({ length: LINE_OPS_MAX + 3 }, (_, n) => `k${n}`);
  await Promise.all(keys.map((key) => session.call({ op: "delete", key })));
  const ops = server.lines.slice(1).map(({ ops: list }) => (list as unknown[]).length);
  expect(ops).toEqual([LINE_OPS_MAX, 3]);
  expect(server.asked.map(({ message }) => message["key"])).toEqual(keys);
});

test("answers are matched by id, whatever their order", async () => {
  const held: (() => void)[] = [];
  const { session } = await serverAndSession(({ message, answer }) =>
    held.push(() => answer({ value: message["key"], version: "3.1" })),
  );
  const answers = ["a", "b", "c"].map((key) => session.call({ op: "get", key }));
  await until(() => held.length === 3, "three operations arrive");
  for (const answer of held.toReversed()) answer();
  expect((await Promise.all(answers)).map(({ value }) => value)).toEqual(["a", "b", "c"]);
});

test("progress lines go to the listener until one is done; after the first there is no deadline", async () => {
  const { session, server } = await serverAndSession(({ message, answer }) => {
    if (message.op === "setreplica") answer({ operation: "1", slotsMoved: 1, done: false });
  });
  const seen: number[] = [];
  const last = session.call({ op: "setreplica", rf: 2 }, ({ slotsMoved }) => seen.push(slotsMoved), { timeoutMs: 100 });
  await until(() => seen.length === 1, "progress arrives");
  // A call with the same time limit, made later, has run out: so would the first have, if it still had a deadline.
  expect((await failure(session.call({ op: "ops" }, undefined, { timeoutMs: 100 }))).code).toBe("TIMEOUT");
  server.asked[0]?.answer({ operation: "1", slotsMoved: 2, done: true });
  expect((await last).slotsMoved).toBe(2);
  expect(seen).toEqual([1]);
});

test("an error answer becomes a KvError with its details", async () => {
  const { session } = await serverAndSession(({ refuse }) =>
    refuse("NOT_LEADER", { leader: "127.0.0.1:9", retryable: true, outcome: "failed" }),
  );
  const error = await failure(session.call({ op: "get", key: "a" }));
  expect([error.code, error.outcome, error.details["leader"]]).toEqual(["NOT_LEADER", "failed", "127.0.0.1:9"]);
});

test("C8: a code this build does not know is unknown, never failed", async () => {
  const { session } = await serverAndSession(({ refuse }) => refuse("FROM_THE_FUTURE"));
  expect((await failure(session.call({ op: "delete", key: "a" }))).outcome).toBe("unknown");
});

test("a refusal of a whole line is one of each operation in it", async () => {
  const { session, server } = await serverAndSession(() => {});
  const calls = ["a", "b"].map((key) => failure(session.call({ op: "get", key })));
  await until(() => server.asked.length === 2, "the batch arrives");
  const [asked] = server.asked;
  asked?.refuse("OVERLOADED", { id: server.lines.at(-1)?.id });
  expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(["OVERLOADED", "OVERLOADED"]);
});

test("C8: no answer in time is TIMEOUT with unknown outcome, and a late answer disturbs nobody", async () => {
  const { session, server } = await serverAndSession(
    ({ message, answer }) => message["key"] === "b" && answer({ version: "3.2" }),
  );
  const error = await failure(session.call({ op: "put", key: "a", value: "1" }, undefined, { timeoutMs: 30 }));
  expect([error.code, error.outcome]).toEqual(["TIMEOUT", "unknown"]);
  server.asked[0]?.answer({ version: "3.1" });
  expect((await session.call({ op: "put", key: "b", value: "2" })).version).toBe("3.2");
});

test("the coordinator is told less time than the caller has", async () => {
  const { session, server } = await serverAndSession();
  await session.call({ op: "put", key: "a", value: "1" }, undefined, { timeoutMs: 500 });
  const timeoutMs = server.of("put")[0]?.["timeoutMs"] as number;
  expect(timeoutMs).toBeGreaterThan(0);
  expect(timeoutMs).toBeLessThanOrEqual(450);
});

test("C8: a connection that closes leaves what was sent unknown, and refuses later calls definitely", async () => {
  const { session } = await serverAndSession(({ cut }) => cut());
  const lost = await failure(session.call({ op: "put", key: "a", value: "1" }));
  expect([lost.code, lost.outcome]).toEqual(["LOST", "unknown"]);
  expect(await session.closed).not.toBe("");
  const refused = await failure(session.call({ op: "put", key: "a", value: "1" }));
  expect([refused.code, refused.outcome]).toEqual(["NO_LEADER", "failed"]);
});

test("beyond the in-flight cap calls wait, beyond the queue they are refused; all definite while unsent", async () => {
  const { session, server } = await serverAndSession(() => {}, { inFlightMax: 2, waitingMax: 3 });
  const calls = ["a", "b", "c"].map((key) => session.call({ op: "get", key }, undefined, { timeoutMs: 5_000 }));
  await until(() => server.asked.length === 2, "two are sent");
  const waitsTooLong = failure(session.call({ op: "get", key: "d" }, undefined, { timeoutMs: 20 }));
  expect((await waitsTooLong).code).toBe("OVERLOADED");
  const more = ["e", "f"].map((key) => session.call({ op: "get", key }));
  expect((await failure(session.call({ op: "get", key: "g" }))).code).toBe("OVERLOADED");
  server.script = ({ answer }) => answer({ value: "later", version: "3.1" });
  for (const asked of server.asked.slice()) asked.answer({ value: "now", version: "3.1" });
  expect((await Promise.all([...calls, ...more])).map(({ value }) => value)).toEqual([
    "now",
    "now",
    "later",
    "later",
    "later",
  ]);
});

test("an aborted call is CANCELLED when nothing was sent, unknown when it was", async () => {
  const { session, server } = await serverAndSession(() => {}, { inFlightMax: 1 });
  const controller = new AbortController();
  const sent = failure(session.call({ op: "put", key: "a", value: "1" }, undefined, { signal: controller.signal }));
  const waiting = failure(session.call({ op: "put", key: "b", value: "1" }, undefined, { signal: controller.signal }));
  await until(() => server.asked.length === 1, "one is sent");
  controller.abort();
  expect([(await sent).outcome, (await waiting).code]).toEqual(["unknown", "CANCELLED"]);
});

test("the epoch of a session rises with the versions it gives to writes, not with those it reads", async () => {
  const { session } = await serverAndSession(({ message, answer }) =>
    answer({ version: message.op === "put" ? "5.1" : "9.1", value: "" }),
  );
  await session.call({ op: "get", key: "a", consistency: "one" });
  expect(session.epoch).toBe(3);
  await session.call({ op: "put", key: "a", value: "" });
  expect(session.epoch).toBe(5);
});

test("a long turn is cut into lines that stay within the limit", async () => {
  const { session, server } = await serverAndSession();
  const value = "x".repeat(60_000);
  await Promise.all(Array.from({ length: 9 }, (_, n) => session.call({ op: "put", key: `k${n}`, value })));
  const lengths = server.lines.slice(1).map((line) => JSON.stringify(line).length);
  expect(lengths).toHaveLength(3);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(256 * 1024);
  expect(server.of("put").map(({ key }) => key)).toEqual(Array.from({ length: 9 }, (_, n) => `k${n}`));
});

test("nobody there, no address, and a port that does not speak the protocol are told apart", async () => {
  const server = await FakeServer.start();
  const { address } = server;
  await server.stop();
  expect((await failure(openSession(address))).code).toBe("NODE_UNREACHABLE");
  expect((await failure(openSession("nowhere"))).code).toBe("BAD_REQUEST");
  const silent = await FakeServer.start();
  closing.push(() => silent.stop());
  silent.hello = { id: -1 };
  const error = await failure(openSession(silent.address, { timeoutMs: 50 }));
  expect(error.code).toBe("NODE_UNREACHABLE");
  expect(error.message).toContain("hello");
});

test("drain waits for what was called; close settles the rest", async () => {
  const { session, server } = await serverAndSession(() => {});
  const call = session.call({ op: "get", key: "a" });
  let drained = false;
  const draining = session.drain().then(() => (drained = true));
  await until(() => server.asked.length === 1, "it arrives");
  expect(drained).toBe(false);
  server.asked[0]?.answer({ value: "1", version: "3.1" });
  await Promise.all([draining, call]);
  const left = failure(session.call({ op: "get", key: "b" }));
  await until(() => server.asked.length === 2, "it arrives");
  await session.close();
  expect((await left).code).toBe("LOST");
});
