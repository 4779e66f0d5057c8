// Somebody tries to get in at a port that asks for a token.
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, test } from "vitest";
import type { Port } from "../../../shared/access.ts";
import { tokenDoor } from "../../../shared/io/door.ts";
import type { NdjsonConnection } from "../../../shared/io/ndjson-connection.ts";
import { listen, type Listener } from "../../../shared/io/server.ts";
import { KeyRing } from "../../../shared/io/tokens.ts";
import { OPTIONS } from "./loopback.ts";

const ADMIN = "admin-token-of-this-cluster";
const NEXT = "the-token-that-comes-next";
const READER = "token-that-may-only-read";
const LINE_BYTES_MAX = 1024 * 1024;

const listeners: Listener[] = [];
afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.close();
});

interface Guarded {
  readonly address: { readonly host: string; readonly port: number };
  /** What came past the door. */
  readonly passed: Record<string, unknown>[];
  readonly refused: string[];
}

/** A port whose owner answers everything that it gets with ok. */
async function guarded(port: Port = "coordinator"): Promise<Guarded> {
  const passed: Record<string, unknown>[] = [];
  const refused: string[] = [];
  const keys = new KeyRing({ admin: [ADMIN, NEXT], read: [READER] });
  const door = tokenDoor({ port, keys, refused: (_peer, why) => refused.push(why) });
  const connection = { ...OPTIONS, lineBytesMax: LINE_BYTES_MAX, requireObjectFirst: true };
  const owner = (accepted: NdjsonConnection) => ({
    lines: (messages: Record<string, unknown>[]) => {
      passed.push(...messages);
      for (const { id } of messages) accepted.send({ id, status: "ok", by: "owner" });
    },
    badLine: ({ code }: { readonly code: string }) => accepted.send({ id: null, status: "error", problem: code }),
    closed: () => {},
  });
  const listener = await listen({ host: "127.0.0.1", port: 0, connectionsMax: 10, connection, door }, owner);
  listeners.push(listener);
  return { address: { host: "127.0.0.1", port: listener.port }, passed, refused };
}

/** Says these lines at once, and no more; returns everything that was answered until the other end closed. */
async function say({ address }: Guarded, ...lines: readonly (object | string)[]): Promise<Record<string, unknown>[]> {
  const socket = connect(address);
  socket.on("error", () => {}); // a reset ends the answers
  socket.end(lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  const answers: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: socket })) answers.push(JSON.parse(line));
  return answers;
}

const hello = (token?: unknown): object => ({ id: 1, op: "hello", versions: [1, 1], token });

describe("before a token", () => {
  test.each([
    ["another request", { id: 1, op: "put", key: "a", value: "b" }],
    ["a hello without one", hello()],
    ["a wrong one", hello("not-the-token-of-this-cluster")],
    ["the beginning of the right one", hello(ADMIN.slice(0, -1))],
    ["the right one and more", hello(`${ADMIN} `)],
    ["a list with the right one", hello([ADMIN])],
    ["an object", hello({ toString: ADMIN })],
    ["no text", hello(17)],
    ["the right one in another request", { id: 1, op: "status", token: ADMIN }],
  ])("%s is answered UNAUTHORIZED, and the connection closes with nothing carried out", async (_name, first) => {
    const port = await guarded();
    const answers = await say(port, first, { id: 2, op: "put", key: "a", value: "b" });
    expect(answers).toEqual([
      expect.objectContaining({ id: 1, status: "error", code: "UNAUTHORIZED", outcome: "failed", retryable: false }),
    ]);
    expect(port.passed).toEqual([]);
    expect(port.refused).toHaveLength(1);
    expect(JSON.stringify([answers, port.refused])).not.toMatch(/admin-token|not-the-token/);
  });

  test("a ping is answered, and tells nothing", async () => {
    const port = await guarded();
    expect(await say(port, { id: 7, op: "ping" })).toEqual([{ id: 7, status: "ok" }]);
    expect(port.passed).toEqual([]);
  });

  test("what a web page posts closes the connection, and the lines of its body do nothing", async () => {
    const port = await guarded();
    const answers = await say(port, "POST / HTTP/1.1", "Host: 127.0.0.1", "", hello(ADMIN), { id: 2, op: "put" });
    expect(answers).toEqual([expect.objectContaining({ status: "error", problem: "BAD_JSON" })]);
    expect(port.passed).toEqual([]);
  });

  test("a line longer than a hello needs closes the connection", async () => {
    const port = await guarded();
    const answers = await say(port, { id: 1, op: "hello", padding: "x".repeat(LINE_BYTES_MAX / 2) });
    expect(answers).toEqual([expect.objectContaining({ problem: "LINE_TOO_LONG" })]);
    expect(port.passed).toEqual([]);
  });

  test("many that are turned away make one line of the log a second", async () => {
    const port = await guarded();
    for (let knock = 0; knock < 20; knock++) await say(port, hello());
    expect(port.refused.length).toBeLessThan(10);
  });
});

