// HTTP server: REST on a port of its own, with fastify. Puts the routes together, gives every request an id and every error one form
// (problem.ts), sends clients of a coordinator that does not lead on to the leader (307, which keeps method and body), and bounds what a
// client can hold open: header, request, idle connection, number of connections. Closing answers what is open first.
// Loaded only where REST is served: the shell and one-shot commands never pay for it.
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerOptions } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { KvError } from "../../shared/errors.ts";
import { type Address, reachableAt } from "../../shared/io/address.ts";
import { HttpDoor } from "../../shared/io/http-door.ts";
import { OPEN, type Security } from "../../shared/io/security.ts";
import { listenError } from "../../shared/io/server.ts";
import { tlsServerOptions } from "../../shared/io/sockets.ts";
import { lineBytesMax } from "../../shared/limits.ts";
import { adminRoutes } from "./admin.ts";
import { localBackend, type Backend, type OpenLocal } from "./backend.ts";
import { batchRoute } from "./batch.ts";
import { refuseEncoded, takeJson } from "./bodies.ts";
import { Connections } from "./connections.ts";
import { consoleRoutes } from "./console/page.ts";
import { relayCall, wantsRelay } from "./console/relay.ts";
import { Streams } from "./console/stream.ts";
import { docsRoutes } from "./docs.ts";
import { healthRoutes } from "./health.ts";
import { noInsight, type Insight } from "./insight.ts";
import { keyRoutes } from "./keys.ts";
import { metricsRoute } from "./prometheus.ts";
import { kvErrorOf, PROBLEM_TYPE, problemOf, rawProblem } from "./problem.ts";
import { registerRoutes, unroutable, type Route } from "./routes.ts";
import { upkeepRoutes } from "./upkeep.ts";
import { validatorCompiler } from "./validators.ts";

/** How long a client may take, in ms. */
export interface HttpTimeouts {
  /** For the header of a request, from the connection's or the previous answer's end. */
  readonly headersMs: number;
  /** For a whole request. */
  readonly requestMs: number;
  /** Between requests on a connection. */
  readonly keepAliveMs: number;
  /** How often the first two are looked after. */
  readonly checkMs: number;
  /** For answering what is open when the server closes. */
  readonly drainMs: number;
}

export const HTTP_TIMEOUTS: HttpTimeouts = {
  headersMs: 10_000,
  requestMs: 60_000,
  keepAliveMs: 72_000,
  checkMs: 2_000,
  drainMs: 5_000,
};

export interface HttpOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Where clients reach this machine, when that is not where it listens; its port is not looked at. */
  readonly advertise?: Address | undefined;
  /** Whom it lets in, and what it shows to other coordinators. Default: everybody, nothing. */
  readonly security?: Security;
  readonly valueBytesMax: number;
  /** Of this software. */
  readonly version: string;
  /** The coordinator in this process: `CoordinatorServer.local`. */
  readonly open: OpenLocal;
  /** What the console and the metrics show of this process beside. */
  readonly insight?: Insight;
  /** Told of errors that nobody foresaw. */
  readonly report: (text: string, error: unknown) => void;
  readonly timeouts?: HttpTimeouts;
}

export interface HttpServer {
  /** `host:port` at which clients reach it, with the port in use. */
  readonly address: string;
  /** For people. */
  readonly url: string;
  readonly port: number;
  /** Accepts nothing more, answers what is open, ends every connection. */
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 10_000;
const REQUEST_ID = /^[\w.:-]{1,128}$/;
/** Longest path parameter: a node or operation id; keys are not bounded by it. */
const PARAMETER_CHARS_MAX = 256;

/** @throws the system's error where the port cannot be had (EADDRINUSE, …) */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const timeouts = options.timeouts ?? HTTP_TIMEOUTS;
  const backend = localBackend(options.open);
  const insight = options.insight ?? noInsight();
  const streams = new Streams(backend, insight);
  const app = build(options, { backend, insight, streams }, timeouts);
  const connections = new Connections(app.server);
  const where = { host: options.host, port: options.port };
  await app.listen(where).catch((error: NodeJS.ErrnoException) => Promise.reject(listenError(error, where)));
  const { address, port } = app.server.address() as AddressInfo;
  const reachable = reachableAt({ host: address, port }, options.advertise && { ...options.advertise, port });
  return {
    address: reachable,
    url: `${schemeOf(options)}://${reachable}`,
    port,
    close: () => {
      streams.close();
      return drain(app, connections, timeouts.drainMs);
    },
  };
}

/** What routes are made from. */
interface Parts {
  readonly backend: Backend;
  readonly insight: Insight;
  readonly streams: Streams;
}

