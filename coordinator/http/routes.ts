// Routes: what a REST call is, declared once. The declaration is registered with fastify, validates what comes in, makes its part of the
// OpenAPI document, and says which methods a path has (405 with Allow). What a call does is in keys.ts, batch.ts, admin.ts, health.ts.
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { KvError } from "../../shared/errors.ts";
import type { AnswerName } from "./answers.ts";
import { takeBytes } from "./bodies.ts";
import { closed, type Properties, type Schema } from "./schemas.ts";

export type Method = "GET" | "PUT" | "POST" | "DELETE";

/** One successful form of an answer. */
export interface AnswerForm {
  readonly description: string;
  readonly json?: AnswerName;
  /** Other media types that it also comes in, or only. */
  readonly types?: readonly string[];
  /** Header fields that it has beside the usual ones. */
  readonly headers?: readonly ("ETag" | "Location")[];
}

export interface Route {
  readonly method: Method;
  /** As OpenAPI writes it. A last `{key}` takes the rest of the path, slashes and all. */
  readonly path: string;
  /** Its name in OpenAPI. */
  readonly name: string;
  readonly summary: string;
  readonly query?: Properties;
  /** Header fields it looks at, with a description each. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The JSON body it takes; `bytes`: any other content type too, as raw bytes. */
  readonly body?: { readonly schema: Schema; readonly bytes?: boolean };
  readonly answers: Readonly<Record<number, AnswerForm>>;
  /** Statuses of the refusals that callers should expect. */
  readonly refusals?: readonly number[];
  /** A GET whose HEAD is worth telling of: its name in OpenAPI. Every GET has one. */
  readonly head?: string;
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;
}

/** Names of a path's parameters. */
export function parametersOf(path: string): string[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? "");
}

/** @param options.valueBytesMax Longest body taken as raw bytes. */
export function registerRoutes(
  app: FastifyInstance,
  routes: readonly Route[],
  { valueBytesMax }: { readonly valueBytesMax: number },
): void {
  for (const route of routes.filter(({ body }) => body?.bytes !== true)) registerOne(app, route);
  // Raw bytes are taken within their own scope: everywhere else they stay 415.
  void app.register(async (scope) => {
    takeBytes(scope, valueBytesMax);
    for (const route of routes.filter(({ body }) => body?.bytes === true)) registerOne(scope, route);
  });
}

function registerOne(app: FastifyInstance, { method, path, query, body, handle }: Route): void {
  const bodySchema =
    body && (body.bytes === true ? { content: { "application/json": { schema: body.schema } } } : body.schema);
  app.route({
    method,
    url: path.replace("{key}", "*").replace(/\{(\w+)\}/g, ":$1"),
    schema: { querystring: closed(query ?? {}, Object.keys(query ?? {})), ...(bodySchema && { body: bodySchema }) },
    handler: handle,
  });
}

/** Why nothing answers this request: the path is unknown, or it has other methods. */
export function unroutable(routes: readonly Route[]): (method: string, url: string) => KvError {
  const patterns = new Map<string, { readonly pattern: RegExp; readonly methods: string[] }>();
  for (const { path, method } of routes) {
    const source = path.replace("{key}", ".*").replace(/\{\w+\}/g, "[^/]+");
    const known = patterns.get(path) ?? { pattern: new RegExp(`^${source}$`, "s"), methods: [] };
    known.methods.push(...(method === "GET" ? ["GET", "HEAD"] : [method]));
    patterns.set(path, known);
  }
  return (method, url) => {
    const path = url.split("?", 1)[0] ?? "";
    const found = [...patterns.values()].find(({ pattern }) => pattern.test(path));
    if (!found) return new KvError("NO_SUCH_PATH", `no such path: ${path.slice(0, 200)}; /docs lists all`);
    const allow = found.methods.join(", ");
    return new KvError("METHOD_NOT_ALLOWED", `${method} is no method of this path; it has ${allow}`, { allow });
  };
}
