// Bounds of the HTTP server: what a slow or silent client can hold open, and what becomes of requests while it closes.
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import type { Answered, OpenLocal } from "../../../coordinator/http/backend.ts";
import { always, closeAll, serveScript, type Api } from "./rest.ts";

afterEach(closeAll);

const ANSWER = { status: "ok", version: "1.1" };
const SHORT = { headersMs: 150, requestMs: 300, keepAliveMs: 150, checkMs: 30, drainMs: 2_000 };
/** As short as a request that must not be cut allows. */
const PATIENT = { ...SHORT, headersMs: 20_000, requestMs: 20_000, keepAliveMs: 20_000 };

/** A connection and what came over it until it ended. */
function dial(api: Api): { readonly socket: Socket; readonly ended: Promise<string> } {
  let said = "";
  const socket = connect({ port: api.server.port, host: "127.0.0.1" });
  socket
    .setEncoding("utf8")
    .on("data", (chunk) => (said += chunk))
    .on("error", () => {});
  return { socket, ended: new Promise((resolve) => socket.on("close", () => resolve(said))) };
}

test.each([
  ["says nothing", "", "408"],
  ["begins a request and goes silent", "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ", "408"],
  [
    "promises a body and sends a part",
    "PUT /keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\npart",
    "408",
  ],
  ["goes idle after a request", "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", "200"],
])("a client that %s is cut, and others are served meanwhile", async (_name, text, status) => {
  const api = await serveScript(always(ANSWER), { timeouts: SHORT });
  const slow = Array.from({ length: 50 }, () => dial(api));
  for (const { socket } of slow) if (text !== "") socket.write(text);
  expect((await api.put("/keys/a", { value: "1" })).status).toBe(200);
  for (const said of await Promise.all(slow.map(({ ended }) => ended))) expect(said).toContain(`HTTP/1.1 ${status} `);
});

test("a client that drips its body is cut at the limit for a whole request", async () => {
  const api = await serveScript(always(ANSWER), { timeouts: SHORT });
  const { socket, ended } = dial(api);
  socket.write("PUT /keys/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  const drip = setInterval(() => socket.write("1\r\nx\r\n"), 20);
  const said = await ended;
  clearInterval(drip);
  expect(said).toMatch(/^HTTP\/1\.1 408 [\s\S]*"code":"SLOW_REQUEST"/);
});

test("a body that never ends is refused at the limit for values", async () => {
  const api = await serveScript(always(ANSWER), { timeouts: PATIENT, valueBytesMax: 1000 });
  const { socket, ended } = dial(api);
  socket.write("PUT /keys/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
  const chunk = `100\r\n${"x".repeat(256)}\r\n`;
  const pour = setInterval(() => socket.write(chunk), 1);
  const answered = once(socket, "data");
  await answered;
  clearInterval(pour);
  socket.end();
  expect(await ended).toMatch(/^HTTP\/1\.1 413 [\s\S]*"code":"TOO_LARGE"/);
});

/** Keeps every message until the test lets it be answered. */
function held(): { readonly open: OpenLocal; readonly arrived: Promise<void>; readonly release: () => void } {
  let answer: (() => void) | undefined;
  let tell: () => void = () => {};
  const arrived = new Promise<void>((resolve) => (tell = resolve));
  const open: OpenLocal = (answered: (message: Answered) => void) => ({
    send: ({ id }) => {
      answer = () => answered({ id, ...ANSWER });
      tell();
      return true;
    },
    close: () => {},
  });
  return { open, arrived, release: () => answer?.() };
}

test("closing answers what is open, takes nothing new, and does not wait for idle connections", async () => {
  const { open, arrived, release } = held();
  const api = await serveScript(open, { timeouts: PATIENT });
  const idle = dial(api);
  await once(idle.socket, "connect");
  const busy = dial(api);
  busy.socket.write("DELETE /keys/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await arrived;
  const closed = api.server.close();
  await idle.ended;
  await expect(fetch(`http://${api.server.address}/livez`)).rejects.toThrow("fetch failed");
  release();
  expect(await busy.ended).toContain("HTTP/1.1 200 ");
  await closed;
});

test("closing does not wait for ever", async () => {
  const { open, arrived } = held();
  const api = await serveScript(open, { timeouts: { ...PATIENT, drainMs: 100 } });
  const stuck = dial(api);
  stuck.socket.write("DELETE /keys/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await arrived;
  await api.server.close();
  expect(await stuck.ended).toBe("");
});

test("a port that is taken is an error with the system's code", async () => {
  const api = await serveScript(always(ANSWER));
  await expect(serveScript(always(ANSWER), { port: api.server.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
});