function build(options: HttpOptions, parts: Parts, timeouts: HttpTimeouts): FastifyInstance {
  const { valueBytesMax } = options;
  const refuse = refusal(options);
  const app = fastify({
    ...transport(options, timeouts),
    bodyLimit: lineBytesMax(valueBytesMax),
    keepAliveTimeout: timeouts.keepAliveMs,
    requestTimeout: timeouts.requestMs,
    routerOptions: { maxParamLength: PARAMETER_CHARS_MAX },
    return503OnClosing: false, // what arrives on an open connection while closing is still answered
    genReqId: requestIds(),
    frameworkErrors: (error, request, reply) => void refuse(error, request, reply),
    clientErrorHandler: badConnection,
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  const routes = routesOf(options, parts);
  takeJson(app);
  app.setValidatorCompiler(validatorCompiler());
  app.setErrorHandler(refuse);
  app.addHook("onRequest", welcome(routes, doorOf(options)));
  registerRoutes(app, routes, { valueBytesMax });
  return app;
}

/** The server under fastify: with TLS where the process has a certificate, and then for certified clients only. */
function transport({ security }: HttpOptions, timeouts: HttpTimeouts): { readonly http: ServerOptions } {
  const http = {
    headersTimeout: timeouts.headersMs,
    connectionsCheckingInterval: timeouts.checkMs,
    requireHostHeader: false, // asked for below, where the refusal gets its form
  };
  const tls = security?.credentials.tls;
  if (tls === undefined) return { http };
  // To fastify's types this makes another kind of instance; to routes, requests look the same.
  return { https: { ...http, ...tlsServerOptions(tls) } } as unknown as { readonly http: ServerOptions };
}

function schemeOf({ security }: HttpOptions): "http" | "https" {
  return security?.credentials.tls === undefined ? "http" : "https";
}

function doorOf({ host, advertise, security }: HttpOptions): HttpDoor {
  return new HttpDoor({ keys: security?.keys, names: advertise ? [host, advertise.host] : [host] });
}

function routesOf({ valueBytesMax, version }: HttpOptions, { backend, insight, streams }: Parts): Route[] {
  const keys = [...keyRoutes(backend, valueBytesMax), batchRoute(backend, valueBytesMax)];
  const operators = [...adminRoutes(backend), ...upkeepRoutes(backend), ...healthRoutes(backend)];
  const served = [...keys, ...operators, metricsRoute(backend, insight, version)];
  return [...served, ...docsRoutes(served, version), ...consoleRoutes(streams)];
}

/** What every request has to pass before its body is read. */
function welcome(
  routes: readonly Route[],
  door: HttpDoor,
): (request: FastifyRequest, reply: FastifyReply) => Promise<void> {
  const why = unroutable(routes);
  return async (request, reply) => {
    void reply.headers(commonHeaders(request.id));
    const refused = door.refusal(request);
    if (refused) throw refused;
    if (request.is404) throw why(request.method, request.url);
    if (request.headers.host === undefined && request.raw.httpVersion !== "1.0")
      throw new KvError("BAD_REQUEST", "Host: HTTP/1.1 needs this header field");
    refuseEncoded(request.headers["content-encoding"]);
  };
}

/** Values change and are nobody else's business: a cache asks again each time, and a browser guesses no types. */
function commonHeaders(requestId: string): Record<string, string> {
  return { "x-request-id": requestId, "cache-control": "private, no-cache", "x-content-type-options": "nosniff" };
}

/** The id that the client gave, where it is a plain one; else one of ours. */
function requestIds(): (request: IncomingMessage) => string {
  const prefix = randomBytes(6).toString("base64url");
  let count = 0;
  return ({ headers }) => {
    const given = headers["x-request-id"];
    return typeof given === "string" && REQUEST_ID.test(given) ? given : `${prefix}-${(++count).toString(36)}`;
  };
}

function refusal(
  options: HttpOptions,
): (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply {
  const refuse = (thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const error = kvErrorOf(thrown, options);
    if (error.code === "INTERNAL") options.report(`request ${request.id}: ${request.method} ${request.url}`, thrown);
    const leaderHttp = error.code === "NOT_LEADER" ? error.details["leaderHttp"] : undefined;
    const safe = request.method === "GET" || request.method === "HEAD";
    const { status, headers, body } = problemOf(error, { safe, requestId: request.id });
    void reply.headers(commonHeaders(request.id));
    if (typeof leaderHttp === "string" && wantsRelay(request)) {
      void relayCall(leaderHttp, request, reply, (options.security ?? OPEN).credentials).catch((failure: unknown) =>
        refuse(failure, request, reply),
      );
      return reply;
    }
    if (typeof leaderHttp === "string")
      return reply
        .code(307)
        .header("location", `${schemeOf(options)}://${leaderHttp}${request.url}`)
        .send();
    return reply.code(status).headers(headers).type(PROBLEM_TYPE).send(JSON.stringify(body));
  };
  return refuse;
}

/** A connection whose request cannot be parsed, or does not come. */
function badConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  socket.end(rawProblem(connectionProblem(error)));
  socket.once("finish", () => socket.destroy());
}

function connectionProblem({ code = "", message }: NodeJS.ErrnoException): KvError {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new KvError("SLOW_REQUEST", "the request took too long to arrive");
    case "HPE_HEADER_OVERFLOW":
      return new KvError("HEADERS_TOO_LARGE", "the header fields are longer than 16 KiB together");
    default:
      return new KvError("BAD_REQUEST", `this is no HTTP request: ${message}`);
  }
}

/** Within the limit, closing ends as soon as what is open is answered. */
async function drain(app: FastifyInstance, connections: Connections, drainMs: number): Promise<void> {
  const late = setTimeout(() => app.server.closeAllConnections(), drainMs);
  try {
    const closed = app.close();
    connections.close();
    await closed;
  } finally {
    clearTimeout(late);
  }
}
