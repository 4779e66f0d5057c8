import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { NdjsonConnection } from "../../../shared/io/ndjson-connection.ts";
import { OPTIONS, Recorder, rawClient, recorderOf, testServer, until } from "./loopback.ts";
import type { TestServer } from "./loopback.ts";
import { randomBytes, seedOf } from "./random.ts";
import { seededRandom } from "../../support/random.ts";

/** The client's end as an NdjsonConnection. */
async function dial(server: TestServer, options = OPTIONS): Promise<Recorder> {
  const socket = connect({ host: "127.0.0.1", port: server.listener.port, allowHalfOpen: true });
  await new Promise((resolve) => socket.once("connect", resolve));
  const connection = new NdjsonConnection(socket, options);
  const recorder = new Recorder(connection);
  connection.start(recorder);
  return recorder;
}

const MIXED = [
  '{"id":1,"text":"Käse 鍵 😀"}',
  "null",
  '{"id":2}',
  "not json",
  "[1]",
  '{"id":3,"text":"\\ud800"}',
  "",
  '{"id":4}',
].join("\n");
const MIXED_EVENTS = [
  { id: 1, text: "Käse 鍵 😀" },
  "NOT_AN_OBJECT",
  { id: 2 },
  "BAD_JSON",
  "NOT_AN_OBJECT",
  "UNPAIRED_SURROGATE",
  { id: 4 },
];

