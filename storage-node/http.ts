// HTTP of a storage node, for operators: whether it lives and is ready, its metrics and its status. On `node:http`, off unless asked for, and
// loaded only then: a node stays light. Who may ask is the HTTP door's matter (http-door.ts), as at a coordinator.
// It serves no keys: a node does not know what is committed (N4). Clients that ask it for keys are sent on to the leader, with method and
// body kept.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { ERRORS, KvError } from "../shared/errors.ts";
import { EXPOSITION_TYPE } from "../shared/exposition.ts";
import { formatAddress } from "../shared/io/address.ts";
import { CHALLENGE, type HttpDoor } from "../shared/io/http-door.ts";
import { listenError } from "../shared/io/server.ts";
import { tlsServerOptions, type TlsMaterial } from "../shared/io/sockets.ts";

const CONNECTIONS_MAX = 256;
const HEADERS_MS = 10_000;
const RETRY_AFTER_S = "1";

export interface NodeHttpOptions {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly door: HttpDoor;
  readonly tls: TlsMaterial | undefined;
  readonly status: () => Readonly<Record<string, unknown>>;
  /** The same, with what the node holds counted anew. */
  readonly report: () => Promise<Readonly<Record<string, unknown>>>;
  /** Whether it is about to end. */
  readonly stopping: () => boolean;
  readonly metrics: () => Promise<string>;
  /** Where the leader serves HTTP, `host:port`; undefined while that is not known. */
  readonly leaderHttp: () => Promise<string | undefined>;
}

export interface NodeHttp {
  readonly port: number;
  /** `host:port`. */
  readonly address: string;
  close(): Promise<void>;
}

/** @throws the system's error where the port cannot be had */
export async function serveNodeHttp(options: NodeHttpOptions): Promise<NodeHttp> {
  const { host, port, tls } = options;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    handle(options, request, response).catch((error: unknown) => refuse(response, error));
  };
  const server = tls === undefined ? createServer(answer) : createTlsServer(tlsServerOptions(tls), answer);
  server.maxConnections = CONNECTIONS_MAX;
  server.headersTimeout = HEADERS_MS;
  await listening(server, { host, port });
  const bound = server.address() as AddressInfo;
  return {
    port: bound.port,
    address: formatAddress({ host: bound.address, port: bound.port }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, where: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, where)));
    server.listen(where.port, where.host, resolve);
  });
}

async function handle(options: NodeHttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "GET", url = "/", headers } = request;
  request.resume(); // bodies are nobody's business here
  const refusal = options.door.refusal({ method, url, headers });
  if (refusal) throw refusal;
  const path = url.split("?", 1)[0] ?? "";
  if (path === "/keys" || path.startsWith("/keys/") || path === "/batch") return await sendOn(options, url, response);
  const page = PAGES[path];
  if (!page)
    throw new KvError("NO_SUCH_PATH", `a storage node has ${Object.keys(PAGES).join(", ")}; keys are the leader's`);
  if (method !== "GET" && method !== "HEAD")
    throw new KvError("METHOD_NOT_ALLOWED", `${method} is no method of this path`, { allow: "GET, HEAD" });
  const { type, text } = await page(options, url);
  send(response, 200, { "content-type": type }, method === "HEAD" ? "" : text);
}

interface Page {
  readonly type: string;
  readonly text: string;
}

const json = (body: unknown): Page => ({ type: "application/json; charset=utf-8", text: `${JSON.stringify(body)}\n` });

const PAGES: Readonly<Record<string, (options: NodeHttpOptions, url: string) => Promise<Page> | Page>> = {
  "/livez": () => json({ status: "ok" }),
  "/readyz": readiness,
  "/metrics": async ({ metrics }) => ({ type: EXPOSITION_TYPE, text: await metrics() }),
  "/admin/status": async ({ report }) => json(await report()),
};

/** @throws KvError where it is not ready */
function readiness({ status, stopping }: NodeHttpOptions, url: string): Page {
  const { node, diskFull } = status();
  const checks = [
    { name: "running", ok: !stopping(), detail: stopping() ? "the node is shutting down" : "the node runs" },
    {
      name: "member",
      ok: node !== null,
      detail: typeof node === "string" ? node : "the node was not added to a cluster yet",
    },
    { name: "disk", ok: diskFull !== true, detail: diskFull === true ? "the disk is full" : "there is space" },
  ];
  const failed = checks.find(({ ok }) => !ok);
  const codes = { running: "SHUTTING_DOWN", member: "NO_CLUSTER", disk: "DISK_FULL" } as const;
  if (failed)
    throw new KvError(codes[failed.name as keyof typeof codes], `${failed.name}: ${failed.detail}`, { checks });
  return json({ status: "ok", ...(url.includes("?verbose") && { checks }) });
}

async function sendOn({ leaderHttp, tls }: NodeHttpOptions, url: string, response: ServerResponse): Promise<void> {
  const leader = await leaderHttp();
  if (leader === undefined) throw new KvError("NO_LEADER", "this node does not know where the leader serves HTTP");
  send(response, 307, { location: `http${tls === undefined ? "" : "s"}://${leader}${url}` }, "");
}

function refuse(response: ServerResponse, thrown: unknown): void {
  const error = thrown instanceof KvError ? thrown : new KvError("INTERNAL", "an error that nobody foresaw");
  const { http: status, meaning: title, outcome, retryable } = ERRORS[error.code];
  const { allow, checks } = error.details;
  const body = {
    type: "about:blank",
    title,
    status,
    detail: error.message,
    code: error.code,
    retryable,
    outcome,
    checks,
  };
  const headers = {
    "content-type": "application/problem+json; charset=utf-8",
    ...(status === 503 && { "retry-after": RETRY_AFTER_S }),
    ...(status === 401 && { "www-authenticate": CHALLENGE }),
    ...(typeof allow === "string" && { allow }),
  };
  send(response, status, headers, JSON.stringify(body));
}

function send(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>, text: string): void {
  response.writeHead(status, { "cache-control": "no-store", "x-content-type-options": "nosniff", ...headers });
  response.end(text);
}
