// POST /batch, over real HTTP, against a real coordinator and a storage node.
import { afterAll, beforeAll, expect, test } from "vitest";
import { BATCH_OPS_MAX, VALUE_BYTES_MAX_DEFAULT } from "../../../shared/limits.ts";
import { always, closeAll, RestCluster, serveScript, type Api } from "./rest.ts";

let api: Api;

beforeAll(async () => {
  api = (await RestCluster.start(1)).api;
}, 60_000);
afterAll(closeAll);

const batch = async (...operations: object[]): Promise<Record<string, unknown>[]> => {
  const { status, json, text } = await api.ask("POST", "/batch?timeoutMs=30000", { body: { operations } });
  expect(status, text).toBe(200);
  return json["results"] as Record<string, unknown>[];
};

test("a result each, in their order; operations on one key happen in their order", async () => {
  const results = await batch(
    { op: "put", key: "a", value: "1" },
    { op: "put", key: "a", value: { base64: "/w==" } },
    { op: "get", key: "a", consistency: "all" },
    { op: "put", key: "b", value: "x", ifAbsent: true },
    { op: "put", key: "b", value: "y", ifAbsent: true },
    { op: "delete", key: "b" },
    { op: "delete", key: "b" },
    { op: "get", key: "b" },
  );
  const ok = { status: "ok", version: expect.any(String) as string };
  const error = (code: string): object => ({ status: "error", code, retryable: false, outcome: "failed" });
  expect(results).toMatchObject([
    ok,
    ok,
    { ...ok, value: { base64: "/w==" } },
    ok,
    { ...error("CONDITION_FAILED"), version: results[3]?.["version"] },
    ok,
    error("NOT_FOUND"),
    error("NOT_FOUND"),
  ]);
  expect(results[2]?.["version"]).toBe(results[1]?.["version"]);
});

test("one bad value or key spoils its own operation only", async () => {
  const long = "k".repeat(1025);
  const results = await batch(
    { op: "put", key: "c", value: "x".repeat(VALUE_BYTES_MAX_DEFAULT + 1) },
    { op: "put", key: long, value: "1" },
    { op: "put", key: "c", value: "\ud800" },
    { op: "put", key: "c", value: "1", consistency: "one", ifVersion: "1.1" },
    { op: "put", key: "c", value: "good" },
    { op: "get", key: "c" },
  );
  expect(results.map(({ code, value }) => code ?? value ?? "ok")).toEqual([
    "TOO_LARGE",
    "TOO_LARGE",
    "BAD_REQUEST",
    "BAD_REQUEST",
    "ok",
    "good",
  ]);
});

test("the largest batch is carried out", async () => {
  const puts = Array.from({ length: BATCH_OPS_MAX }, (_, index) => ({
    op: "put",
    key: `many:${index}`,
    value: String(index),
  }));
  expect((await batch(...puts)).filter(({ status }) => status === "ok")).toHaveLength(BATCH_OPS_MAX);
  const last = await batch({ op: "get", key: `many:${BATCH_OPS_MAX - 1}` });
  expect(last[0]?.["value"]).toBe(String(BATCH_OPS_MAX - 1));
});

test.each([
  [{}, "operations"],
  [{ operations: [] }, "operations"],
  [{ operations: [{ op: "get" }] }, "key"],
  [{ operations: [{ op: "put", key: "a", value: 5 }] }, "value"],
  [{ operations: [{ op: "put", key: "a", value: { base64: "/w==", more: 1 } }] }, "value"],
  [{ operations: [{ op: "steal", key: "a" }] }, "op"],
  [{ operations: [{ op: "get", key: "a", consistancy: "all" }] }, "consistancy"],
  [{ operations: Array.from({ length: BATCH_OPS_MAX + 1 }, () => ({ op: "get", key: "a" })) }, String(BATCH_OPS_MAX)],
])("a batch that is malformed is 400, and nothing of it happens (%#)", async (body, word) => {
  const { json } = await api.ask("POST", "/batch", { body });
  expect(json).toMatchObject({ status: 400, code: "BAD_REQUEST", detail: expect.stringContaining(word) as string });
});

test("C11: a coordinator that does not lead refuses the whole batch", async () => {
  const refusal = { status: "error", code: "NOT_LEADER", message: "another leads", leader: "h:1", leaderHttp: "h:2" };
  const other = await serveScript(always(refusal));
  const answer = await other.ask("POST", "/batch?timeoutMs=100", { body: { operations: [{ op: "get", key: "a" }] } });
  expect([answer.status, answer.headers.get("location")]).toEqual([307, "http://h:2/batch?timeoutMs=100"]);
});
