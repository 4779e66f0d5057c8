// Compact lines (shared/protocol/compact.ts) as fields rather than text: what the lines that the edges make of messages are parsed to. For the
// simulator, whose messages never are text.
import { compactForm } from "../../shared/protocol/compact.ts";
import type { BatchRequest, ReadOp, WriteOp } from "../../shared/protocol/node-messages.ts";

/** The message as it arrives. */
export function asSent(message: object): object {
  const { op, ops, ...rest } = message as BatchRequest;
  if (op !== "batch" || !Array.isArray(ops)) return message;
  const form = compactForm(ops, rest.epoch);
  if (form === undefined) return message;
  const fields =
    form === "reads"
      ? ops.flatMap((item) => readFields(item as ReadOp))
      : ops.flatMap((item) => writeFields(item as WriteOp));
  return { op, ...rest, [form]: fields };
}

function readFields({ slot, stamp, key, brief }: ReadOp): unknown[] {
  return [slot, ...stamp, key, brief === true ? 1 : 0];
}

function writeFields({ slot, stamp, version, key, value, operation }: WriteOp): unknown[] {
  return [slot, ...stamp, version[1], key, value, operation ?? ""];
}

/** A client's request, in a compact line where it fits into one. */
export function asRequested(request: Fields): Fields {
  const { id, op, key, value, operation, timeoutMs, consistency, ifVersion, ifAbsent, firstEpoch } = request;
  const said = [ifVersion, ifAbsent, firstEpoch].some((field) => field !== undefined);
  if (said || (op !== "put" && op !== "get") || (consistency ?? "quorum") !== "quorum") return request;
  const row = op === "get" ? [id, key, false, ""] : [id, key, value, operation];
  return { id, op: "batch", timeoutMs, rows: row };
}

type Fields = Readonly<Record<string, unknown>>;
