// The API's description: valid OpenAPI 3.1, about everything that is served, and a page that asks for nothing else.
import { Validator } from "@seriousme/openapi-schema-validator";
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ERRORS } from "../../../shared/errors.ts";
import { always, closeAll, serveScript, type Api } from "./rest.ts";

let api: Api;

beforeAll(async () => {
  api = await serveScript(always({ status: "ok" }), { version: "1.2.3" });
});
afterAll(closeAll);

test("the document is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate({ ...api.document });
  expect(errors).toBeUndefined();
  expect([valid, validator.version]).toEqual([true, "3.1"]);
});

test("every reference leads somewhere, every operation has its own name", () => {
  const { components, paths } = api.document;
  const references = [...JSON.stringify(api.document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(
    ([, name]) => name,
  );
  expect(new Set(references)).toEqual(new Set(Object.keys(components.schemas)));
  const names = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
  expect(new Set(names).size).toBe(names.length);
});

test("the document has the calls that users were promised", () => {
  const calls = Object.entries(api.document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(calls.sort()).toEqual(
    [
      "PUT /keys/{key}",
      "GET /keys/{key}",
      "HEAD /keys/{key}",
      "DELETE /keys/{key}",
      "GET /keys",
      "POST /batch",
      "GET /admin/status",
      "GET /admin/nodes",
      "GET /admin/ring",
      "GET /admin/where",
      "GET /admin/operations",
      "GET /admin/operations/{id}",
      "DELETE /admin/operations/{id}",
      "POST /admin/nodes",
      "DELETE /admin/nodes/{id}",
      "PUT /admin/replicas",
      "POST /admin/plan",
      "POST /admin/repair",
      "GET /admin/repair",
      "POST /admin/stepdown",
      "GET /livez",
      "GET /metrics",
      "GET /readyz",
      "GET /openapi.json",
      "GET /docs",
    ].sort(),
  );
});

test("the page asks for nothing else: no script, no other address, and a policy that allows its own style alone", async () => {
  const { text, headers } = await api.get("/docs");
  expect(text).not.toMatch(/<script|<link|<img|<iframe|url\(|@import|\son\w+=|style=/i);
  expect([...text.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, target]) => target)).toEqual(["/openapi.json"]);
  const style = /<style>([\s\S]*?)<\/style>/.exec(text)?.[1] ?? "";
  const hash = createHash("sha256").update(style).digest("base64");
  expect(headers.get("content-security-policy")).toBe(
    `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
});

test("the page explains every code, where the type of a problem leads, and every call", async () => {
  const { text } = await api.get("/docs");
  for (const code of Object.keys(ERRORS)) expect(text).toContain(`<tr id="${code}">`);
  for (const path of Object.keys(api.document.paths)) expect(text).toContain(`<code>${path}</code>`);
});
