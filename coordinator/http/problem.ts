// Problem: every error as application/problem+json (RFC 9457), whoever found it: the core, a route, a schema, or fastify itself. Three
// members beside the standard ones: `code` to match by, `retryable`, and `outcome` (C8: unknown is never called failed).
// `type` leads to the code's entry in the error table at /docs.
import { ERRORS, KvError, type ErrorCode, type Outcome } from "../../shared/errors.ts";
import { lineBytesMax } from "../../shared/limits.ts";
import { CHALLENGE } from "../../shared/io/http-door.ts";

export const PROBLEM_TYPE = "application/problem+json; charset=utf-8";

/** The body of an error. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly outcome: Outcome;
  readonly requestId?: string;
  /** What the error carries beside: `version`, `leader`, `allow`, `checks`. */
  readonly [member: string]: unknown;
}

/** After this long, in seconds, what was overloaded or without a leader is worth another attempt. */
const RETRY_AFTER_S = 1;
/** Details that matter inside only. */
const INTERNAL_DETAILS = new Set(["address", "fence"]);
/** fastify's own errors that are more than a malformed request, with better words. */
const BY_FASTIFY_CODE: Readonly<Record<string, readonly [ErrorCode, (limits: HttpLimits) => string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ["TOO_LARGE", ({ valueBytesMax }) => `the body is too long: ${tooLong(valueBytesMax)}`],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ["UNSUPPORTED_MEDIA_TYPE", () => "Content-Type: this path takes application/json"],
};

/** Bounds that messages name. */
export interface HttpLimits {
  readonly valueBytesMax: number;
}

function tooLong(valueBytesMax: number): string {
  return `a value has at most ${valueBytesMax} bytes (--max-value), a batch ${lineBytesMax(valueBytesMax)} in all`;
}

/** A problem's parts of the HTTP answer. */
export interface ProblemAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Problem;
}

/** @param about.safe The request reads only: it has no effect, so its outcome is never unknown. */
export function problemOf(
  error: KvError,
  about: { readonly safe: boolean; readonly requestId?: string },
): ProblemAnswer {
  const { http, meaning, outcome, retryable } = ERRORS[error.code];
  const details = Object.entries(error.details).filter(([name]) => !INTERNAL_DETAILS.has(name));
  const body = {
    ...Object.fromEntries(details),
    type: `/docs#${error.code}`,
    title: meaning,
    status: http,
    detail: error.message,
    code: error.code,
    retryable,
    outcome: about.safe ? ("failed" as const) : outcome,
    ...(about.requestId !== undefined && { requestId: about.requestId }),
  };
  return { status: http, headers: headersOf(error, http), body };
}

function headersOf(error: KvError, status: number): Record<string, string> {
  const { allow, version } = error.details;
  return {
    ...((status === 429 || status === 503) && { "retry-after": String(RETRY_AFTER_S) }),
    ...(status === 401 && { "www-authenticate": CHALLENGE }),
    ...(typeof allow === "string" && { allow }),
    ...(typeof version === "string" && { etag: `"${version}"` }),
  };
}

/** What was thrown, as one of our errors. INTERNAL stands for what nobody foresaw. */
export function kvErrorOf(thrown: unknown, limits: HttpLimits): KvError {
  if (thrown instanceof KvError) return thrown;
  const { code, statusCode, message } = thrown as { code?: unknown; statusCode?: unknown; message?: unknown };
  const text = typeof message === "string" ? message : "the request could not be understood";
  const known = typeof code === "string" ? BY_FASTIFY_CODE[code] : undefined;
  if (known) return new KvError(known[0], known[1](limits));
  if (typeof statusCode === "number" && statusCode >= 400 && statusCode < 500) return new KvError("BAD_REQUEST", text);
  return new KvError("INTERNAL", "an error that nobody foresaw; the log says more, by the request's id");
}

/** An HTTP answer as text, for a connection whose request could not even be parsed. */
export function rawProblem(error: KvError): string {
  const { status, headers, body } = problemOf(error, { safe: true });
  const text = JSON.stringify(body);
  const fields = {
    ...headers,
    "content-type": PROBLEM_TYPE,
    "content-length": Buffer.byteLength(text),
    connection: "close",
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${error.code}\r\n${lines.join("")}\r\n${text}`;
}
