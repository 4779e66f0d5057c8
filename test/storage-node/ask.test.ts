// Ask: the answer, or null within the time, whatever the other end does. Real sockets on loopback.
import { afterEach, expect, test } from "vitest";
import type { ConnectionHandlers, NdjsonConnection } from "../../shared/io/ndjson-connection.ts";
import { listen, type Listener } from "../../shared/io/server.ts";
import { ask } from "../../storage-node/ask.ts";

const connection = { lineBytesMax: 1024, outputBytesMax: 65_536, requireObjectFirst: false };
const listeners: Listener[] = [];
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
});

/** A node that does this with every line; returns it and its address. */
async function peer(lines: (connection: NdjsonConnection, message: Record<string, unknown>) => void) {
  const handlers = (link: NdjsonConnection): ConnectionHandlers => ({
    lines: (messages) => messages.forEach((message) => lines(link, message)),
    badLine: () => {},
    closed: () => {},
  });
  const listener = await listen({ host: "127.0.0.1", port: 0, connectionsMax: 10, connection }, handlers);
  listeners.push(listener);
  return { listener, address: `127.0.0.1:${listener.port}` };
}

test("the answer comes back, and the request went out with an id", async () => {
  const { address } = await peer((link, message) => link.send({ echo: message }));
  const answer = await ask(address, { op: "list" }, { timeoutMs: 10_000, connection });
  expect(answer).toEqual({ echo: { id: 1, op: "list" } });
});

test.each([
  ["hangs up", (link: NdjsonConnection) => link.destroy()],
  ["answers with what is no message", (link: NdjsonConnection) => link.sendRaw("what?")],
  ["answers with more than a line may hold", (link: NdjsonConnection) => link.send({ pad: "x".repeat(2000) })],
])("null from a node that %s, long before the time is up", async (_what, behaviour) => {
  const { address } = await peer(behaviour);
  expect(await ask(address, {}, { timeoutMs: 60_000, connection })).toBeNull();
});

test("null from a node that is silent, once the time is up; its connection is closed", async () => {
  let taken: NdjsonConnection | undefined;
  const { address, listener } = await peer((link) => (taken = link));
  expect(await ask(address, {}, { timeoutMs: 300, connection })).toBeNull();
  expect(taken).toBeDefined();
  // A server grants a peer that has finished sending 2.5 s for its answers.
  await expect.poll(() => listener.connections.size, { timeout: 20_000 }).toBe(0);
});

test("null where nobody listens, and for what is no address", async () => {
  const { address, listener } = await peer(() => {});
  await listener.close();
  expect(await ask(address, {}, { timeoutMs: 60_000, connection })).toBeNull();
  expect(await ask("nowhere", {}, { timeoutMs: 60_000, connection })).toBeNull();
});
