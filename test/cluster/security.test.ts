// A cluster of real processes with a token and TLS: it works as any other, and somebody tries to get in at each of its ports.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import { connect as connectPlain } from "node:net";
import os from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect } from "../../shared/client/connect.ts";
import { openSession, type Session } from "../../shared/client/session.ts";
import type { Credentials } from "../../shared/io/credentials.ts";
import type { TlsMaterial } from "../../shared/io/sockets.ts";
import { Authority, type CertificateFiles } from "../support/certificates.ts";
import { buildProgram, killNodes, type NodeProcess, startNode, startProgram } from "../support/node-process.ts";

const ADMIN = "admin-token-0123456789abcdef";
const NEXT = "next-token-0123456789abcdef";
const READER = "read-token-0123456789abcdef";
const WRONG = "wrong-token-0123456789abcdef";
const WAIT_MS_MAX = 60_000;

let folder = "";
let ours: Authority;
let theirs: Authority;
let tls: TlsMaterial;
let flags: readonly string[] = [];
let leader = "";
let leaderHttp = 0;
let standby = "";
/** Every NDJSON port, by what listens there. */
const ports = new Map<string, number>();
const processes: NodeProcess[] = [];

beforeAll(async () => {
  buildProgram();
  folder = mkdtempSync(path.join(os.tmpdir(), "holdfast-secure-"));
  ours = new Authority();
  theirs = new Authority();
  tls = ours.material();
  writeFileSync(path.join(folder, "token"), `${ADMIN}\n${NEXT}\n`);
  writeFileSync(path.join(folder, "readers"), READER);
  flags = ["--token-file", "token", "--read-token-file", "readers", ...certificateFlags(ours.issue())];
  const first = started(startProgram("runtime", serveFlags("first.json", []), folder));
  const { line, port } = await first.ready;
  leader = `127.0.0.1:${port}`;
  leaderHttp = Number(/http=(\d+)/.exec(line)?.[1]);
  ports.set("coordinator", port);
  for (const id of ["A", "B"]) {
    const node = started(startNode(["0", "--data-dir", id, "--id", id, "--join", leader, ...flags], folder));
    ports.set(`node ${id}`, (await node.ready).port);
    await nodesUp(leader, ports.size - 1, { tls, token: ADMIN });
  }
  const second = started(startProgram("runtime", serveFlags("second.json", ["--join", leader]), folder));
  ports.set("standby", (await second.ready).port);
  standby = `127.0.0.1:${ports.get("standby")}`;
}, 120_000);

