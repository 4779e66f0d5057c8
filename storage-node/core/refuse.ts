// Refusals as results of operations, with what the caller needs to go on.
import { ERRORS, type ErrorCode, type KvError } from "../../shared/errors.ts";
import type { Refusal } from "../../shared/protocol/node-messages.ts";

export function refuse(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}): Refusal {
  return { status: "error", code, message, ...details };
}

/** An error as the rest of an answer. */
export function errorAnswer(error: KvError): object {
  const { outcome, retryable } = ERRORS[error.code];
  return { status: "error", code: error.code, message: error.message, retryable, outcome, ...error.details };
}
