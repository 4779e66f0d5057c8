// Border of nodes and coordinators for compact lines (compact.ts): flat lists become operations, each field checked as in any other form.
import { KvError } from "../errors.ts";
import { BATCH_OPS_MAX, OPERATION_ID_CHARS_MAX, SEQ_MAX } from "../limits.ts";
import { isWireValue } from "../record.ts";
import { type Stamp, ZERO } from "../version.ts";
import type { DataRequest } from "./client-messages.ts";
import { READ_FIELDS, ROW_FIELDS, WRITE_FIELDS } from "./compact.ts";
import * as field from "./fields.ts";
import type { ReadOp, WriteOp } from "./node-messages.ts";

/** @throws KvError BAD_REQUEST, TOO_LARGE */
export function parseWrites(list: unknown, epoch: number): WriteOp[] {
  let stamp: Stamp = ZERO;
  return rows(list, "writes", WRITE_FIELDS, (fields, at): WriteOp => {
    stamp = stampAt(fields, at + 1, stamp);
    const number = fields[at + 3];
    if (!field.isInteger(number, 0, SEQ_MAX)) field.malformed("version", "a number");
    const value = fields[at + 5];
    if (value !== null && !isWireValue(value)) field.malformed("value", "a string, {base64} or null");
    const operation = operationAt(fields, at + 6);
    const slot = field.slot(fields[at], "slot");
    const key = field.keyIn(fields[at + 4], "key");
    return { op: "write", slot, stamp, key, version: [epoch, number], value, operation };
  });
}

/** @throws KvError BAD_REQUEST, TOO_LARGE */
export function parseReads(list: unknown): ReadOp[] {
  let stamp: Stamp = ZERO;
  return rows(list, "reads", READ_FIELDS, (fields, at): ReadOp => {
    stamp = stampAt(fields, at + 1, stamp);
    const brief = fields[at + 4];
    if (brief !== 0 && brief !== 1) field.malformed("brief", "0 or 1");
    const slot = field.slot(fields[at], "slot");
    const key = field.keyIn(fields[at + 3], "key");
    return { op: "read", slot, stamp, key, brief: brief === 1 };
  });
}

/**
 * Puts and gets of a client.
 * @param bounds `bytesMax`: largest value. `timeoutMs`: of all of them.
 * @throws KvError BAD_REQUEST, TOO_LARGE
 */
export function parseRows(
  list: unknown,
  { bytesMax, timeoutMs }: { readonly bytesMax: number; readonly timeoutMs: number },
): DataRequest[] {
  return rows(list, "rows", ROW_FIELDS, (fields, at): DataRequest => {
    const id = fields[at];
    if (!field.isInteger(id, 0, Number.MAX_SAFE_INTEGER)) field.malformed("id", "an integer");
    const key = field.keyIn(fields[at + 1], "key");
    if (fields[at + 2] === false) return { id, op: "get", key, timeoutMs };
    const value = field.valueIn(fields[at + 2], bytesMax, "value");
    return { id, op: "put", key, value, operation: operationAt(fields, at + 3), timeoutMs };
  });
}

function operationAt(fields: readonly unknown[], at: number): string {
  const operation = fields[at];
  if (typeof operation !== "string" || operation.length > OPERATION_ID_CHARS_MAX)
    field.malformed("operation", `a string of at most ${OPERATION_ID_CHARS_MAX} characters`);
  return operation;
}

function rows<Op>(
  list: unknown,
  name: string,
  length: number,
  read: (fields: readonly unknown[], at: number) => Op,
): Op[] {
  if (!Array.isArray(list) || list.length > BATCH_OPS_MAX * length || list.length % length !== 0)
    field.malformed(name, `a list of at most ${BATCH_OPS_MAX} times ${length} fields`);
  const fields = list as readonly unknown[];
  const ops: Op[] = [];
  try {
    for (let at = 0; at < fields.length; at += length) ops.push(read(fields, at));
  } catch (error) {
    throw error instanceof KvError ? field.positioned(error, `${name}[${ops.length}]`) : error;
  }
  return ops;
}

/** Most operations of a line are at the same stamp: one object for all of them. */
function stampAt(fields: readonly unknown[], at: number, before: Stamp): Stamp {
  if (fields[at] === before[0] && fields[at + 1] === before[1]) return before;
  return field.pair([fields[at], fields[at + 1]], "stamp");
}
