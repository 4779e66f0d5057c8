import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import type { DialerHandlers } from "../../../shared/io/dialer.ts";
import { Dialer } from "../../../shared/io/dialer.ts";
import type { NdjsonConnection } from "../../../shared/io/ndjson-connection.ts";
import type { TimerService } from "../../../shared/io/system-clock.ts";
import type { TestServer } from "./loopback.ts";
import { OPTIONS, recorderOf, testServer, until } from "./loopback.ts";

/** Timers that fire when told to; waits are recorded. */
class ManualTimers implements TimerService {
  readonly waits: number[] = [];
  #pending = new Map<number, () => void>();
  #next = 0;

  nowMs(): number {
    return 0;
  }

  at(timeMs: number, callback: () => void): () => void {
    const id = this.#next++;
    this.waits.push(timeMs);
    this.#pending.set(id, callback);
    return () => this.#pending.delete(id);
  }

  get pending(): number {
    return this.#pending.size;
  }

  fire(): void {
    const due = [...this.#pending.values()];
    this.#pending.clear();
    for (const callback of due) callback();
  }
}

class Log implements DialerHandlers {
  readonly events: string[] = [];
  connection: NdjsonConnection | null = null;
  failures: string[] = [];

  connected(connection: NdjsonConnection): void {
    this.events.push("connected");
    this.connection = connection;
  }

  lines(messages: Record<string, unknown>[]): void {
    for (const message of messages) this.events.push(`line ${String(message["id"])}`);
  }

  disconnected(reason: string): void {
    this.events.push(`disconnected: ${reason}`);
  }

  connectFailed(reason: string): void {
    this.failures.push(reason);
  }
}

const addressOf = (server: TestServer): string => `127.0.0.1:${server.listener.port}`;

/** A port nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("the dialer", () => {
  test("connects, carries lines both ways, and connects again after the server restarted", async () => {
    const server = await testServer();
    const { port } = server.listener;
    const log = new Log();
    const dialer = new Dialer(addressOf(server), { connection: OPTIONS }, log);
    dialer.start();
    dialer.start();
    await until(() => log.connection !== null, "the first link");
    log.connection?.send({ id: 1 });
    await until(() => log.events.includes("line 1"), "the first answer");
    await server.listener.close();
    await until(() => log.failures.length >= 2, "attempts while the server is down");

    await using restarted = await testServer({}, { port });
    await until(() => log.events.filter((event) => event === "connected").length === 2, "the second link");
    log.connection?.send({ id: 2 });
    await until(() => log.events.includes("line 2"), "the second answer");
    dialer.stop();
    await until(() => restarted.listener.connections.size === 0, "the link to be gone");
    expect(log.events).toEqual([
      "connected",
      "line 1",
      "disconnected: the peer closed the connection",
      "connected",
      "line 2",
      "disconnected: the dialer was stopped",
    ]);
    expect(dialer.connection).toBeNull();
  });

  test("waits 0, then up to 50 ms, 100 ms, … 1 s, each times the random number", async () => {
    const timers = new ManualTimers();
    const log = new Log();
    const address = `127.0.0.1:${await freePort()}`;
    const dialer = new Dialer(
      address,
      { connection: OPTIONS, timers, random: () => 0.5, connectTimeoutMs: 7_777 },
      log,
    );
    dialer.start();
    for (let attempt = 1; attempt <= 8; attempt++) {
      await until(() => log.failures.length === attempt, `failure ${attempt}`);
      expect(timers.pending).toBe(1);
      timers.fire();
    }
    expect(timers.waits.filter((wait) => wait !== 7_777)).toEqual([0, 25, 50, 100, 200, 400, 500, 500]);
    expect(log.failures[0]).toContain("ECONNREFUSED");
    dialer.stop();
    expect(timers.pending).toBe(0);
    expect(log.events).toEqual([]);
  });

  test("a server that accepts and hangs up is not dialled in a tight loop; one that speaks is dialled at once", async () => {
    await using server = await testServer();
    const timers = new ManualTimers();
    const log = new Log();
    const dialer = new Dialer(
      addressOf(server),
      { connection: OPTIONS, timers, random: () => 0.5, connectTimeoutMs: 7_777 },
      log,
    );
    dialer.start();
    for (let link = 1; link <= 4; link++) {
      const recorder = await recorderOf(server, link);
      await until(() => log.events.filter((event) => event === "connected").length === link, `link ${link}`);
      if (link === 3) {
        recorder.connection.send({ id: "hello" });
        await until(() => log.events.includes("line hello"), "the line");
      }
      recorder.connection.destroy();
      await until(() => timers.pending === 1, "the wait for the next attempt");
      timers.fire();
    }
    dialer.stop();
    expect(timers.waits.filter((wait) => wait !== 7_777)).toEqual([0, 25, 0, 25]);
  });

  test("an attempt that gets no answer is given up after the connect timeout", async () => {
    const timers = new ManualTimers();
    const log = new Log();
    const dialer = new Dialer("127.0.0.1:1", { connection: OPTIONS, timers }, log);
    dialer.start();
    timers.fire(); // before the event loop could report anything
    expect(log.failures).toEqual(["no answer to connecting within 1000 ms"]);
    dialer.stop();
    expect(timers.pending).toBe(0);
  });

  test("a new address is dialled at once, and the old link is reported lost before the new one is up", async () => {
    await using old = await testServer();
    await using replacement = await testServer();
    const log = new Log();
    const dialer = new Dialer(addressOf(old), { connection: OPTIONS }, log);
    dialer.start();
    await until(() => log.connection !== null, "the first link");
    log.connection?.send({ id: "before" });
    dialer.setAddress(addressOf(old));
    dialer.setAddress(addressOf(replacement));
    await until(() => log.events.length === 3, "the second link");
    expect(log.events).toEqual(["connected", "disconnected: the address changed", "connected"]);
    const recorder = await recorderOf(old);
    await until(() => old.listener.connections.size === 0, "the old link to be gone");
    expect(recorder.events).toEqual([{ id: "before" }]);
    expect(() => dialer.setAddress("nonsense:")).toThrow("is no address");
    expect(dialer.address).toBe(addressOf(replacement));
    dialer.stop();
  });

  test("stop while connecting, and from within a handler, leaves nothing behind", async () => {
    await using server = await testServer();
    const log = new Log();
    const dialer = new Dialer(addressOf(server), { connection: OPTIONS }, log);
    dialer.start();
    dialer.stop();
    const stopping = new Log();
    const second: Dialer = new Dialer(addressOf(server), { connection: OPTIONS }, stopping);
    stopping.connected = () => second.stop();
    second.start();
    await until(() => stopping.events.length === 1, "the second dialer to stop");
    await until(() => server.recorders.length >= 1 && server.listener.connections.size === 0, "no connections");
    expect(stopping.events).toEqual(["disconnected: the dialer was stopped"]);
    expect(log.events).toEqual([]);
  });

  test("a peer that speaks no NDJSON is left, and that is the reason given", async () => {
    const server = createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const log = new Log();
    const dialer = new Dialer(String((server.address() as AddressInfo).port), { connection: OPTIONS }, log);
    dialer.start();
    await until(() => log.events.length >= 2, "the link to end");
    dialer.stop();
    server.close();
    expect(log.events[1]).toContain("the peer does not speak our protocol");
  });
});
