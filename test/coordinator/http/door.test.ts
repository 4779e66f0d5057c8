// Somebody tries to get in over HTTP: without a token, with another one, from a page of another site, without a certificate.
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import { HTTP_TIMEOUTS, startHttp, type HttpServer } from "../../../coordinator/http/http-server.ts";
import type { Security } from "../../../shared/io/security.ts";
import type { TlsMaterial } from "../../../shared/io/sockets.ts";
import { KeyRing } from "../../../shared/io/tokens.ts";
import { Authority } from "../../support/certificates.ts";

const ADMIN = "admin-token-of-this-cluster";
const OLD = "admin-token-of-last-year";
const READER = "token-that-may-only-read";
const tokens: Security = {
  credentials: { token: ADMIN },
  keys: new KeyRing({ admin: [ADMIN], read: [READER] }),
  insecure: false,
};
const openToAll: Security = { credentials: {}, keys: undefined, insecure: false };

const servers: HttpServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

interface Served {
  readonly port: number;
  /** Operations that reached the coordinator. */
  readonly carriedOut: unknown[];
}

/** A coordinator that answers everything with ok. */
async function serve(security: Security, advertise?: { host: string; port: number }): Promise<Served> {
  const carriedOut: unknown[] = [];
  const server = await startHttp({
    host: "127.0.0.1",
    port: 0,
    advertise,
    security,
    valueBytesMax: 1_024,
    version: "0.0.0",
    report: () => {},
    timeouts: { ...HTTP_TIMEOUTS, drainMs: 300 },
    open: (answered) => ({
      send: ({ id, op }) => {
        carriedOut.push(op);
        setImmediate(() => answered({ id, status: "ok", version: "1.1", value: "v", nodes: [], role: "standby" }));
        return true;
      },
      close: () => {},
    }),
  });
  servers.push(server);
  return { port: server.port, carriedOut };
}

interface Got {
  readonly status: number | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

async function ask(served: Served, options: RequestOptions & { readonly body?: string } = {}): Promise<Got> {
  const { body, ...rest } = options;
  const request = "ca" in options ? httpsRequest : httpRequest;
  const all = { host: "127.0.0.1", port: served.port, path: "/keys/apple", agent: false as const, ...rest };
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request(all, resolve).on("error", reject).end(body);
  });
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
}

const bearer = (token: string): { authorization: string } => ({ authorization: `Bearer ${token}` });
const basic = (text: string): { authorization: string } => {
  return { authorization: `Basic ${Buffer.from(text).toString("base64")}` };
};

describe("with a token asked for", () => {
  test.each([
    ["no token", {}],
    ["a wrong one", bearer("admin-token-of-that-cluster")],
    ["an old one", bearer(OLD)],
    ["the beginning of it", bearer(ADMIN.slice(0, -1))],
    ["an empty one", { authorization: "Bearer " }],
    ["the token without a scheme", { authorization: ADMIN }],
    ["another scheme", { authorization: `Digest ${ADMIN}` }],
    ["a wrong password", basic("admin:wrong-wrong-wrong-wrong")],
    ["what is no base64", { authorization: "Basic ****" }],
  ])("%s is 401 on every path, known or not, and nothing is carried out", async (_name, headers) => {
    const served = await serve(tokens);
    const paths = [
      "/",
      "/keys/apple",
      "/keys",
      "/admin/status",
      "/metrics",
      "/docs",
      "/openapi.json",
      "/console/events",
    ];
    for (const path of [...paths, "/nowhere"]) {
      const { status, headers: got, body } = await ask(served, { path, headers });
      expect([path, status, got["content-type"]]).toEqual([path, 401, "application/problem+json; charset=utf-8"]);
      expect(got["www-authenticate"]).toContain("Bearer");
      expect(JSON.parse(body)).toMatchObject({ code: "UNAUTHORIZED", outcome: "failed", retryable: false });
      expect(body).not.toContain(ADMIN);
    }
    const put = await ask(served, { method: "PUT", headers: { ...headers, "content-type": "text/plain" }, body: "v" });
    expect(put.status).toBe(401);
    expect(served.carriedOut).toEqual([]);
  });

  test("it is taken as Bearer, and as the password of Basic whoever is named", async () => {
    const served = await serve(tokens);
    const ways = [bearer(ADMIN), { authorization: `bearer  ${ADMIN}` }, basic(`:${ADMIN}`), basic(`me:${ADMIN}`)];
    for (const headers of ways) expect((await ask(served, { headers })).status).toBe(200);
    expect(served.carriedOut).toHaveLength(ways.length);
  });

  test("it is never taken from the query, where it would be logged on the way", async () => {
    const served = await serve(tokens);
    expect((await ask(served, { path: `/keys/apple?token=${ADMIN}` })).status).toBe(401);
  });

  test("a reader's is good for looking only", async () => {
    const served = await serve(tokens);
    const headers = { ...bearer(READER), "content-type": "application/json" };
    expect((await ask(served, { headers })).status).toBe(200);
    expect(served.carriedOut).toEqual(["get"]);
    const acts = [
      ["PUT", "/keys/apple"],
      ["DELETE", "/keys/apple"],
      ["POST", "/batch"],
      ["POST", "/admin/nodes"],
      ["DELETE", "/admin/nodes/A"],
      ["PUT", "/admin/replicas"],
    ] as const;
    for (const [method, path] of acts) {
      const sent = method === "DELETE" ? {} : { body: '{"value":"v"}' };
      const { status, body } = await ask(served, { method, path, headers: bearer(READER), ...sent });
      expect([method, path, status]).toEqual([method, path, 403]);
      expect(JSON.parse(body)).toMatchObject({ code: "FORBIDDEN" });
    }
    expect(served.carriedOut).toEqual(["get"]);
  });

  test("probes need none: what restarts processes has none", async () => {
    const served = await serve(tokens);
    expect((await ask(served, { path: "/livez" })).status).toBe(200);
    expect((await ask(served, { path: "/readyz" })).status).not.toBe(401);
    expect((await ask(served, { path: "/livez/", headers: {} })).status).toBe(401);
    expect((await ask(served, { path: "/livez", method: "POST" })).status).toBe(401);
  });
});

