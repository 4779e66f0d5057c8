import { describe, expect, test } from "vitest";
import type { RawClient } from "./loopback.ts";
import { rawClient, recorderOf, testServer, until } from "./loopback.ts";
import { listen } from "../../../shared/io/server.ts";
import { OPTIONS } from "./loopback.ts";

describe("listening", () => {
  test("a port in use is refused with its code and what to do", async () => {
    await using server = await testServer();
    const { port } = server.listener;
    await expect(testServer({}, { port })).rejects.toMatchObject({
      code: "EADDRINUSE",
      message: `127.0.0.1:${port} is already in use; stop the process that listens there or choose another port`,
    });
  });

  test("an address of another machine is refused with what to choose instead", async () => {
    const options = { host: "192.0.2.1", port: 0, connectionsMax: 1, connection: OPTIONS };
    await expect(listen(options, () => expect.unreachable())).rejects.toMatchObject({
      code: "EADDRNOTAVAIL",
      message: expect.stringContaining("choose 127.0.0.1"),
    });
  });

  test("one connection more than the limit is told so and closed; when one ends there is room again", async () => {
    await using server = await testServer({}, { connectionsMax: 2 });
    const [first] = [await rawClient(server), await rawClient(server)];
    await recorderOf(server, 2);
    const third = await rawClient(server);
    third.socket.write('{"id":1}\n');
    await until(third.ended, "the third connection to close");
    const answer = JSON.parse(third.text()) as unknown;
    expect(answer).toMatchObject({
      status: "error",
      code: "OVERLOADED",
      message: expect.stringContaining("2 connections"),
    });
    expect(server.recorders).toHaveLength(2);

    first.socket.destroy();
    await until(() => server.listener.connections.size === 1, "room for another");
    const fourth = await rawClient(server);
    fourth.socket.write('{"id":4}\n');
    await until(() => fourth.text() === '{"id":4,"status":"ok"}\n', "the fourth connection to be served");
  });

  test("2000 idle connections are harmless: the next one is served, and all are let go", async () => {
    await using server = await testServer();
    const before = process.memoryUsage().rss;
    const idle: RawClient[] = [];
    for (let batch = 0; batch < 20; batch++) {
      idle.push(...(await Promise.all(Array.from({ length: 100 }, () => rawClient(server)))));
    }
    await recorderOf(server, 2_000);
    for (const client of idle.slice(0, 500)) client.socket.write('{"id":'); // unfinished, for good
    const client = await rawClient(server);
    client.socket.write('{"id":1}\n');
    await until(() => client.text() === '{"id":1,"status":"ok"}\n', "the next connection to be served");
    const bytesEach = Math.round((process.memoryUsage().rss - before) / 2_000);
    console.log(`an idle connection, both ends: about ${bytesEach} bytes`);
    for (const each of [...idle, client]) each.socket.destroy();
    await until(() => server.listener.connections.size === 0, "all connections gone");
    expect(server.recorders.every((recorder) => recorder.closedReasons.length === 1)).toBe(true);
  });
});

describe("closing", () => {
  test("close sends what was queued, ends every connection and frees the port", async () => {
    const server = await testServer();
    const client = await rawClient(server);
    const { connection, closedReasons } = await recorderOf(server);
    connection.send({ last: "x".repeat(500_000) });
    await server.listener.close();
    await until(client.ended, "the client's end to close");
    expect(client.text()).toHaveLength('{"last":""}\n'.length + 500_000);
    expect(closedReasons).toEqual(["the server is closing"]);
    expect(server.listener.connections.size).toBe(0);
    await server.listener.close();
    await using again = await testServer({}, { port: server.listener.port });
    expect(again.listener.port).toBe(server.listener.port);
  });

  test("a client that neither reads nor leaves does not hold it up", async () => {
    const server = await testServer();
    const client = await rawClient(server);
    client.socket.pause();
    const { connection } = await recorderOf(server);
    connection.send({ last: "x".repeat(10_000_000) });
    await server.listener.close();
    expect(server.listener.connections.size).toBe(0);
    client.socket.destroy();
  });
});
