// Relay: a console page talks to its own coordinator only, whoever leads, so that its policy can forbid it everything else. A coordinator
// that does not lead passes the page's calls and its stream on to the leader's HTTP address. Once: a call that was passed on is not passed
// on again, so two coordinators that take each other for the leader send nothing in circles. Other clients get 307 (http-server.ts).
import { request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { FastifyReply, FastifyRequest } from "fastify";
import { KvError } from "../../../shared/errors.ts";
import { parseAddress } from "../../../shared/io/address.ts";
import type { Credentials } from "../../../shared/io/credentials.ts";
import { tlsClientOptions } from "../../../shared/io/sockets.ts";

/** Set by the page: browsers let no other site send it without asking first. */
export const RELAY_HEADER = "x-holdfast-relay";
const ASKED = "page";
const PASSED_ON = "coordinator";
/** Longer than any call takes. */
const CALL_MS = 20_000;
const HEADERS_PASSED_ON = ["accept", "content-type", "if-match", "if-none-match", "authorization", "x-request-id"];
const HEADERS_PASSED_BACK = ["content-type", "etag", "location", "retry-after", "allow"];

/** Whether the request is one to be passed on where this coordinator does not lead. */
export function wantsRelay({ headers }: Pick<FastifyRequest, "headers">): boolean {
  return headers[RELAY_HEADER] === ASKED;
}

/** Whether another coordinator passed it on. */
export function wasRelayed({ headers }: Pick<FastifyRequest, "headers">): boolean {
  return headers[RELAY_HEADER] === PASSED_ON;
}

/** Passes a call on, with its caller's own token, and the answer back. @throws KvError where the leader cannot be reached */
export async function relayCall(
  leaderHttp: string,
  request: FastifyRequest,
  reply: FastifyReply,
  { tls }: Credentials,
): Promise<FastifyReply> {
  const { method, url, body } = request;
  const bytes = body === undefined || body === null ? undefined : Buffer.isBuffer(body) ? body : JSON.stringify(body);
  const headers = picked(request.headers, HEADERS_PASSED_ON);
  const answer = await ask(leaderHttp, {
    tls,
    method,
    path: url,
    headers,
    ...(bytes !== undefined && { body: bytes }),
  });
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return await reply
    .code(answer.statusCode ?? 502)
    .headers(picked(answer.headers, HEADERS_PASSED_BACK))
    .send(Buffer.concat(chunks));
}

/** The leader's stream, for a page that this coordinator has let in. @throws KvError where there is none */
export async function relayStream(
  leaderHttp: string,
  path: string,
  { token, tls }: Credentials,
): Promise<IncomingMessage> {
  const answer = await ask(leaderHttp, {
    tls,
    method: "GET",
    path,
    headers: { accept: "text/event-stream", ...(token !== undefined && { authorization: `Bearer ${token}` }) },
  });
  if (answer.statusCode === 200) return answer;
  answer.destroy();
  throw unreachableLeader(leaderHttp, `it answered ${answer.statusCode}`);
}

interface Passed {
  readonly tls: Credentials["tls"];
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

function ask(address: string, { tls, method, path, headers, body }: Passed): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { host, port } = parseAddress(address);
    const options = { host, port, path, method, headers: { ...headers, [RELAY_HEADER]: PASSED_ON } };
    const requestOf = (answered: (answer: IncomingMessage) => void): ClientRequest =>
      tls === undefined
        ? httpRequest(options, answered)
        : httpsRequest({ ...options, ...tlsClientOptions(tls, host) }, answered);
    const request = requestOf((answer) => {
      clearTimeout(timer);
      answer.on("error", () => {}); // whoever reads it sees it end
      resolve(answer);
    });
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${CALL_MS} ms`)), CALL_MS);
    request.on("error", (error) => {
      clearTimeout(timer);
      reject(unreachableLeader(address, error.message));
    });
    request.end(body);
  });
}

function unreachableLeader(address: string, why: string): KvError {
  return new KvError(
    "LOST",
    `the leader's HTTP address ${address} could not be reached through this coordinator: ${why}`,
  );
}

function picked(headers: IncomingMessage["headers"], names: readonly string[]): Record<string, string> {
  const found = names.map((name) => [name, headers[name]] as const);
  return Object.fromEntries(found.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}