describe("with a token", () => {
  test("an admin's lines pass, of any length, and the token goes no further", async () => {
    const port = await guarded();
    const long = { id: 2, op: "put", key: "a", value: "x".repeat(LINE_BYTES_MAX / 2) };
    const answers = await say(port, hello(ADMIN), long, { id: 3, op: "setreplica", rf: 2 });
    expect(answers.map(({ id, status }) => [id, status])).toEqual([
      [1, "ok"],
      [2, "ok"],
      [3, "ok"],
    ]);
    expect(port.passed).toEqual([{ id: 1, op: "hello", versions: [1, 1] }, long, { id: 3, op: "setreplica", rf: 2 }]);
  });

  test("while a token is replaced the old and the new one open", async () => {
    const port = await guarded();
    for (const token of [ADMIN, NEXT]) expect(await say(port, hello(token))).toMatchObject([{ status: "ok" }]);
  });

  test("a reader looks and changes nothing", async () => {
    const port = await guarded();
    const looks = ["get", "scan", "where", "status", "nodes", "ring", "metrics", "ops", "plan", "stats", "ping"];
    const acts = ["put", "delete", "addnode", "removenode", "setreplica", "join", "cancel", "repair", "stepdown"];
    const inner = ["follow", "prepare", "accept", "inspect", "prevote", "heartbeat", "something new"];
    const batches = [
      { op: "batch", ops: [{ op: "get", key: "a" }] },
      { op: "batch", rows: [1, "a", false, "", 2, "b", false, ""] },
      { op: "batch", rows: [1, "a", false, "", 2, "b", "v", ""] },
      { op: "batch", rows: [1, "a", "v", ""], ops: [] },
      { op: "batch", rows: [1, "a", false, ""], ops: [{ op: "put" }] },
      { op: "batch", rows: "get" },
      { op: "batch", ops: [{ op: "get", key: "a" }, { op: "put" }] },
      { op: "batch", ops: [null] },
      { op: "batch", ops: "get" },
      { op: "hello", versions: [1, 1], leader: "127.0.0.1:1" },
    ];
    const asked = [...[...looks, ...acts, ...inner].map((op) => ({ op })), ...batches];
    const answers = await say(port, hello(READER), ...asked.map((message, index) => ({ id: 10 + index, ...message })));
    const taken = answers.filter(({ status }) => status === "ok").map(({ id }) => Number(id) - 10);
    expect(taken.filter((index) => index >= 0).sort((a, b) => a - b)).toEqual([
      ...looks.keys(),
      asked.indexOf(batches[0] as (typeof asked)[number]),
      asked.indexOf(batches[1] as (typeof asked)[number]),
    ]);
    const refusals = answers.filter(({ status }) => status !== "ok");
    expect(refusals).toHaveLength(asked.length - looks.length - 2);
    expect(new Set(refusals.map(({ code }) => code))).toEqual(new Set(["FORBIDDEN"]));
    expect(port.passed).toHaveLength(looks.length + 3);
  });

  test("N2: a reader's batch at a node is refused, since its epoch would raise the fence", async () => {
    const port = await guarded("node");
    const ops = ["ping", "stats", "read", "batch", "get", "init", "adopt", "probe", "learn"];
    const answers = await say(port, hello(READER), ...ops.map((op, index) => ({ id: 10 + index, op, ops: [] })));
    const taken = answers.filter(({ id, status }) => status === "ok" && id !== 1).map(({ id }) => ops[Number(id) - 10]);
    expect(taken).toEqual(["ping", "stats", "read"]);
  });
});
