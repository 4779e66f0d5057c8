// REST of real processes: its port, what a standby does with clients, how it ends, and who pays for its library.
import fs from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { freePort, until } from "../support/cluster-process.ts";
import { buildProgram, killNodes, type NodeProcess, startNode, startProgram } from "../support/node-process.ts";

let folder = "";

beforeAll(() => buildProgram());
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-rest-"));
});
afterEach(async () => {
  await killNodes();
  fs.rmSync(folder, { recursive: true, force: true });
});

interface Serving {
  readonly coordinator: NodeProcess;
  readonly http: string;
  readonly role: string;
}

async function serve(name: string, ...more: string[]): Promise<Serving> {
  const port = String(await freePort());
  const args = ["serve", "--port", port, "--cluster-file", `${name}/cluster.json`, ...more];
  const coordinator = startProgram("runtime", args, folder);
  const { line } = await coordinator.ready;
  const [, http = "", role = ""] = /^runtime listening on 127\.0\.0\.1:\d+ http=(\d+|off) role=(\w+)$/.exec(line) ?? [];
  return { coordinator, http, role };
}

const url = ({ http }: Serving, target: string): string => `http://127.0.0.1:${http}${target}`;

test("the ready line says where REST is: the port given, one near the default where that is taken, or off", async () => {
  const given = String(await freePort());
  const first = await serve("first", "--http", given);
  expect([first.http, first.role]).toEqual([given, "new"]);
  expect((await fetch(url(first, "/livez"))).status).toBe(200);
  const holder = createServer().listen(8001, "127.0.0.1");
  holder.on("error", () => {}); // somebody else holds it
  const second = await serve("second");
  expect(Number(second.http)).toBeGreaterThan(8001);
  expect((await fetch(url(second, "/livez"))).status).toBe(200);
  expect(second.coordinator.said()).toContain(`Port 8001 is taken: using ${second.http}.\n`);
  holder.close();
  expect((await serve("third", "--no-http")).http).toBe("off");
});

test("a given port that is taken fails in one line, and frees the other port", async () => {
  const taken = await serve("first", "--http", String(await freePort()));
  const port = String(await freePort());
  const args = ["serve", "--port", port, "--http", taken.http, "--cluster-file", "second/cluster.json"];
  const { code, stdout, stderr } = await startProgram("runtime", args, folder).ended;
  expect([code, stdout]).toEqual([1, ""]);
  expect(stderr).toContain(`127.0.0.1:${taken.http} is already in use; stop the process`);
});

test("--read-cache: mebibytes, none for 0; what is no such number is refused with the bounds, and exit status 2", async () => {
  const wrong = startProgram("runtime", ["serve", "--read-cache", "2000"], folder);
  const { code, stderr } = await wrong.ended;
  expect([code, stderr]).toEqual([2, expect.stringContaining("Expected a whole number from 0 to 1024.")]);
  const node = startNode(["0", "--data-dir", "node"], folder);
  const address = `127.0.0.1:${(await node.ready).port}`;
  const leader = await serve("first", "--http", String(await freePort()), "--read-cache", "0");
  const headers = { "content-type": "application/json" };
  await fetch(url(leader, "/admin/nodes"), { method: "POST", headers, body: JSON.stringify({ id: "A", address }) });
  await patient(url(leader, "/keys/a"), { method: "PUT", headers, body: JSON.stringify({ value: "1" }) });
  for (let count = 0; count < 4; count++) expect((await fetch(url(leader, "/keys/a"))).status).toBe(200);
  expect(await (await fetch(url(leader, "/metrics"))).text()).toContain("\nkv_read_cache_hits_total 0\n");
});

/** Asks again where 503 says so: a standby that has not heard from the leader for a moment does not know where to send clients. */
async function patient(target: string, init: RequestInit = {}): Promise<Response> {
  return await until(`an answer of ${target}`, async () => {
    const answer = await fetch(target, init);
    return answer.status === 503 ? undefined : answer;
  });
}

test("C11: a standby sends clients on to the leader, whose REST it knows, and leads after a hand-over; both end on SIGTERM", async () => {
  const node = startNode(["0", "--data-dir", "node"], folder);
  const address = `127.0.0.1:${(await node.ready).port}`;
  const leader = await serve("leader", "--http", String(await freePort()));
  const headers = { "content-type": "application/json" };
  const added = await fetch(url(leader, "/admin/nodes"), {
    method: "POST",
    headers,
    body: JSON.stringify({ id: "A", address }),
  });
  expect(added.status).toBe(200);
  const standby = await serve("standby", "--http", String(await freePort()), "--join", address);
  expect(standby.role).toBe("standby");
  const redirected = await patient(url(standby, "/keys/a%2Fb?consistency=all"), { redirect: "manual" });
  expect([redirected.status, redirected.headers.get("location")]).toEqual([
    307,
    url(leader, "/keys/a%2Fb?consistency=all"),
  ]);
  const followed = await patient(url(standby, "/keys/apple"), { method: "PUT", headers, body: '{"value":"123"}' });
  expect([followed.status, followed.url]).toEqual([200, url(leader, "/keys/apple")]);
  expect(((await (await patient(url(leader, "/keys/apple"))).json()) as { value: string }).value).toBe("123");
  const handedOver = await patient(url(standby, "/admin/stepdown"), { method: "POST" });
  expect([handedOver.status, handedOver.url]).toEqual([200, url(leader, "/admin/stepdown")]);
  const found = await patient(url(leader, "/keys/apple"));
  expect(found.url).toBe(url(standby, "/keys/apple"));
  for (const { coordinator } of [standby, leader]) {
    coordinator.child.kill("SIGTERM");
    expect(await coordinator.ended).toMatchObject({ code: 0, signal: null });
  }
});

test("the library behind REST is loaded by a coordinator that serves it, and by nothing else", async () => {
  const hook = path.join(folder, "hook.cjs");
  const loaded =
    "process.on('exit', () => process.stderr.write(Object.keys(require.cache).some((file) => file.includes('fastify')) ? 'paid' : 'free'));";
  fs.writeFileSync(hook, loaded);
  const spying = ["env", `NODE_OPTIONS=--require=${hook}`];
  const run = async (program: "runtime" | "node_server", args: string[]): Promise<string> => {
    const started = startProgram(program, args, folder, spying);
    void started.ready.then(
      () => started.child.kill("SIGTERM"),
      () => {},
    );
    return (await started.ended).stderr.slice(-4);
  };
  const port = String(await freePort());
  expect(await run("runtime", ["serve", "--port", port, "--cluster-file", "a/c.json"])).toBe("paid");
  expect(await run("runtime", ["serve", "--port", port, "--no-http", "--cluster-file", "b/c.json"])).toBe("free");
  expect(await run("runtime", ["get", "apple", "--connect", `127.0.0.1:${port}`])).toBe("free");
  expect(await run("node_server", ["0", "--data-dir", "node"])).toBe("free");
});
