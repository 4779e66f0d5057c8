// Gateway: carries calls of election/etcd-calls.ts to an etcd, over the JSON form of its API (etcd 3.4 and later; HTTP/1.1, keys and values in
// base64, 64-bit numbers as text). The members are tried in turn, the one that answered last first. Every call ends in bounded time:
// where no member answers, as `silent`, and then nobody knows whether it was carried out. A change may so arrive twice; the core expects that.
import { Buffer } from "node:buffer";
import type { EtcdAnswer, EtcdRequest, Entry } from "../election/etcd-calls.ts";

/** How long one member may take. One that lives answers within a disk's sync; one without a majority never does. */
const MEMBER_MS_MAX = 1_000;
/** How long all of them may take. */
const CALL_MS_MAX = 2_500;
/** `code` of an error: no such lease. */
const NOT_FOUND = 5;

export class EtcdGateway {
  readonly #endpoints: readonly string[];
  /** The member that answered last. */
  #first = 0;
  readonly #closed = new AbortController();

  /** @param endpoints `host:port` of each member. */
  constructor(endpoints: readonly string[]) {
    this.#endpoints = endpoints;
  }

  /** Never rejects. */
  async call(request: EtcdRequest): Promise<EtcdAnswer> {
    const [path, body] = encode(request);
    const endsAt = performance.now() + CALL_MS_MAX;
    let message = "";
    for (let turn = 0; turn < this.#endpoints.length; turn++) {
      const member = (this.#first + turn) % this.#endpoints.length;
      const leftMs = Math.min(MEMBER_MS_MAX, endsAt - performance.now());
      if (leftMs <= 0 || this.#closed.signal.aborted) break;
      try {
        const found = await this.#post(this.#endpoints[member] as string, path, { body, timeoutMs: leftMs });
        this.#first = member;
        return decode(request, found);
      } catch (error) {
        message = `${this.#endpoints[member] ?? ""}: ${reasonOf(error)}`;
      }
    }
    return { type: "silent", message };
  }

  /** Calls that are open end as `silent`. */
  close(): void {
    this.#closed.abort();
  }

  async #post(endpoint: string, path: string, { body, timeoutMs }: { body: object; timeoutMs: number }): Promise<Json> {
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(Math.ceil(timeoutMs))]);
    const response = await fetch(`http://${endpoint}/v3/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    const found = (await response.json()) as Json;
    if (response.ok || found["code"] === NOT_FOUND) return found;
    throw new Error(`${response.status} ${typeof found["message"] === "string" ? found["message"] : ""}`);
  }
}

type Json = Readonly<Record<string, unknown>>;

function encode(request: EtcdRequest): readonly [path: string, body: object] {
  switch (request.op) {
    case "read":
      return ["kv/txn", { compare: [], success: request.keys.map(range), failure: [] }];
    case "change":
      return [
        "kv/txn",
        {
          compare: request.expected.map(({ key, revision }) => ({
            key: base64(key),
            target: "MOD",
            result: "EQUAL",
            mod_revision: String(revision),
          })),
          success: request.puts.map(({ key, value, lease }) => ({
            request_put: { key: base64(key), value: base64(value), ...(lease !== undefined && { lease }) },
          })),
          failure: request.otherwise.map(range),
        },
      ];
    case "grant":
      return ["lease/grant", { TTL: String(request.seconds) }];
    case "keepAlive":
      return ["lease/keepalive", { ID: request.lease }];
    case "revoke":
      return ["lease/revoke", { ID: request.lease }];
  }
}

const range = (key: string): object => ({ request_range: { key: base64(key) } });

/** @throws TypeError where something answers that is no etcd */
function decode(request: EtcdRequest, found: Json): EtcdAnswer {
  if (found["code"] === NOT_FOUND) return { type: "leaseOver" };
  switch (request.op) {
    case "read":
      return { type: "entries", entries: entriesOf(found) };
    case "change":
      // A transaction that did nothing says nothing of having succeeded.
      return found["succeeded"] === true
        ? { type: "changed", revision: Number((found["header"] as Json)["revision"]) }
        : { type: "entries", entries: entriesOf(found) };
    case "grant":
      return { type: "lease", lease: String(found["ID"]) };
    case "keepAlive": {
      const { ID, TTL } = found["result"] as { readonly ID: string; readonly TTL?: string };
      return Number(TTL ?? 0) > 0 ? { type: "lease", lease: ID } : { type: "leaseOver" };
    }
    case "revoke":
      return { type: "revoked" };
  }
}

interface Range {
  readonly response_range: {
    readonly kvs?: readonly { readonly key: string; readonly value?: string; readonly mod_revision: string }[];
  };
}

function entriesOf({ responses = [] }: { readonly responses?: unknown }): Entry[] {
  return (responses as readonly Range[]).flatMap(({ response_range: { kvs = [] } }) =>
    kvs.map(({ key, value = "", mod_revision: revision }) => ({
      key: textOf(key),
      value: textOf(value),
      revision: Number(revision),
    })),
  );
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const textOf = (bytes: string): string => Buffer.from(bytes, "base64").toString();

function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error & { readonly cause?: { readonly code?: string } };
  return name === "TimeoutError" ? "no answer" : (cause?.code ?? message);
}
