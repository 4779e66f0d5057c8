// TLS with certificates on both sides, and links that present a token: who gets through, and what the others are told.
import { once } from "node:events";
import { connect as connectPlain } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openSession } from "../../../shared/client/session.ts";
import type { Credentials } from "../../../shared/io/credentials.ts";
import { Dialer } from "../../../shared/io/dialer.ts";
import { tokenDoor } from "../../../shared/io/door.ts";
import { listen, type Listener } from "../../../shared/io/server.ts";
import type { TlsMaterial } from "../../../shared/io/sockets.ts";
import { KeyRing } from "../../../shared/io/tokens.ts";
import { ask } from "../../../storage-node/ask.ts";
import { Authority } from "../../support/certificates.ts";
import { OPTIONS, until } from "./loopback.ts";

const TOKEN = "token-of-this-cluster";
const WRONG = "token-of-another-cluster";

let ours: Authority;
let theirs: Authority;
let material: TlsMaterial;
beforeAll(() => {
  ours = new Authority();
  theirs = new Authority();
  material = ours.material();
});
afterAll(() => {
  ours[Symbol.dispose]();
  theirs[Symbol.dispose]();
});

interface Port {
  readonly address: string;
  readonly port: number;
  readonly listener: Listener;
  /** Requests that were carried out. */
  readonly passed: unknown[];
}

const open: Listener[] = [];
afterEach(async () => {
  for (const listener of open.splice(0)) await listener.close();
});

async function portWith({ tls, token }: Credentials): Promise<Port> {
  const passed: unknown[] = [];
  const keys = token === undefined ? undefined : new KeyRing({ admin: [token], read: [] });
  const door = keys && tokenDoor({ port: "coordinator", keys });
  const connection = { ...OPTIONS, requireObjectFirst: true };
  const listener = await listen({ host: "127.0.0.1", port: 0, connectionsMax: 10, connection, tls, door }, (peer) => ({
    lines: (messages) => {
      passed.push(...messages.map(({ op }) => op));
      for (const { id } of messages) peer.send({ id, status: "ok", role: "leader", epoch: 1, versions: [1, 1] });
    },
    badLine: ({ code }) => peer.send({ id: null, status: "error", code }),
    closed: () => {},
  }));
  open.push(listener);
  return { address: `127.0.0.1:${listener.port}`, port: listener.port, listener, passed };
}

/** What a raw TLS client reads until the connection is over, with an error or without one. */
async function rawTls(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connectTls({ host: "127.0.0.1", port, ...options });
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  socket.on("error", () => {}); // an alert of TLS, or a reset: the same to us
  socket.write('{"id":1,"op":"status"}\n');
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

async function refusal(address: string, credentials: Credentials): Promise<{ code: string; message: string }> {
  const error: unknown = await openSession(address, { timeoutMs: 5_000, credentials }).then(
    async (session) => {
      await session.close();
      throw new Error("it was let in");
    },
    (reason: unknown) => reason,
  );
  const { code, message } = error as { code: string; message: string };
  return { code, message };
}

describe("a port that speaks TLS", () => {
  test("takes sessions, links and node-to-node requests with a certificate of its authority", async () => {
    const { address, passed } = await portWith({ tls: material, token: TOKEN });
    const credentials = { tls: ours.material(), token: TOKEN };
    const session = await openSession(address, { credentials });
    await session.call({ op: "status" });
    await session.close();
    const answer = await ask(address, { op: "probe" }, { timeoutMs: 5_000, connection: OPTIONS, credentials });
    expect(answer).toMatchObject({ id: 1, status: "ok" });
    expect(passed).toEqual(["hello", "status", "hello", "probe"]);
  });

  test("closes on plain text, carries out nothing, and goes on serving", async () => {
    const { address, port, passed } = await portWith({ tls: material });
    const socket = connectPlain(port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString("latin1"))).on("error", () => {});
    socket.write('{"id":1,"op":"hello","versions":[1,1]}\n{"id":2,"op":"put"}\n');
    await once(socket, "close");
    expect(text).not.toContain("status");
    expect(await refusal(address, {})).toMatchObject({ code: "NODE_UNREACHABLE", message: /without TLS/ });
    expect(passed).toEqual([]);
    await (await openSession(address, { credentials: { tls: ours.material() } })).close();
  });

  test("refuses a client without a certificate, and one of another authority", async () => {
    const { address, port, passed } = await portWith({ tls: material });
    const foreign = theirs.material();
    const without = await rawTls(port, { ca: material.ca });
    const other = await rawTls(port, { ca: material.ca, cert: foreign.cert, key: foreign.key });
    expect([without, other]).toEqual(["", ""]);
    expect(await refusal(address, { tls: { ...foreign, ca: material.ca } })).toMatchObject({
      code: "NODE_UNREACHABLE",
    });
    expect(passed).toEqual([]);
  });

  test("is refused by a client that knows another authority, or that dialled another name", async () => {
    const { address, passed } = await portWith({ tls: material, token: TOKEN });
    const credentials = { tls: { ...ours.material(), ca: theirs.material().ca }, token: TOKEN };
    expect((await refusal(address, credentials)).message).toMatch(/CERT|SIGNATURE|certificate/i);
    const named = await portWith({ tls: ours.material("subjectAltName=DNS:db1.example"), token: TOKEN });
    const honest = { tls: ours.material(), token: TOKEN };
    expect((await refusal(named.address, honest)).message).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID/);
    expect([...passed, ...named.passed]).toEqual([]);
  });

  test("does not let handshakes that never end hold up its closing", async () => {
    const { port, listener } = await portWith({ tls: material });
    const socket = connectPlain(port, "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    const closed = once(socket, "close");
    // One that gets through after it: the silent one has been accepted by then.
    await (await openSession(`127.0.0.1:${port}`, { credentials: { tls: ours.material() } })).close();
    await listener.close();
    await closed;
  });
});

