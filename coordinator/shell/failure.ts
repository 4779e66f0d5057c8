// What went wrong, for people and for programs: one line that says what, and what to do next; the exit status; the JSON form.
// An outcome that is not known is worded as not known (C8): never "failed", never "done". A read has no effect, so a read
// that timed out is merely unavailable.
import type { ErrorCode } from "../../shared/errors.ts";
import { ERRORS, KvError } from "../../shared/errors.ts";

/** 0 done · 1 key not found, or condition not met · 2 usage · 3 unavailable · 4 outcome unknown. */
export type ExitStatus = 0 | 1 | 2 | 3 | 4;

/** What was typed makes no sense. Nothing was sent. */
export class UsageError extends Error {
  /** What to type instead; empty where the message says it all. */
  readonly hint: string;

  constructor(message: string, options: { readonly hint?: string } = {}) {
    super(message);
    this.name = "UsageError";
    this.hint = options.hint ?? "";
  }
}

/** Ctrl-C while waiting for an answer. */
export class InterruptedError extends Error {
  constructor() {
    super("stopped waiting for the answer");
    this.name = "InterruptedError";
  }
}

/** What the wording of a failure depends on beside the error. */
export interface FailureContext {
  /** Command as in the table: `put`. */
  readonly command: string;
  /** Whether it may have changed something before it failed. */
  readonly writes: boolean;
  /** What shows how it ended, where that is unknown: `get apple`. */
  readonly lookWith?: string | undefined;
  /** Further advice that only the caller can give: "did you mean". */
  readonly advice?: string | undefined;
}

export interface Failure {
  readonly line: string;
  readonly json: Readonly<Record<string, unknown>>;
  readonly status: ExitStatus;
}

const STATUS_ONE: ReadonlySet<ErrorCode> = new Set([
  "NOT_FOUND",
  "CONDITION_FAILED",
  "NO_SUCH_NODE",
  "NODE_EXISTS",
  "NODE_TAKEN",
  "LAST_COPY",
  "CANCELLED",
  "NO_SUCH_OPERATION",
] as const);

const HINTS: Partial<Readonly<Record<ErrorCode, string>>> = {
  NOT_LEADER: "`switch` alone goes back to the leader",
  NO_LEADER: "try again in a moment, `status` shows who is missing",
  NO_CLUSTER: "add the first node: addnode A 5001",
  NO_QUORUM: "`nodes` shows which ones are down",
  OVERLOADED: "try again in a moment",
  MOVING: "try again in a moment, `ops` shows what moves",
  DISK_FULL: "free space on that node, or add one: addnode <id> <port>",
  NODE_UNREACHABLE: "start it first: ./node_server <port>",
  NO_SUCH_NODE: "`nodes` lists them",
  NODE_EXISTS: "`nodes` lists them",
  LAST_COPY: "--force accepts the loss",
  NO_SUCH_OPERATION: "`ops` lists those running",
  TOO_MANY_OPERATIONS: "`ops` lists them, `cancel <op>` stops one",
  CONDITION_FAILED: "`where <key>` shows the current version",
};

/** Exit status for an error. @param writes Whether the command may have changed something. */
export function exitStatusOf(error: unknown, options: { readonly writes: boolean }): ExitStatus {
  if (error instanceof UsageError) return 2;
  if (error instanceof InterruptedError) return options.writes ? 4 : 3;
  if (!(error instanceof KvError)) return 3;
  if (STATUS_ONE.has(error.code)) return 1;
  if (error.code === "BAD_REQUEST" || error.code === "TOO_LARGE") return 2;
  return error.outcome === "unknown" && options.writes ? 4 : 3;
}

/** Words an error that a command ended in. */
export function describeFailure(error: unknown, context: FailureContext): Failure {
  const status = exitStatusOf(error, context);
  return { line: failureLine(error, context, status), json: failureJson(error, status), status };
}

function failureLine(error: unknown, context: FailureContext, status: ExitStatus): string {
  const message = trimmed(error instanceof Error ? error.message : String(error));
  if (status === 4) {
    const look = context.lookWith === undefined ? "" : `; \`${context.lookWith}\` shows`;
    return `The ${context.command} may or may not have happened: ${message}${look}`;
  }
  if (error instanceof KvError && error.code === "CANCELLED") return `Cancelled: ${message}`;
  const hint = context.advice ?? hintOf(error, message);
  return `Error: ${message}${hint === "" ? "" : `; ${hint}`}`;
}

/** A message that carries its advice already (behind a semicolon) gets no second one. */
function hintOf(error: unknown, message: string): string {
  if (error instanceof UsageError) return error.hint;
  if (!(error instanceof KvError) || message.includes(";")) return "";
  return HINTS[error.code] ?? "";
}

function failureJson(error: unknown, status: ExitStatus): Readonly<Record<string, unknown>> {
  const message = error instanceof Error ? error.message : String(error);
  const outcome = status === 4 ? "unknown" : "failed";
  if (error instanceof KvError) {
    const { code, retryable, details } = error;
    return { ...details, status: "error", code, message, retryable, outcome };
  }
  const code = otherCode(error);
  return { status: "error", code, message, retryable: ERRORS[code].retryable, outcome };
}

function otherCode(error: unknown): ErrorCode {
  if (error instanceof UsageError) return "BAD_REQUEST";
  return error instanceof InterruptedError ? "TIMEOUT" : "INTERNAL";
}

/** Without the full stop, and without the session's word on the outcome: the line has its own. */
function trimmed(message: string): string {
  return message.replace(/\.\s*$/, "").replace(/: it may have happened$/, "");
}
