// Input that no honest peer sends, at the port of a coordinator and of a storage node: each line is answered with an error
// or its connection is closed, the process lives, its memory stays bounded, and the next good request is served.
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect as connectClient } from "../../shared/client/connect.ts";
import { closeEverything, SEED } from "../support/cluster-checks.ts";
import { ClusterProcess, until } from "../support/cluster-process.ts";
import { seededRandom } from "../support/random.ts";
import { hostileLine } from "../support/hostile-lines.ts";
import { RawLink } from "../support/node-process.ts";

const CONNECTIONS = 150;
const LINES_EACH = 12;
const IDLE_CONNECTIONS = 1_500;
const HUGE_BYTES = 100 * 1024 * 1024;
/** Far below what keeping the hostile bytes would cost, far above what serving costs. */
const GROWTH_BYTES_MAX = 90 * 1024 * 1024;

let cluster: ClusterProcess;

beforeAll(async () => {
  cluster = await ClusterProcess.start({ nodes: 1 });
});
afterAll(() => closeEverything());

interface Target {
  readonly port: number;
  readonly pid: number;
}

const targets: readonly (readonly [string, () => Target])[] = [
  ["coordinator", () => targetAt(cluster.address, cluster.coordinator.child.pid)],
  ["storage node", () => targetAt(cluster.addressOf("A"), cluster.node("A").child.pid)],
];

function targetAt(address: string, pid: number | undefined): Target {
  return { port: Number(address.split(":")[1]), pid: pid ?? 0 };
}

/** Resident memory; 0 where the system does not tell it in files. */
function residentBytes({ pid }: Target): number {
  if (!existsSync(`/proc/${pid}/status`)) return 0;
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1]) * 1024;
}

async function expectServed({ port }: Target): Promise<void> {
  const link = new RawLink(port);
  expect(await link.ask({ id: 1, op: "ping" })).toMatchObject({ id: 1, status: "ok" });
  link.close();
  const kv = await connectClient(cluster.address);
  await kv.put("sane", "still");
  expect((await kv.get("sane"))?.text()).toBe("still");
  await kv.close();
}

/** A socket whose end and errors are expected. */
async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** Sends bytes, and returns all that came back until a last ping was answered or the other end hung up. */
async function exchange(port: number, pieces: readonly Uint8Array[]): Promise<string> {
  const socket = await open(port);
  let answer = "";
  const over = new Promise<void>((resolve) => {
    socket.on("close", () => resolve());
    socket.setEncoding("utf8").on("data", (text: string) => {
      answer += text;
      if (answer.includes('"id":987654321')) resolve();
    });
  });
  for (const piece of pieces) if (!socket.destroyed) socket.write(piece);
  if (!socket.destroyed) socket.write('\n{"id":987654321,"op":"ping"}\n');
  await over;
  socket.destroy();
  return answer;
}

describe.each(targets)("the port of a %s", (_name, target) => {
  test("noise from a seed: every connection gets error answers or is closed, and good requests are served on", async () => {
    const random = seededRandom(SEED);
    const before = residentBytes(target());
    for (let round = 0; round < CONNECTIONS; round++) {
      const pieces = Array.from({ length: LINES_EACH }, () => hostileLine(random));
      const answer = await exchange(
        target().port,
        round % 2 === 0 ? [Buffer.from('{"id":0,"op":"ping"}\n'), ...pieces] : pieces,
      );
      for (const line of answer.split("\n").filter((text) => text !== "")) {
        const status = (JSON.parse(line) as { status?: unknown }).status;
        expect(["ok", "error"], `seed ${SEED}: ${line}`).toContain(status);
      }
    }
    await expectServed(target());
    expect(residentBytes(target()) - before, `seed ${SEED}`).toBeLessThan(GROWTH_BYTES_MAX);
  });

  test("a line of 100 MB closes its connection; its bytes are not kept", async () => {
    const before = residentBytes(target());
    let peak = before;
    const socket = await open(target().port);
    socket.resume();
    const closed = once(socket, "close");
    socket.write('{"id":1,"op":"put","key":"k","value":"');
    const chunk = Buffer.alloc(1024 * 1024, "x");
    for (let sent = 0; sent < HUGE_BYTES && !socket.destroyed; sent += chunk.length) {
      if (!socket.write(chunk)) await Promise.race([once(socket, "drain"), closed]).catch(() => {});
      peak = Math.max(peak, residentBytes(target()));
    }
    await closed;
    expect(peak - before).toBeLessThan(GROWTH_BYTES_MAX);
    await expectServed(target());
  });

  test("HTTP first: the connection is closed, and nothing of the request's body is carried out", async () => {
    const body = '{"id":5,"op":"put","key":"from-a-page","value":"bad"}\n';
    const request = `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const answer = await exchange(target().port, [Buffer.from(request)]);
    expect(answer).toMatch(/"code":"BAD_REQUEST"/);
    expect(answer).not.toMatch(/"id":5/);
    const kv = await connectClient(cluster.address);
    expect(await kv.get("from-a-page")).toBeNull();
    await kv.close();
  });

  test("many idle connections, some with half a line, hold up nobody", async () => {
    const before = residentBytes(target());
    const sockets: Socket[] = [];
    for (let index = 0; index < IDLE_CONNECTIONS; index++) {
      const socket = await open(target().port);
      if (index % 3 === 0) socket.write('{"id":1,"op":"pi');
      sockets.push(socket);
    }
    await expectServed(target());
    expect(residentBytes(target()) - before).toBeLessThan(GROWTH_BYTES_MAX);
    for (const socket of sockets) socket.destroy();
    await until("the port to be served", async () => await expectServed(target()).then(() => true));
  });
});