afterAll(async () => {
  await killNodes();
  ours[Symbol.dispose]();
  theirs[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

function started(process: NodeProcess): NodeProcess {
  processes.push(process);
  return process;
}

function certificateFlags({ ca, cert, key }: CertificateFiles): string[] {
  return ["--tls-ca", ca, "--tls-cert", cert, "--tls-key", key];
}

/** Ports below those that the system gives to outgoing connections. */
function serveFlags(clusterFile: string, more: readonly string[]): string[] {
  const port = 21_000 + Math.floor(Math.random() * 9_000);
  const where = ["--port", String(port), "--http", String(port + 1), "--cluster-file", clusterFile];
  return ["serve", ...where, ...more, ...flags];
}

async function nodesUp(address: string, count: number, credentials: Credentials): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  for (;;) {
    const session = await openSession(address, { credentials });
    const { nodes } = await session.call({ op: "status" }).catch(() => ({ nodes: [] }));
    await session.close();
    if (nodes.filter(({ state }) => state === "up").length === count) return;
    if (performance.now() > deadlineMs) throw new Error(`${count} nodes were not up: ${processes.at(-1)?.said()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function refusalAt(address: string, token: string | undefined, material = tls): Promise<string> {
  const credentials = { tls: material, token };
  const opened: Session | { readonly code: string } = await openSession(address, { credentials }).catch(
    (error: { readonly code: string }) => error,
  );
  if (!("close" in opened)) return opened.code;
  await opened.close();
  return "let in";
}

interface Got {
  readonly status: number | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

async function http(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
  body?: string,
): Promise<Got> {
  const options = { host: "127.0.0.1", port: leaderHttp, method, path: target, headers, ...tls, agent: false as const };
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    httpsRequest(options, resolve).on("error", reject).end(body);
  });
  return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
}

describe("with the token and a certificate", () => {
  test("clients write and read, through a standby and straight from nodes; REST takes the next token too", async () => {
    const kv = await connect([standby], { token: ADMIN, tls, timeoutMs: 10_000 });
    await kv.put("apple", "red", { consistency: "all" });
    expect((await kv.get("apple"))?.text()).toBe("red");
    expect((await kv.get("apple", { consistency: "one" }))?.text()).toBe("red");
    await kv.close();
    const bytes = await http("PUT", "/keys/pear", { authorization: `Bearer ${NEXT}` }, "green");
    expect(bytes.status).toBe(200);
  });

  test("a command takes them from files; without a token it says where one comes from", async () => {
    const get = startProgram("runtime", ["get", "apple", "--connect", leader, ...flags], folder);
    expect(await get.ended).toMatchObject({ code: 0, stdout: "apple -> red\n" });
    const without = startProgram("runtime", ["get", "apple", "--connect", leader, ...flags.slice(4)], folder);
    const { code, stderr } = await without.ended;
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/asks for a token.*--token-file or HOLDFAST_TOKEN/);
  });

  test("a reader's client reads and cannot write", async () => {
    const kv = await connect([leader], { token: READER, tls, timeoutMs: 10_000 });
    expect((await kv.get("apple"))?.text()).toBe("red");
    expect((await kv.get("apple", { consistency: "one" }))?.text()).toBe("red");
    await expect(kv.put("apple", "blue")).rejects.toMatchObject({ code: "FORBIDDEN", outcome: "failed" });
    await kv.close();
  });

  test("a client of a standby is sent on to the leader's https address, and its token is good there", async () => {
    const port = Number(standby.split(":")[1]) + 1;
    const options = {
      host: "127.0.0.1",
      port,
      path: "/keys/apple",
      headers: { authorization: `Bearer ${ADMIN}` },
      ...tls,
    };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      httpsRequest({ ...options, agent: false }, resolve)
        .on("error", reject)
        .end();
    });
    expect([answer.statusCode, answer.headers.location]).toEqual([307, `https://127.0.0.1:${leaderHttp}/keys/apple`]);
    answer.resume();
  });
});

describe("somebody tries to get in at every port", () => {
  const each = (action: (address: string, name: string) => Promise<unknown>): Promise<unknown[]> =>
    Promise.all([...ports].map(([name, port]) => action(`127.0.0.1:${port}`, name)));

  test("with no token, a wrong one, or the beginning of one", async () => {
    for (const token of [undefined, WRONG, ADMIN.slice(0, -1)]) {
      await each(async (address, name) =>
        expect([name, await refusalAt(address, token)]).toEqual([name, "UNAUTHORIZED"]),
      );
    }
  });

  test("with a certificate of another authority, or none", async () => {
    const foreign = { ...theirs.material(), ca: tls.ca };
    await each(async (address, name) => {
      expect([name, await refusalAt(address, ADMIN, foreign)]).toEqual([name, "NODE_UNREACHABLE"]);
      const said = await raw(connectTls({ host: "127.0.0.1", port: Number(address.split(":")[1]), ca: tls.ca }));
      expect([name, said]).toEqual([name, ""]);
    });
  });

  test("in plain text", async () => {
    await each(async (address, name) => {
      const said = await raw(connectPlain(Number(address.split(":")[1]), "127.0.0.1"));
      expect([name, said]).toEqual([name, expect.not.stringContaining("ok")]);
    });
  });

  test("from a page of another site, whose browser has the certificate and the password", async () => {
    const password = `Basic ${Buffer.from(`:${ADMIN}`).toString("base64")}`;
    const headers = { authorization: password, origin: "https://evil.example", "content-type": "text/plain" };
    const { status, body } = await http("PUT", "/keys/apple", headers, "posted");
    expect([status, JSON.parse(body).code]).toEqual([403, "FORBIDDEN"]);
    await each(async (address, name) => {
      const port = Number(address.split(":")[1]);
      const post = `POST / HTTP/1.1\r\nHost: ${address}\r\nOrigin: https://evil.example\r\n\r\n`;
      const said = await raw(connectTls({ host: "127.0.0.1", port, ...tls }), post);
      expect([name, said]).toEqual([name, expect.not.stringContaining('"ok"')]);
    });
    const kv = await connect([leader], { token: ADMIN, tls, timeoutMs: 10_000 });
    expect((await kv.get("apple"))?.text()).toBe("red");
    await kv.close();
  });

  test("and nobody wrote a token into a log", () => {
    for (const { said } of processes) {
      for (const token of [ADMIN, NEXT, READER, WRONG]) expect(said()).not.toContain(token);
    }
    expect(processes[0]?.said()).toMatch(/was turned away/);
  });
});

test("a process that would let other machines in without token and TLS does not start, and says what to do", async () => {
  const node = await startNode(["0", "--data-dir", "open", "--host", "0.0.0.0"], folder).ended;
  expect(node).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^node_server: listening on 0\.0\.0\.0 .*--insecure/),
  });
  const runtime = await startProgram("runtime", ["serve", "--host", "::", "--cluster-file", "open.json"], folder).ended;
  expect(runtime).toMatchObject({ code: 1, stderr: expect.stringMatching(/^runtime: listening on :: .*--insecure/) });
});

test("--insecure lets it, and --advertise is the address that others are told", async () => {
  const insecure = ["--host", "0.0.0.0", "--insecure"];
  const port = 30_500 + Math.floor(Math.random() * 500);
  const where = [
    "--port",
    String(port),
    "--no-http",
    "--advertise",
    `localhost:${port}`,
    "--cluster-file",
    "wide.json",
  ];
  const coordinator = startProgram("runtime", ["serve", ...where, ...insecure], folder);
  expect((await coordinator.ready).line).toContain(`listening on 0.0.0.0:${port}`);
  const node = startNode(["0", "--data-dir", "wide", "--join", `127.0.0.1:${port}`, ...insecure], folder);
  await node.ready;
  await nodesUp(`127.0.0.1:${port}`, 1, {});
  const kv = await connect([`127.0.0.1:${port}`], { timeoutMs: 20_000 });
  await kv.put("a", "b");
  await kv.close();
  const session = await openSession(`127.0.0.1:${port}`);
  expect(session.hello).toMatchObject({ role: "leader", leader: `localhost:${port}` });
  await session.close();
});

/** Everything that comes back, until the connection is over, to requests that need no answer to go on. */
async function raw(socket: ReturnType<typeof connectPlain>, before = ""): Promise<string> {
  let got = "";
  socket.on("data", (chunk) => (got += chunk.toString("latin1"))).on("error", () => {});
  const hello = JSON.stringify({ id: 1, op: "hello", versions: [1, 1], token: ADMIN });
  socket.write(`${before}${hello}\n{"id":2,"op":"put","key":"apple","value":"blue"}\n`);
  await new Promise((resolve) => socket.once("close", resolve));
  return got;
}
