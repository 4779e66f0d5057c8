// Every error has one form, whoever found it: the core, a schema, fastify, or Node's own parser.
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ERRORS, type ErrorCode } from "../../../shared/errors.ts";
import { always, closeAll, serveScript, type Api } from "./rest.ts";

/** A coordinator that stores everything. */
let api: Api;

beforeAll(async () => {
  api = await serveScript(always({ status: "ok", version: "1.1" }));
});
afterAll(closeAll);

describe("C8: an error of the core", () => {
  test("of every code comes with its status, retryable and outcome", async () => {
    let code: ErrorCode = "NO_QUORUM";
    const refusing = await serveScript((answered) =>
      always({ status: "error", message: "so it is", code, outcome: ERRORS[code].outcome })(answered),
    );
    for (code of Object.keys(ERRORS) as ErrorCode[]) {
      const { http, retryable, outcome } = ERRORS[code];
      const { json, headers, status } = await refusing.put("/keys/a", { value: "1" });
      expect([status, json]).toEqual([
        http,
        expect.objectContaining({ status: http, code, retryable, outcome, detail: "so it is", type: `/docs#${code}` }),
      ]);
      expect(headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
      expect(headers.get("retry-after")).toBe(http === 429 || http === 503 ? "1" : null);
    }
  });

  test("an unknown outcome of a write stays unknown; a read had no effect", async () => {
    const api = await serveScript(always({ status: "error", code: "TIMEOUT", message: "late" }));
    expect((await api.put("/keys/a", { value: "1" })).json).toMatchObject({ status: 504, outcome: "unknown" });
    expect((await api.ask("DELETE", "/keys/a")).json).toMatchObject({ status: 504, outcome: "unknown" });
    expect((await api.get("/keys/a")).json).toMatchObject({ status: 504, outcome: "failed" });
  });

  test("a core that never answers is a write of unknown outcome", async () => {
    const api = await serveScript(() => ({ send: () => true, close: () => {} }));
    const { json } = await api.put("/keys/a?timeoutMs=1", { value: "1" });
    expect(json).toMatchObject({ status: 504, code: "TIMEOUT", outcome: "unknown" });
  });

  test("a core that does not run is a definite refusal", async () => {
    const api = await serveScript(() => ({ send: () => false, close: () => {} }));
    expect((await api.put("/keys/a", { value: "1" })).json).toMatchObject({
      status: 503,
      code: "SHUTTING_DOWN",
      outcome: "failed",
    });
  });

  test("what nobody foresaw is 500, is reported with the request's id, and tells nothing of the inside", async () => {
    const reports: string[] = [];
    const api = await serveScript(
      () => {
        throw new Error("secret");
      },
      { report: (text) => reports.push(text) },
    );
    const { json, text } = await api.get("/keys/a", { "x-request-id": "mine-1" });
    expect(json).toMatchObject({ status: 500, code: "INTERNAL", requestId: "mine-1" });
    expect(text).not.toContain("secret");
    expect(reports).toEqual(["request mine-1: GET /keys/a"]);
  });
});

describe("an error of the request", () => {
  test.each([
    ["GET", "/console", 404, "NO_SUCH_PATH"],
    ["GET", "/nowhere/else?x=1", 404, "NO_SUCH_PATH"],
    ["PROPFIND", "/nowhere", 404, "NO_SUCH_PATH"],
    ["POST", "/keys/a", 405, "METHOD_NOT_ALLOWED"],
    ["PATCH", "/keys/a/b", 405, "METHOD_NOT_ALLOWED"],
    ["OPTIONS", "/keys/a", 405, "METHOD_NOT_ALLOWED"],
    ["PROPFIND", "/keys/a", 405, "METHOD_NOT_ALLOWED"],
    ["DELETE", "/admin/nodes", 405, "METHOD_NOT_ALLOWED"],
    ["GET", "/keys/a?consistency=most", 400, "BAD_REQUEST"],
    ["GET", "/keys/a?consistancy=all", 400, "BAD_REQUEST"],
    ["GET", "/keys/a?timeoutMs=0", 400, "BAD_REQUEST"],
    ["GET", "/keys/a?timeoutMs=60001", 400, "BAD_REQUEST"],
  ])("%s %s is %i %s", async (method, target, status, code) => {
    expect((await api.ask(method, target)).json).toMatchObject({
      status,
      code,
      retryable: false,
      outcome: "failed",
    });
  });

  test("405 names the methods that the path has", async () => {
    const allow = async (method: string, path: string): Promise<string | null> =>
      (await api.ask(method, path)).headers.get("allow");
    expect(await allow("POST", "/keys/a")).toBe("PUT, GET, HEAD, DELETE");
    expect(await allow("PUT", "/keys")).toBe("GET, HEAD");
    expect(await allow("GET", "/admin/replicas")).toBe("PUT");
    expect(await allow("GET", "/admin/nodes/A")).toBe("DELETE");
  });

  test.each([
    ["not JSON", '{"value": "1"', "not JSON"],
    ["empty", "", "not JSON"],
    ["not UTF-8", new Uint8Array([0x22, 0xff, 0x22]), "UTF-8"],
    ["no object", '"1"', "object"],
    ["null", "null", "object"],
    ["without a value", "{}", "value"],
    ["with a number", '{"value": 5}', "value"],
    ["with null", '{"value": null}', "value"],
    ["with more than it takes", '{"value": "1", "ifAbsent": true}', "ifAbsent"],
    ["with an unknown level", '{"value": "1", "consistency": "two"}', "one, quorum, all"],
    ["with an unpaired surrogate", '{"value": "\\ud800"}', "surrogate"],
    ["with a list for a level", '{"value": "1", "consistency": ["all"]}', "consistency"],
    ["nested beyond reason", "[".repeat(500_000), "JSON"],
  ])("a JSON body that is %s is 400", async (_name, body, word) => {
    const answer = await api.put("/keys/a", body, { "content-type": "Application/JSON; charset=utf-8" });
    expect(answer.json).toMatchObject({ status: 400, code: "BAD_REQUEST", outcome: "failed" });
    expect(answer.json["detail"]).toContain(word);
  });

  test("a body of another type is 415 where JSON is asked for, and so is an encoded one", async () => {
    const text = { "content-type": "text/plain" };
    for (const [method, target] of [
      ["POST", "/batch"],
      ["POST", "/admin/nodes"],
      ["PUT", "/admin/replicas"],
    ] as const) {
      const answer = await api.ask(method, target, { body: "{}", headers: text });
      expect(answer.json, target).toMatchObject({ status: 415, code: "UNSUPPORTED_MEDIA_TYPE" });
      expect(answer.json["detail"], target).toContain("application/json");
    }
    const zipped = await api.put("/keys/a", "x", { ...text, "content-encoding": "gzip" });
    expect(zipped.json).toMatchObject({ status: 415, code: "UNSUPPORTED_MEDIA_TYPE" });
    expect((await api.put("/keys/a", "x", { ...text, "content-encoding": "identity" })).status).toBe(200);
  });

  test("without a JSON body where one is needed is 400 or 415, never a crash", async () => {
    for (const [method, target] of [
      ["POST", "/batch"],
      ["POST", "/admin/nodes"],
      ["PUT", "/admin/replicas"],
    ] as const)
      expect((await api.ask(method, target)).status, target).toBe(400);
  });
});

describe("the request's id", () => {
  test("is the one given, where it is a plain one; else one of ours, never twice", async () => {
    const idFor = async (given?: string): Promise<string> => {
      const { headers } = await api.get("/nowhere", given === undefined ? {} : { "x-request-id": given });
      return headers.get("x-request-id") ?? "";
    };
    expect(await idFor("trace:1.a-B_2")).toBe("trace:1.a-B_2");
    for (const given of ["with space", "x".repeat(129), "<script>"]) expect(await idFor(given)).not.toBe(given);
    expect(await idFor()).not.toBe(await idFor());
  });
});

/** Sends bytes and reads until the connection ends. */
function raw(api: Api, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const socket = connect({ port: api.server.port, host: "127.0.0.1" }, () => socket.write(text));
    socket.setEncoding("utf8").on("data", (chunk) => (said += chunk));
    socket.on("close", () => resolve(said)).on("error", reject);
  });
}

describe("what is no HTTP request", () => {
  const problem = (status: number, code: string): RegExp =>
    new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*application/problem\\+json[\\s\\S]*"code":"${code}"`);

  test.each([
    ["an NDJSON line", '{"id":1,"op":"ping"}\n\n', 400, "BAD_REQUEST"],
    ["an unknown method", "STEAL / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "BAD_REQUEST"],
    [
      "two lengths",
      "PUT /keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      400,
      "BAD_REQUEST",
    ],
    [
      "a length and chunks",
      "PUT /keys/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
      "BAD_REQUEST",
    ],
    [
      "header fields without end",
      `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"y".repeat(20_000)}\r\n\r\n`,
      431,
      "HEADERS_TOO_LARGE",
    ],
    ["no Host", "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "BAD_REQUEST"],
  ])("%s is refused in the same form, and the connection closed", async (_name, text, status, code) => {
    expect(await raw(api, text)).toMatch(problem(status, code));
  });
});
