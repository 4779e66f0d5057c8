// The console without a browser: its files, its stream of events, and what a coordinator that does not lead passes on for it. What it looks
// like, and that it works, is test/console.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { always, type Api, closeAll, RestCluster, serveScript } from "./rest.ts";

const STATIC = fileURLToPath(new URL("../../../coordinator/http/console/static/", import.meta.url));

afterAll(closeAll);

/** Frames of a stream, as they come. Ends when the server ends it, or nobody asks any more. */
async function* framesOf(
  api: Api,
  headers: Record<string, string> = {},
): AsyncGenerator<{ event: string; data: unknown }> {
  const ending = new AbortController();
  const answer = await fetch(`http://${api.server.address}/console/events`, { headers, signal: ending.signal });
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  let text = "";
  const decoder = new TextDecoder();
  try {
    for await (const chunk of answer.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const parts = text.split("\n\n");
      text = parts.pop() ?? "";
      for (const part of parts) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(part) ?? [];
        if (event !== undefined && data !== undefined) yield { event, data: JSON.parse(data) };
      }
    }
  } finally {
    ending.abort();
  }
}

/** The first frame of that name. */
async function frame(api: Api, name: string, headers: Record<string, string> = {}): Promise<unknown> {
  for await (const { event, data } of framesOf(api, headers)) if (event === name) return data;
  throw new Error(`the stream ended without ${name}`);
}

const NOT_LEADER = { status: "error", code: "NOT_LEADER", message: "elsewhere", retryable: true, outcome: "failed" };

test("every file that the page or a module names is served, with a type and a tag; nothing else is", async () => {
  const api = await serveScript(always({ status: "ok" }));
  const get = (target: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`http://${api.server.address}${target}`, { headers });
  const sources = ["index.html", ...fs.readdirSync(STATIC).filter((name) => name.endsWith(".js"))];
  const named = sources.flatMap((name) =>
    [
      ...fs
        .readFileSync(path.join(STATIC, name), "utf8")
        .matchAll(/(?:"\/console\/|from "\.\/)([\w.]+\.(?:js|css|svg))"/g),
    ].map(([, file]) => file ?? ""),
  );
  expect(named.length).toBeGreaterThan(20);
  for (const name of new Set([...named, ...fs.readdirSync(STATIC).filter((file) => file !== "index.html")])) {
    const answer = await get(`/console/${name}`);
    const type = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" }[name.split(".").pop() ?? ""];
    expect([answer.status, answer.headers.get("content-type")?.split(";")[0]], name).toEqual([200, type]);
    const tag = answer.headers.get("etag") ?? "";
    expect((await get(`/console/${name}`, { "if-none-match": tag })).status).toBe(304);
  }
  expect((await get("/console/feed.ts")).status).toBe(404);
  expect((await get("/console/..%2ffeed.ts")).status).toBe(404);
});

test("the page has no script, style or handler within its text, and names no other host", () => {
  const html = fs.readFileSync(path.join(STATIC, "index.html"), "utf8");
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|https?:/);
});

test("a coordinator with no leader to show says why, and ends its streams when it closes", async () => {
  const refusal = { ...NOT_LEADER, code: "NO_CLUSTER", message: "no node was added yet" };
  const api = await serveScript(always(refusal));
  expect(await frame(api, "standing")).toEqual({ role: "new", message: "no node was added yet" });
  const ends = (async () => {
    for await (const _frame of framesOf(api)) await api.server.close();
  })();
  await ends;
});

test("two coordinators that take each other for the leader pass nothing on in circles", async () => {
  let other = "127.0.0.1:1";
  const pointing: Parameters<typeof serveScript>[0] = (answered) => ({
    send: ({ id }) => {
      setImmediate(() => answered({ ...NOT_LEADER, id, leaderHttp: other }));
      return true;
    },
    close: () => {},
  });
  const [one, two] = [await serveScript(pointing), await serveScript(pointing)];
  other = two.server.address;
  const call = await fetch(`http://${one.server.address}/keys/a`, {
    headers: { "x-holdfast-relay": "page" },
    redirect: "manual",
  });
  expect(call.status).toBe(307);
  expect(await frame(one, "standing")).toMatchObject({ role: "standby" });
});

test("what a page asks of a standby is the leader's answer; other clients are sent there", async () => {
  const cluster = await RestCluster.start(1);
  const leaderHttp = cluster.api.server.address;
  const standby = await serveScript(always({ ...NOT_LEADER, leaderHttp }));
  const put = (headers: Record<string, string>): Promise<Response> =>
    fetch(`http://${standby.server.address}/keys/a%2Fb`, {
      method: "PUT",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ value: "ä" }),
      redirect: "manual",
    });
  expect((await put({})).status).toBe(307);
  const relayed = await put({ "x-holdfast-relay": "page", "if-none-match": "*" });
  expect([relayed.status, (await relayed.json()) as object]).toMatchObject([200, { key: "a/b" }]);
  expect((await cluster.api.get("/keys/a%2Fb")).json).toMatchObject({ value: "ä" });
  const again = await put({ "x-holdfast-relay": "page", "if-none-match": "*" });
  expect([again.status, (await again.json()) as object]).toMatchObject([412, { code: "CONDITION_FAILED" }]);
  expect(await frame(standby, "ring")).toMatchObject({ members: [{ id: "A" }] });
  expect(await frame(standby, "state")).toMatchObject({ role: "leader", nodes: [{ id: "A" }] });
});

test("the stream tells of the ring as it changes, slot by slot, and of what happens", async () => {
  const cluster = await RestCluster.start(1);
  const address = await cluster.startNode();
  let asked = false;
  let table: number[][] = [];
  let done = false;
  const isWhole = (): boolean => table.length > 0 && table.every((places) => places.length === 2);
  for await (const { event, data } of framesOf(cluster.api)) {
    if (event === "state" && !asked) {
      asked = true;
      const body = { id: "B", address };
      expect((await cluster.api.ask("POST", "/admin/nodes", { body })).status).toBe(202);
    }
    if (event === "ring") table = (data as { slots: number[][] }).slots;
    if (event === "moved") for (const [slot, places] of data as [number, number[]][]) table[slot] = places;
    if (event === "events") done ||= JSON.stringify(data).includes(`addnode B ${address}): done`);
    if (done && isWhole()) break;
  }
  const ring = (await cluster.api.get("/admin/ring")).json as { slots: number[][] };
  expect(table).toEqual(ring.slots);
}, 180_000);
