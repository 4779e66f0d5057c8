// Refusals as results of operations, with what the caller needs to go on.
import type { ErrorCode } from "../../shared/errors.ts";
import type { Refusal } from "../../shared/protocol/node-messages.ts";

export function refuse(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}): Refusal {
  return { status: "error", code, message, ...details };
}