describe("a session with a plain port", () => {
  test("does not speak TLS to it by accident: the token stays here", async () => {
    const { address, passed } = await portWith({ token: TOKEN });
    expect(await refusal(address, { tls: material, token: TOKEN })).toMatchObject({ code: "NODE_UNREACHABLE" });
    expect(passed).toEqual([]);
  });

  test.each([undefined, WRONG])("with the token %s is UNAUTHORIZED, and says where tokens come from", async (token) => {
    const { address } = await portWith({ token: TOKEN });
    const { code, message } = await refusal(address, { token });
    expect(code).toBe("UNAUTHORIZED");
    expect(message).toMatch(/--token-file or HOLDFAST_TOKEN/);
    expect(message).not.toContain(WRONG);
  });

  test("that asks for no token takes a session that has one", async () => {
    const { address } = await portWith({});
    await (await openSession(address, { credentials: { token: TOKEN } })).close();
  });
});

describe("a link that dials by itself", () => {
  const dialled = (address: string, token: string) => {
    const log: string[] = [];
    const lines: unknown[] = [];
    const dialer = new Dialer(
      address,
      { connection: OPTIONS, credentials: { token }, backoffMsMin: 5, backoffMsMax: 20 },
      {
        connected: (connection) => {
          log.push("connected");
          connection.send({ id: 9, op: "ping" });
        },
        lines: (messages) => lines.push(...messages.map(({ id }) => id)),
        disconnected: () => log.push("disconnected"),
        connectFailed: (reason) => log.push(reason),
      },
    );
    dialer.start();
    return { dialer, log, lines };
  };

  test("is connected once its token was taken, and its owner never sees the answer to it", async () => {
    const { address } = await portWith({ token: TOKEN });
    const { dialer, log, lines } = dialled(address, TOKEN);
    await until(() => lines.length === 1, "an answer");
    expect([log, lines]).toEqual([["connected"], [9]]);
    dialer.stop();
    expect(log).toEqual(["connected", "disconnected"]);
  });

  test("whose token is refused is never connected, says why, and dials on", async () => {
    const { address, passed } = await portWith({ token: TOKEN });
    const { dialer, log } = dialled(address, WRONG);
    await until(() => log.length >= 3, "three attempts");
    dialer.stop();
    for (const reason of log) expect(reason).toMatch(/^hello was refused: the token is none of this cluster's/);
    expect(passed).toEqual([]);
    const said = log.length;
    await until(() => dialer.connection === null, "no link");
    expect(log).toHaveLength(said);
  });

  test("that is stopped while its token is looked at tells nothing afterwards", async () => {
    const { address, passed } = await portWith({ token: TOKEN });
    const { dialer, log } = dialled(address, TOKEN);
    await until(() => passed.length > 0, "hello to arrive");
    dialer.stop();
    await until(() => open[0]?.connections.size === 0, "the link to be gone");
    expect(["", "connected disconnected"]).toContain(log.join(" "));
  });
});