describe("pages of other sites", () => {
  const evil = { origin: "http://evil.example" };
  const form = { "content-type": "text/plain" };

  test.each([
    ["a form", { ...evil, ...form }],
    ["a sandboxed frame", { origin: "null", ...form }],
    ["the same machine at another port", { origin: "http://127.0.0.1:1", ...form }],
    ["a page whose origin was left out", { "sec-fetch-site": "cross-site", ...form }],
    ["a page of a site beside ours", { "sec-fetch-site": "same-site", ...form }],
  ])("may not write: %s", async (_name, headers) => {
    for (const security of [openToAll, tokens]) {
      const served = await serve(security);
      const all = { ...headers, ...(security === tokens && basic(`:${ADMIN}`)) };
      const { status, body } = await ask(served, { method: "PUT", headers: all, body: "v" });
      expect([status, JSON.parse(body).code]).toEqual([403, "FORBIDDEN"]);
      expect(served.carriedOut).toEqual([]);
    }
  });

  test("get no leave to ask, and nothing to read", async () => {
    const served = await serve(openToAll);
    const preflight = { ...evil, "access-control-request-method": "PUT" };
    const asked = await ask(served, { method: "OPTIONS", headers: preflight });
    const read = await ask(served, { headers: evil });
    expect([asked.status, read.status]).toEqual([403, 403]);
    for (const { headers } of [asked, read]) expect(Object.keys(headers).join()).not.toMatch(/access-control/);
  });

  test("our own page may, whatever our name; and a link from elsewhere leads here", async () => {
    const served = await serve(openToAll, { host: "db1.example", port: 7_401 });
    for (const name of ["127.0.0.1", "localhost", "[::1]", "db1.example", "DB1.example"]) {
      const host = `${name}:${served.port}`;
      const headers = { host, origin: `http://${host}`, ...form };
      expect([name, (await ask(served, { method: "PUT", headers, body: "v" })).status]).toEqual([name, 200]);
    }
    expect((await ask(served, { headers: { "sec-fetch-site": "cross-site" } })).status).toBe(200);
  });

  test("cannot give their own name our address (DNS rebinding)", async () => {
    const served = await serve(openToAll);
    for (const host of [
      "evil.example",
      `evil.example:${served.port}`,
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "x",
    ]) {
      const { status, body } = await ask(served, { headers: { host } });
      expect([host, status, JSON.parse(body).code]).toEqual([host, 403, "FORBIDDEN"]);
    }
    expect(served.carriedOut).toEqual([]);
  });
});

describe("with TLS", () => {
  test("certified clients are served; others, and plain text, get nothing", async () => {
    using ours = new Authority();
    using theirs = new Authority();
    const material: TlsMaterial = ours.material();
    const served = await serve({ ...tokens, credentials: { token: ADMIN, tls: material } });
    const client = ours.material();
    const good = await ask(served, { ...client, headers: bearer(ADMIN) });
    expect(good.status).toBe(200);
    expect((await ask(served, { ...client })).status).toBe(401);
    const foreign = theirs.material();
    await expect(ask(served, { ca: material.ca, headers: bearer(ADMIN) })).rejects.toThrow();
    await expect(ask(served, { ...foreign, ca: material.ca, headers: bearer(ADMIN) })).rejects.toThrow();
    await expect(ask(served, { ...client, ca: foreign.ca, headers: bearer(ADMIN) })).rejects.toThrow();
    expect(
      await plain(served.port, `GET /keys/apple HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${ADMIN}\r\n\r\n`),
    ).not.toMatch(/200/);
    expect(served.carriedOut).toEqual(["get"]);
  });
});

/** Everything that comes back until the connection is over. */
async function plain(port: number, request: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let got = "";
  socket.on("data", (chunk) => (got += chunk.toString("latin1"))).on("error", () => {});
  socket.write(request);
  await new Promise((resolve) => socket.once("close", resolve));
  return got;
}
