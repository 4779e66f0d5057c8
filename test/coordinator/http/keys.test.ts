// The calls on keys, over real HTTP, against a real coordinator and three storage nodes.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX_DEFAULT } from "../../../shared/limits.ts";
import { closeAll, RestCluster, type Api } from "./rest.ts";

let api: Api;

beforeAll(async () => {
  api = (await RestCluster.start(3)).api;
}, 60_000);
afterAll(closeAll);

const BYTES = "application/octet-stream";
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
let count = 0;
const fresh = (): string => `/keys/fresh-${++count}`;

describe("a value", () => {
  test("put as JSON comes back as JSON, with its version as ETag", async () => {
    const key = fresh();
    const put = await api.put(key, { value: "Alice", consistency: "all" });
    expect(put.status).toBe(200);
    expect(put.headers.get("etag")).toBe(`"${String(put.json["version"])}"`);
    const got = await api.get(key);
    expect(got.json).toEqual({ key: key.slice(6), value: "Alice", version: put.json["version"] });
    expect(got.headers.get("etag")).toBe(put.headers.get("etag"));
    expect(got.headers.get("cache-control")).toBe("private, no-cache");
  });

  test("put as raw bytes comes back byte by byte, whatever the bytes are", async () => {
    const key = fresh();
    const bytes = fc.uint8Array({ maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(bytes, async (value) => {
        expect((await api.put(key, value, { "content-type": "image/png" })).status).toBe(200);
        const got = await api.get(key, { accept: BYTES });
        expect(got.headers.get("content-type")).toBe(BYTES);
        expect(new Uint8Array(got.bytes)).toEqual(value);
      }),
      { seed, numRuns: 60 },
    );
  });

  test("that is text stays text, a byte order mark too; other bytes are base64 in JSON", async () => {
    const key = fresh();
    await api.put(key, "\uFEFFgrün", { "content-type": "text/plain" });
    expect((await api.get(key)).json["value"]).toBe("\uFEFFgrün");
    await api.put(key, new Uint8Array([0xff, 0x00]), { "content-type": BYTES });
    expect((await api.get(key)).json["value"]).toEqual({ base64: "/wA=" });
    await api.put(key, { value: { base64: "/wE=" } });
    expect([...(await api.get(key, { accept: BYTES })).bytes]).toEqual([0xff, 0x01]);
  });

  test("of the largest size goes through, as bytes and as base64; one byte more is 413", async () => {
    const key = fresh();
    const largest = Buffer.alloc(VALUE_BYTES_MAX_DEFAULT, 0x81);
    expect((await api.put(key, largest, { "content-type": BYTES })).status).toBe(200);
    expect((await api.get(key, { accept: BYTES })).bytes.equals(largest)).toBe(true);
    expect((await api.put(key, { value: { base64: largest.toString("base64") } })).status).toBe(200);
    const beyond = Buffer.alloc(VALUE_BYTES_MAX_DEFAULT + 1);
    for (const [body, type] of [
      [beyond, BYTES],
      [JSON.stringify({ value: { base64: beyond.toString("base64") } }), "application/json"],
      [JSON.stringify({ value: "x".repeat(2 * VALUE_BYTES_MAX_DEFAULT) }), "application/json"],
    ] as const) {
      const refused = await api.put(key, body, { "content-type": type });
      expect(refused.json).toMatchObject({ status: 413, code: "TOO_LARGE", outcome: "failed", retryable: false });
      expect(refused.json["detail"]).toContain(String(VALUE_BYTES_MAX_DEFAULT));
    }
  });

  test("of control characters, which JSON would blow up, is stored too", async () => {
    const key = fresh();
    const text = "\u0001".repeat(VALUE_BYTES_MAX_DEFAULT);
    expect((await api.put(key, text, { "content-type": "text/plain" })).status).toBe(200);
    expect((await api.get(key, { accept: BYTES })).bytes.equals(Buffer.from(text))).toBe(true);
  });

  test("that is empty is a value, a body that is missing is a mistake", async () => {
    const key = fresh();
    expect((await api.put(key, "", { "content-type": "text/plain" })).status).toBe(200);
    expect((await api.get(key)).json["value"]).toBe("");
    expect((await api.ask("PUT", fresh())).json).toMatchObject({ status: 400, code: "BAD_REQUEST" });
  });
});

describe("a key", () => {
  test("is percent-encoded text of any kind, and `/` may stay", async () => {
    expect((await api.put("/keys/a/b%2Fc", { value: "1" })).json["key"]).toBe("a/b/c");
    expect((await api.get("/keys/a%2fb/c")).json["value"]).toBe("1");
    expect((await api.put("/keys/a%252Fb", { value: "2" })).json["key"]).toBe("a%2Fb");
    const key = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
      .filter((text) => text !== "." && text !== "..");
    await fc.assert(
      fc.asyncProperty(key, async (text) => {
        const target = `/keys/${encodeURIComponent(text)}`;
        expect((await api.put(target, { value: text })).json["key"]).toBe(text);
        expect((await api.get(target)).json).toMatchObject({ key: text, value: text });
      }),
      { seed, numRuns: 60 },
    );
  });

  test("has at least one byte and at most 1024", async () => {
    const longest = "é".repeat(KEY_BYTES_MAX / 2);
    expect((await api.put(`/keys/${encodeURIComponent(longest)}`, { value: "" })).status).toBe(200);
    expect((await api.put(`/keys/${encodeURIComponent(longest)}x`, { value: "" })).json).toMatchObject({
      status: 413,
      code: "TOO_LARGE",
    });
    expect((await api.put("/keys/", { value: "" })).json).toMatchObject({ status: 400, code: "BAD_REQUEST" });
  });

  test("that is no UTF-8 is 400", async () => {
    for (const key of ["%ff", "%ED%A0%80", "a%", "%zz"])
      expect((await api.get(`/keys/${key}`)).json).toMatchObject({ status: 400, code: "BAD_REQUEST" });
  });
});

describe("an absent key", () => {
  test("is 404 for GET, HEAD and DELETE, and after a DELETE", async () => {
    const key = fresh();
    for (const method of ["GET", "DELETE"])
      expect((await api.ask(method, key)).json).toMatchObject({ status: 404, code: "NOT_FOUND", outcome: "failed" });
    expect((await api.ask("HEAD", key)).status).toBe(404);
    await api.put(key, { value: "here" });
    const head = await api.ask("HEAD", key);
    const got = await api.get(key);
    expect(head.status).toBe(200);
    for (const name of ["etag", "content-length", "content-type"])
      expect(head.headers.get(name)).toBe(got.headers.get(name));
    const deleted = await api.ask("DELETE", key);
    expect([deleted.status, typeof deleted.json["version"]]).toEqual([200, "string"]);
    expect((await api.get(key)).status).toBe(404);
    expect((await api.ask("DELETE", `${key}?consistency=all`)).status).toBe(404);
    expect((await api.ask("DELETE", `${key}?consistency=one`)).status).toBe(200);
  });
});

describe("C7: conditions", () => {
  test("If-None-Match: * stores once", async () => {
    const key = fresh();
    const first = await api.put(key, { value: "1" }, { "if-none-match": "*" });
    expect(first.status).toBe(200);
    const second = await api.put(key, { value: "2" }, { "if-none-match": "*" });
    expect(second.json).toMatchObject({
      status: 412,
      code: "CONDITION_FAILED",
      outcome: "failed",
      version: first.json["version"],
    });
    expect(second.headers.get("etag")).toBe(first.headers.get("etag"));
    expect((await api.get(key)).json["value"]).toBe("1");
  });

  test("If-Match stores and deletes at that version only", async () => {
    const key = fresh();
    const old = (await api.put(key, { value: "1" })).headers.get("etag") ?? "";
    const now = (await api.put(key, "2", { "if-match": old, "content-type": "text/plain" })).headers.get("etag") ?? "";
    expect((await api.put(key, { value: "3" }, { "if-match": old })).status).toBe(412);
    expect((await api.ask("DELETE", key, { headers: { "if-match": old } })).status).toBe(412);
    expect((await api.ask("DELETE", key, { headers: { "if-match": now } })).status).toBe(200);
    const absent = await api.put(key, { value: "4" }, { "if-match": now });
    expect([absent.status, absent.headers.get("etag")]).toEqual([412, null]);
  });

  test("of many that hold the same version one wins", async () => {
    const key = fresh();
    const etag = (await api.put(key, { value: "start" })).headers.get("etag") ?? "";
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => api.put(key, { value: String(index) }, { "if-match": etag })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(19);
  });

  test.each([
    [{ "if-match": "3.1042" }],
    [{ "if-match": "*" }],
    [{ "if-match": 'W/"3.1"' }],
    [{ "if-match": '"3.1", "3.2"' }],
    [{ "if-none-match": '"3.1"' }],
    [{ "if-match": '"3.1"', "if-none-match": "*" }],
  ])("%j is 400 for a write", async (headers) => {
    expect((await api.put(fresh(), { value: "1" }, headers)).json).toMatchObject({ status: 400, code: "BAD_REQUEST" });
  });

  test("below quorum are refused", async () => {
    const refused = await api.put(`${fresh()}?consistency=one`, { value: "1" }, { "if-none-match": "*" });
    expect(refused.json).toMatchObject({ status: 400, detail: expect.stringContaining("quorum") as string });
  });

  test("If-None-Match on a read is 304 while the value is the same", async () => {
    const key = fresh();
    const etag = (await api.put(key, { value: "1" })).headers.get("etag") ?? "";
    const same = await api.get(key, { "if-none-match": `"9.9", W/${etag}` });
    expect([same.status, same.text, same.headers.get("etag")]).toEqual([304, "", etag]);
    await api.put(key, { value: "2" });
    expect((await api.get(key, { "if-none-match": etag })).status).toBe(200);
  });
});

describe("levels", () => {
  test.each(["one", "quorum", "all"])("%s can be asked for by query and in the body", async (level) => {
    const key = fresh();
    expect((await api.put(`${key}?consistency=${level}`, "raw", { "content-type": BYTES })).status).toBe(200);
    expect((await api.put(key, { value: "json", consistency: level })).status).toBe(200);
    const { json, status } = await api.get(`${key}?consistency=all`);
    expect([status, json["value"]]).toEqual([200, "json"]);
    expect((await api.get(`${key}?consistency=${level}&timeoutMs=1000`)).status).toBe(200);
  });

  test("a read at level one says that it may be stale", async () => {
    const key = fresh();
    await api.put(key, { value: "1", consistency: "all" });
    expect((await api.get(`${key}?consistency=one`)).json).toMatchObject({ value: "1", stale: true });
  });

  test("two different ones at once are refused", async () => {
    expect((await api.put(`${fresh()}?consistency=one`, { value: "1", consistency: "all" })).status).toBe(400);
  });
});

describe("the form of an answer follows Accept", () => {
  test.each([
    ["*/*", "application/json"],
    ["text/html, application/*;q=0.9", "application/json"],
    [`${BYTES}, application/json;q=0.5`, BYTES],
    [`application/json;q=0, */*`, BYTES],
  ])("%s gives %s", async (accept, type) => {
    const key = fresh();
    await api.put(key, { value: "1" });
    const got = await api.get(key, { accept });
    expect(got.headers.get("content-type")?.split(";")[0]).toBe(type);
    expect(got.headers.get("vary")).toBe("Accept");
  });

  test("text/html alone is 406", async () => {
    expect((await api.get(fresh(), { accept: "text/html" })).json).toMatchObject({
      status: 406,
      code: "NOT_ACCEPTABLE",
    });
  });
});

describe("GET /keys", () => {
  test("lists every key with the prefix once, in pages", async () => {
    const names = Array.from({ length: 25 }, (_, index) => `page:${index}/ü`);
    await Promise.all(names.map((name) => api.put(`/keys/${encodeURIComponent(name)}`, { value: "" })));
    await api.ask("DELETE", `/keys/${encodeURIComponent("page:3/ü")}`);
    const seen: unknown[] = [];
    for (let cursor: string | undefined = "", pages = 0; cursor !== undefined; pages++) {
      expect(pages).toBeLessThan(20);
      const query = new URLSearchParams({ prefix: "page:", limit: "7", ...(cursor !== "" && { cursor }) });
      const { json, status } = await api.get(`/keys?${query.toString()}`);
      expect(status).toBe(200);
      const keys = json["keys"] as unknown[];
      expect(keys.length).toBeLessThanOrEqual(7);
      seen.push(...keys);
      cursor = json["cursor"] as string | undefined;
    }
    expect(seen).toHaveLength(24);
    expect(new Set(seen)).toEqual(new Set(names.filter((name) => name !== "page:3/ü")));
  });

  test.each(["limit=0", "limit=1001", "limit=many", "limit=1.5", "prefix=a&prefix=b", "cursor=!", "pre=a"])(
    "?%s is 400",
    async (query) => {
      expect((await api.get(`/keys?${query}`)).json).toMatchObject({ status: 400, code: "BAD_REQUEST" });
    },
  );
});
