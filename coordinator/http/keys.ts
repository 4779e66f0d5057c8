// Keys: the calls on one key, and the listing of keys. A value comes as JSON or as raw bytes and goes out as the client would have it; its
// version is its entity tag. A DELETE looks first, so that it can say 404; level one, which knows no quorum, cannot.
import type { FastifyRequest } from "fastify";
import { wireValue } from "../../shared/client/options.ts";
import { KvError } from "../../shared/errors.ts";
import type { Level } from "../../shared/protocol/client-messages.ts";
import type { WireValue } from "../../shared/record.ts";
import { preferred } from "./accept.ts";
import type { Backend } from "./backend.ts";
import { textOf } from "./bodies.ts";
import { deleteCondition, etagOf, isCurrent, putCondition } from "./preconditions.ts";
import type { Route } from "./routes.ts";
import { DATA_QUERY, PUT_BODY, SCAN_QUERY } from "./schemas.ts";

export const BYTES = "application/octet-stream";
const JSON_TYPE = "application/json";

interface DataQuery {
  readonly consistency?: Level;
  readonly timeoutMs?: number;
}

interface PutBody {
  readonly value: WireValue;
  readonly consistency?: Level;
}

const IF_MATCH = "one version in quotes: only if it is still the current one; needs quorum or all";

/** @param valueBytesMax Largest value taken. */
export function keyRoutes(backend: Backend, valueBytesMax: number): Route[] {
  return [putRoute(backend, valueBytesMax), getRoute(backend), deleteRoute(backend), listRoute(backend)];
}

function putRoute(backend: Backend, valueBytesMax: number): Route {
  return {
    method: "PUT",
    path: "/keys/{key}",
    name: "putKey",
    summary: "Store a value",
    query: DATA_QUERY,
    headers: { "If-Match": IF_MATCH, "If-None-Match": "*: only if the key is absent; needs quorum or all" },
    body: { schema: PUT_BODY, bytes: true },
    answers: { 200: { description: "stored", json: "Written", headers: ["ETag"] } },
    refusals: [400, 412, 413, 415, 429, 503, 504, 507],
    handle: async (request, reply) => {
      const key = keyOf(request);
      const { value, consistency } = bodyOf(request, valueBytesMax);
      const options = optionsOf(request, consistency);
      const { version } = await backend.call<"put">({
        op: "put",
        key,
        value,
        ...options,
        ...putCondition(request.headers),
      });
      void reply.header("etag", etagOf(version));
      return { key, version };
    },
  };
}

function getRoute(backend: Backend): Route {
  return {
    method: "GET",
    path: "/keys/{key}",
    name: "getKey",
    head: "headKey",
    summary: "Read a value",
    query: DATA_QUERY,
    headers: {
      Accept: `${JSON_TYPE} (also for */*), or ${BYTES} for the bytes alone`,
      "If-None-Match": "versions in quotes: 304 when the value is still one of them",
    },
    answers: {
      200: { description: "the value", json: "Entry", types: [BYTES], headers: ["ETag"] },
      304: { description: "still the version that If-None-Match names", headers: ["ETag"] },
    },
    refusals: [400, 404, 406, 429, 503],
    handle: async (request, reply) => {
      const type = preferred(request.headers.accept, [JSON_TYPE, BYTES]);
      if (type === undefined)
        throw new KvError("NOT_ACCEPTABLE", `a value comes as ${JSON_TYPE} or ${BYTES}; Accept takes neither`);
      const key = keyOf(request);
      const { value, version, stale } = await backend.call<"get">({ op: "get", key, ...optionsOf(request) });
      void reply.headers({ etag: etagOf(version), vary: "Accept" });
      if (isCurrent(request.headers, version)) return reply.code(304).send();
      if (type === BYTES) return reply.type(BYTES).send(bytesOf(value));
      return { key, value, version, ...(stale === true && { stale }) };
    },
  };
}

function deleteRoute(backend: Backend): Route {
  return {
    method: "DELETE",
    path: "/keys/{key}",
    name: "deleteKey",
    summary: "Delete a key",
    query: DATA_QUERY,
    headers: { "If-Match": IF_MATCH },
    answers: { 200: { description: "deleted; the version is that of the delete", json: "Written" } },
    refusals: [400, 404, 412, 429, 503, 504, 507],
    handle: async (request) => {
      const key = keyOf(request);
      const condition = deleteCondition(request.headers);
      const message = { op: "delete", key, found: true, ...optionsOf(request), ...condition } as const;
      const { version } = await backend.call<"delete">(message);
      return { key, version };
    },
  };
}

function listRoute(backend: Backend): Route {
  return {
    method: "GET",
    path: "/keys",
    name: "listKeys",
    summary: "List keys: a page of those with a prefix, by slot and then key",
    query: SCAN_QUERY,
    answers: { 200: { description: "a page", json: "KeyPage" } },
    refusals: [400, 429, 503],
    handle: async (request) => {
      const query = request.query as { prefix?: string; limit?: number; cursor?: string; timeoutMs?: number };
      const { keys, cursor } = await backend.call<"scan">({ op: "scan", ...query });
      return { keys, ...(cursor !== undefined && { cursor }) };
    },
  };
}

/** The key of `/keys/…`, already decoded. */
function keyOf(request: FastifyRequest): string {
  return (request.params as { readonly "*": string })["*"];
}

function optionsOf(request: FastifyRequest, inBody?: Level): DataQuery {
  const { consistency, timeoutMs } = request.query as DataQuery;
  if (inBody !== undefined && consistency !== undefined && inBody !== consistency)
    throw new KvError("BAD_REQUEST", `consistency: the query says ${consistency}, the body ${inBody}; give one`);
  const level = inBody ?? consistency;
  return { ...(level !== undefined && { consistency: level }), ...(timeoutMs !== undefined && { timeoutMs }) };
}

/** @throws KvError BAD_REQUEST, TOO_LARGE */
function bodyOf({ body }: FastifyRequest, valueBytesMax: number): PutBody {
  if (body === undefined)
    throw new KvError(
      "BAD_REQUEST",
      `a value is needed: {"value": …} as ${JSON_TYPE}, or bytes with any other Content-Type`,
    );
  if (!Buffer.isBuffer(body)) {
    const { value, ...rest } = body as PutBody;
    return { ...rest, value: travelling(value, valueBytesMax) };
  }
  return { value: travelling(textOf(body) ?? { base64: body.toString("base64") }, valueBytesMax) };
}

/** As `wireValue`, for what may be bytes already. @throws KvError BAD_REQUEST, TOO_LARGE */
export function travelling(value: WireValue, valueBytesMax: number): WireValue {
  return typeof value === "string" ? wireValue(value, valueBytesMax) : value;
}

function bytesOf(value: WireValue): Buffer {
  return typeof value === "string" ? Buffer.from(value) : Buffer.from(value.base64, "base64");
}