describe("receiving", () => {
  test("good and bad lines arrive in order wherever the bytes are cut", async () => {
    await using server = await testServer();
    const bytes = Buffer.from(`${MIXED}\n`);
    for (let cut = 1; cut < bytes.length; cut++) {
      const client = await rawClient(server);
      const recorder = await recorderOf(server, cut);
      client.socket.write(bytes.subarray(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      client.socket.write(bytes.subarray(cut));
      await until(() => recorder.events.length === MIXED_EVENTS.length, `all lines, cut at ${cut}`);
      expect(recorder.events).toEqual(MIXED_EVENTS);
      client.socket.destroy();
    }
  });

  test("a chunk is one turn of the owner", async () => {
    await using server = await testServer();
    const client = await rawClient(server);
    const recorder = await recorderOf(server);
    client.socket.write('{"id":1}\n'.repeat(100));
    await until(() => recorder.events.length === 100, "100 lines");
    expect(recorder.turns).toBe(1);
  });

  test("an over-long line is reported, answered, and closes the connection; what follows is not executed", async () => {
    await using server = await testServer();
    const client = await rawClient(server);
    client.socket.write(`{"id":1}\n{"id":2,"a":"${"x".repeat(2_000)}"}\n{"id":3}\n`);
    await until(client.ended, "the connection to close");
    const recorder = await recorderOf(server);
    await until(() => recorder.closedReasons.length === 1, "the server's end to close");
    expect(recorder.events).toEqual([{ id: 1 }, "LINE_TOO_LONG"]);
    expect(client.text()).toContain("longer than 1024 bytes, the limit");
  });

  test("a first line that is no JSON object closes a server's connection with nothing executed", async () => {
    await using server = await testServer({ requireObjectFirst: true });
    const post = `POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n{"id":1,"op":"put"}\n`;
    for (const [index, first] of [post, "[]\n", "null\n", '{"cut\n', "\r\n7\n", "\xff\n"].entries()) {
      const client = await rawClient(server);
      const recorder = await recorderOf(server, index + 1);
      client.socket.write(Buffer.from(`${first}{"id":1,"op":"put"}\n`, "latin1"));
      await until(() => client.ended() && recorder.closedReasons.length === 1, "both ends to close");
      expect(recorder.turns).toBe(0);
      expect(client.text()).toMatch(/^\{"status":"error".*\}\n$/);
      expect(recorder.closedReasons[0]).toContain("the first line is not a JSON object");
    }
  });

  test("after a good first line a bad one is answered and the connection lives on", async () => {
    await using server = await testServer({ requireObjectFirst: true });
    const client = await rawClient(server);
    client.socket.write('\n{"id":1}\nPOST / HTTP/1.1\n{"id":2}\n');
    await until(() => client.text().split("\n").length === 4, "three answers");
    expect((await recorderOf(server)).events).toEqual([{ id: 1 }, "BAD_JSON", { id: 2 }]);
  });

  test("a handler that closes the connection gets nothing more of the same chunk", async () => {
    await using server = await testServer();
    const client = await rawClient(server);
    const recorder = await recorderOf(server);
    recorder.onLine = () => recorder.connection.close("enough");
    client.socket.write('{"id":1}\nbad\n{"id":2}\n');
    await until(() => client.ended() && recorder.closedReasons.length === 1, "both ends to close");
    expect(recorder.events).toEqual([{ id: 1 }]);
    expect(recorder.closedReasons).toEqual(["enough"]);
  });

  test("random bytes never throw, and the next good connection is served", async () => {
    const seed = seedOf("connection");
    const random = seededRandom(seed);
    await using server = await testServer({ requireObjectFirst: random() < 0.5, lineBytesMax: 100 });
    for (let round = 1; round <= 100; round++) {
      const client = await rawClient(server);
      for (let chunk = 0; chunk < 5; chunk++) client.socket.write(randomBytes(random, 150));
      if (random() < 0.5) client.socket.end();
      else client.socket.resetAndDestroy();
    }
    const client = await rawClient(server);
    client.socket.write('{"id":1}\n');
    await until(() => client.text() === '{"id":1,"status":"ok"}\n', `the good connection's answer, seed ${seed}`);
    client.socket.destroy();
    await until(() => server.listener.connections.size === 0, `all connections gone, seed ${seed}`);
    expect(server.recorders.map((recorder) => recorder.closedReasons.length)).toEqual(
      Array.from({ length: 101 }, () => 1),
    );
  });
});

describe("sending", () => {
  test("everything sent in one turn leaves in one write", async () => {
    await using server = await testServer();
    const socket = connect({ host: "127.0.0.1", port: server.listener.port, allowHalfOpen: true });
    await new Promise((resolve) => socket.once("connect", resolve));
    const connection = new NdjsonConnection(socket, OPTIONS);
    const write = socket.write.bind(socket);
    let writes = 0;
    socket.write = (data: string | Uint8Array): boolean => {
      writes++;
      return write(data);
    };
    connection.start({ lines: () => {}, badLine: () => {}, closed: () => {} });
    for (let id = 0; id < 100; id++) connection.send({ id });
    queueMicrotask(() => connection.sendRaw('{"id":"raw"}'));
    expect(connection.bufferedBytes).toBeGreaterThan(900);
    const recorder = await recorderOf(server);
    await until(() => recorder.events.length === 101, "101 lines");
    expect(recorder.events.at(-1)).toEqual({ id: "raw" });
    expect(writes).toBe(1);
    await until(() => connection.bufferedBytes === 0, "nothing buffered");
    connection.destroy();
  });

  test("what is sent in two parts arrives as one line, in its place, before the end of the turn where it is flushed", async () => {
    await using server = await testServer();
    const client = await dial(server);
    const recorder = await recorderOf(server);
    const rest = Buffer.from('"ß"}\n');
    client.connection.send({ id: 1 });
    client.connection.sendShared('{"id":2,"text":', rest);
    client.connection.sendShared('{"id":3,"text":', rest);
    client.connection.send({ id: 4 });
    expect(client.connection.bufferedBytes).toBeGreaterThan(40);
    client.connection.flush();
    client.connection.flush();
    client.connection.sendShared('{"id":5,"text":', rest);
    await until(() => recorder.events.length === 5, "5 lines");
    const text = "ß";
    expect(recorder.events).toEqual([{ id: 1 }, { id: 2, text }, { id: 3, text }, { id: 4 }, { id: 5, text }]);
    client.connection.destroy();
    client.connection.sendShared('{"id":6,"text":', rest);
    expect(client.connection.bufferedBytes).toBe(0);
  });

  test("close sends what was queued before it, and nothing after it", async () => {
    await using server = await testServer({ lineBytesMax: 1 << 20 });
    const client = await dial(server);
    const recorder = await recorderOf(server);
    const value = "x".repeat(100_000);
    for (let id = 0; id < 20; id++) client.connection.send({ id, value });
    client.connection.close("done");
    client.connection.send({ id: "late" });
    client.connection.close("again");
    await until(() => recorder.closedReasons.length === 1 && client.closedReasons.length === 1, "both ends closed");
    expect(recorder.events).toEqual(Array.from({ length: 20 }, (_, id) => ({ id, value })));
    expect(client.closedReasons).toEqual(["done"]);
    expect(recorder.closedReasons).toEqual(["the peer closed the connection"]);
  });

  test("the answer before a close reaches a peer that keeps sending", async () => {
    await using server = await testServer();
    const client = await rawClient(server);
    const recorder = await recorderOf(server);
    recorder.onLine = () => {
      recorder.connection.send({ last: true });
      recorder.connection.close("enough");
    };
    for (let count = 0; count < 200; count++) client.socket.write(`${'{"id":1}\n'.repeat(1_000)}`);
    await until(client.ended, "the connection to close");
    expect(client.text()).toBe('{"last":true}\n');
  });

  test("destroy cuts at once and reports it once", async () => {
    await using server = await testServer();
    const client = await dial(server);
    const recorder = await recorderOf(server);
    client.connection.send({ id: "lost" });
    client.connection.destroy();
    client.connection.destroy();
    client.connection.close("late");
    await until(() => client.closedReasons.length === 1 && recorder.closedReasons.length === 1, "both ends closed");
    expect(client.closedReasons).toEqual(["cut"]);
    expect(recorder.events).toEqual([]);
    expect(client.connection.open).toBe(false);
  });

  test("a peer that stops reading is cut when the bound is passed, and buffers stay below twice the bound", async () => {
    const outputBytesMax = 1 << 20;
    await using server = await testServer({ outputBytesMax });
    const client = await rawClient(server);
    client.socket.pause();
    const { connection, closedReasons } = await recorderOf(server);
    const value = "x".repeat(10_000);
    let highest = 0;
    for (let count = 0; count < 50_000 && connection.open; count++) {
      connection.send({ value });
      highest = Math.max(highest, connection.bufferedBytes);
      if (count % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => closedReasons.length === 1, "the connection to be cut");
    expect(closedReasons[0]).toBe(`the peer is too slow: more than ${outputBytesMax} bytes wait for it`);
    expect(highest).toBeGreaterThan(outputBytesMax / 2);
    expect(highest).toBeLessThan(2 * outputBytesMax + 20_000);
    expect(connection.bufferedBytes).toBe(0);
    client.socket.destroy();
  });

  test("one turn that sends far beyond the bound does not grow without it", async () => {
    const outputBytesMax = 1 << 20;
    await using server = await testServer({ outputBytesMax });
    const client = await rawClient(server);
    client.socket.pause();
    const { connection, closedReasons } = await recorderOf(server);
    for (let count = 0; count < 2_000; count++) {
      connection.send({ value: "x".repeat(10_000) });
      expect(connection.bufferedBytes).toBeLessThan(2 * outputBytesMax + 20_000);
    }
    await until(() => closedReasons.length === 1, "the connection to be cut");
    client.socket.destroy();
  });
});

describe("a peer that has finished sending", () => {
  test("is still answered within the grace time, then the connection ends", async () => {
    await using server = await testServer({ answerGraceMs: 5_000 });
    const client = await rawClient(server);
    const recorder = await recorderOf(server);
    recorder.onLine = () => {}; // the answers come later
    client.socket.end('{"id":1}\n{"id":2}\n');
    await until(() => recorder.events.length === 2, "both lines");
    await new Promise((resolve) => setTimeout(resolve, 20)); // only makes a wrong, early end likelier to be seen
    recorder.connection.send({ id: 2 });
    await until(() => client.text() !== "", "the first answer");
    expect(client.ended()).toBe(false);
    recorder.connection.send({ id: 1 });
    await until(client.ended, "the connection to close");
    expect(client.text()).toBe('{"id":2}\n{"id":1}\n');
  });

  test("is not waited for beyond the grace time", async () => {
    await using server = await testServer({ answerGraceMs: 30 });
    const client = await rawClient(server);
    (await recorderOf(server)).onLine = () => {};
    client.socket.end('{"id":1}\n');
    await until(client.ended, "the connection to close");
    expect(client.text()).toBe("");
  });
});

test("20 000 pipelined lines are all answered, in order", async () => {
  const count = 20_000;
  await using server = await testServer();
  const client = await dial(server);
  const value = "x".repeat(170);
  const start = performance.now();
  for (let id = 0; id < count; id++) {
    client.connection.send({ id, op: "put", value });
    if (id % 256 === 255) await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => client.events.length === count, "all answers");
  const perSecond = Math.round((count / (performance.now() - start)) * 1000);
  console.log(`both ends in one process: ${perSecond} requests and answers a second`);
  expect(client.events).toEqual(Array.from({ length: count }, (_, id) => ({ id, status: "ok" })));
});
