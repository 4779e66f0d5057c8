// HTTP of a storage node, by a real process: what operators see, what clients are told, and that nobody pays for it who did not ask.
import { afterAll, beforeAll, expect, test } from "vitest";
import { closeAll, RestCluster } from "../coordinator/http/rest.ts";
import { readExposition } from "../support/exposition-check.ts";
import { killProcess, type NodeProcess, startNode } from "../support/node-process.ts";

let cluster: RestCluster;
let node: NodeProcess;
let http = "";

beforeAll(async () => {
  cluster = await RestCluster.start(0);
  node = startNode(["0", "--data-dir", "with-http", "--http", "0"], cluster.folder);
  await node.ready;
  http = /"address":"([^"]+)","msg":"HTTP for operators"/.exec(node.said())?.[1] ?? "";
  expect(http).toMatch(/^127\.0\.0\.1:\d+$/);
}, 60_000);
afterAll(async () => {
  await killProcess(node);
  await closeAll();
});

const ask = (target: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://${http}${target}`, { redirect: "manual", ...init });

async function problem(answer: Response): Promise<Record<string, unknown>> {
  expect(answer.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
  return (await answer.json()) as Record<string, unknown>;
}

test("before it is added, a node is alive and not ready, and knows no leader to send clients to", async () => {
  expect((await ask("/livez")).status).toBe(200);
  const ready = await ask("/readyz");
  expect(ready.status).toBe(503);
  expect(await problem(ready)).toMatchObject({ code: "NO_CLUSTER", detail: expect.stringContaining("member") });
  const keys = await ask("/keys/a");
  expect([keys.status, keys.headers.get("retry-after")]).toEqual([503, "1"]);
  expect((await problem(keys))["code"]).toBe("NO_LEADER");
});

test("what is not there is 404, a wrong method 405 with those that the path has", async () => {
  const nowhere = await ask("/admin/nodes");
  expect([nowhere.status, (await problem(nowhere))["code"]]).toEqual([404, "NO_SUCH_PATH"]);
  const wrong = await ask("/metrics", { method: "POST", body: "x" });
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  const head = await ask("/admin/status", { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});

test("as a member it is ready, shows its status and metrics, and sends clients on to the leader with 307", async () => {
  const { port } = await node.ready;
  await cluster.add("A", `127.0.0.1:${port}`);
  cluster.coordinator.httpAddress = cluster.api.server.address;
  await cluster.api.put("/keys/a", { value: "1" });
  const ready = await ask("/readyz?verbose");
  expect(ready.status).toBe(200);
  expect(await ready.json()).toMatchObject({ status: "ok", checks: [{ ok: true }, { ok: true }, { ok: true }] });
  expect(await (await ask("/admin/status")).json()).toMatchObject({ node: "A", keys: 1, slots: 4096 });
  const scraped = await ask("/metrics");
  expect(scraped.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const read = readExposition(await scraped.text());
  expect(read.complaints).toEqual([]);
  expect(read.value("kv_storage_keys")).toBe(1);
  expect(read.value("kv_storage_member")).toBe(1);
  expect(read.value("kv_log_sync_duration_seconds_count")).toBeGreaterThan(0);
  expect(read.value("kv_log_records_total")).toBeGreaterThan(0);
  for (const name of ["kv_disk_free_bytes", "kv_table_bytes", "process_resident_memory_bytes"])
    expect(read.value(name), name).toBeGreaterThan(0);
  const location = await cluster.until(async () => {
    const sent = await ask("/keys/a%2Fb?consistency=all", { method: "PUT", body: "x" });
    return sent.status === 307 && sent.headers.get("location");
  });
  expect(location).toBe(`http://${cluster.api.server.address}/keys/a%2Fb?consistency=all`);
  const followed = await ask("/keys/a", { redirect: "follow" });
  expect(await followed.json()).toMatchObject({ key: "a", value: "1" });
});
