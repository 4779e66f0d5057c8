// Metrics of a coordinator: what a scrape says is what happened, in a form that Prometheus takes.
import { afterAll, beforeAll, expect, test } from "vitest";
import { readExposition, type Exposition } from "../../support/exposition-check.ts";
import { killProcess } from "../../support/node-process.ts";
import { always, closeAll, RestCluster, serveScript, type Api } from "./rest.ts";

afterAll(closeAll);

async function scrape(api: Api): Promise<Exposition> {
  const { status, text, headers } = await api.get("/metrics");
  expect([status, headers.get("content-type")]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  const read = readExposition(text);
  expect(read.complaints).toEqual([]);
  return read;
}

test("the checker complains about what Prometheus would not take", () => {
  const head = "# HELP a_total x\n# TYPE a_total counter\n";
  const complaints = (text: string): readonly string[] => readExposition(text).complaints;
  expect(complaints(`${head}a_total{b="c\\"}"} 1\n`)).toEqual([]);
  expect(complaints(`${head}a_total 1\na_total 2\n`)).toEqual(["twice: a_total 2"]);
  expect(complaints(`${head}a_total 1`)).toContain("the last line does not end");
  expect(complaints(`${head}a_total{b=c} 1\n`)).toHaveLength(1);
  expect(complaints("a 1\n")).toEqual(["a stands outside its family"]);
  expect(complaints("# TYPE a counter\na 1\n")).toEqual(["a has no HELP", "a is a counter and does not say so"]);
  const buckets = (first: number): string =>
    `# HELP h x\n# TYPE h histogram\nh_bucket{le="1"} ${first}\nh_bucket{le="+Inf"} 2\nh_sum 1\nh_count 2\n`;
  expect(complaints(buckets(1))).toEqual([]);
  expect(complaints(buckets(3))).toEqual(["h: buckets are not cumulative"]);
});

test("a coordinator that does not lead answers for itself, and sends nobody on", async () => {
  const refusal = { status: "error", code: "NOT_LEADER", message: "elsewhere", leaderHttp: "127.0.0.1:1" };
  const read = await scrape(await serveScript(always(refusal)));
  expect(read.value("kv_leader")).toBe(0);
  expect(read.value("kv_elections_total")).toBe(0);
  expect(read.value("process_cpu_seconds_total")).toBeGreaterThan(0);
  expect(read.value("nodejs_eventloop_lag_p99_seconds")).toBeGreaterThanOrEqual(0);
  expect(read.value("kv_nodes")).toBeUndefined();
});

let cluster: RestCluster;
beforeAll(async () => {
  cluster = await RestCluster.start(2);
}, 60_000);

test("operations are counted by type, level and outcome, with how long they took", async () => {
  const { api } = cluster;
  const before = await scrape(api);
  const put = { operation: "put", level: "all", outcome: "ok" };
  for (let count = 0; count < 3; count++) await api.put("/keys/a?consistency=all", { value: "1" });
  await api.get("/keys/nothing?consistency=one");
  const after = await scrape(api);
  const grown = (name: string, labels: Readonly<Record<string, string>>): number =>
    (after.value(name, labels) ?? 0) - (before.value(name, labels) ?? 0);
  expect(grown("kv_operations_total", put)).toBe(3);
  expect(grown("kv_operation_duration_seconds_count", put)).toBe(3);
  expect(grown("kv_operation_duration_seconds_bucket", { ...put, le: "+Inf" })).toBe(3);
  expect(grown("kv_operation_duration_seconds_sum", put)).toBeGreaterThan(0);
  expect(grown("kv_operations_total", { operation: "get", level: "one", outcome: "ok" })).toBe(1);
  expect(grown("kv_node_requests_total", { node: "A", kind: "write" })).toBeGreaterThanOrEqual(3);
});

test("the leader shows how many reads it knew the value of, and what it keeps for that", async () => {
  const { api } = cluster;
  await api.put("/keys/a", { value: "1" });
  const before = await scrape(api);
  for (let count = 0; count < 4; count++) await api.get("/keys/a");
  const after = await scrape(api);
  const hits = (after.value("kv_read_cache_hits_total") ?? 0) - (before.value("kv_read_cache_hits_total") ?? 0);
  expect(hits).toBeGreaterThanOrEqual(1); // not the first two, which have it kept
  expect(after.value("kv_read_cache_bytes")).toBeGreaterThan(0);
});

test("the leader shows epoch, elections, nodes and what they hold", async () => {
  const read = await scrape(cluster.api);
  expect(read.value("kv_leader")).toBe(1);
  expect(read.value("kv_epoch")).toBe(1);
  expect(read.value("kv_elections_total")).toBe(1);
  expect(read.value("kv_nodes")).toBe(2);
  for (const node of ["A", "B"]) {
    expect(read.value("kv_node_up", { node })).toBe(1);
    expect(read.value("kv_node_state", { node, state: "up" })).toBe(1);
    expect(read.value("kv_node_slots", { node })).toBe(4096);
    expect(read.value("kv_node_keys", { node })).toBe(1);
    expect(read.value("kv_node_heartbeat_age_seconds", { node })).toBeLessThan(3);
  }
  expect(read.value("kv_rebalance_slots_remaining")).toBe(0);
  expect(read.value("kv_rebalance_ended", { phase: "done" })).toBe(1);
});

test("a node that is killed is down, and slots miss its copy", async () => {
  const [, b] = cluster.nodes;
  if (!b) throw new Error("no node");
  await killProcess(b);
  await cluster.until(async () => (await scrape(cluster.api)).value("kv_node_up", { node: "B" }) === 0);
  await cluster.api.put("/keys/b?consistency=one", { value: "1" });
  const read = await cluster.until(async () => {
    const scraped = await scrape(cluster.api);
    return (scraped.value("kv_node_slots_missed", { node: "B" }) ?? 0) > 0 && scraped;
  });
  expect(read.value("kv_node_lag_seconds", { node: "B" })).toBeGreaterThanOrEqual(0);
  expect(read.value("kv_node_state", { node: "B", state: "down" })).toBe(1);
});
