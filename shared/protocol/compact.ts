// Compact lines: what nearly all lines say, as one flat list of fields instead of an object for each operation. JSON.parse takes a quarter
// of the time for them, and that was the largest single cost of a put. Between coordinator and node:
//
//   writes   slot, stamp epoch, stamp n, version n, key, value, operation     the version's epoch is that of the line
//   reads    slot, stamp epoch, stamp n, key, brief (0 or 1)
//   found    version epoch, version n, value, operation                       one for each read; of a brief one only the version counts
//
// A line of no reads asks whether the node is at this epoch still (C6). Everything else travels as `ops` and `results`; a node takes
// either. Between a client that says so in its hello and a coordinator:
//
//   rows     id, key, value, operation             puts at level quorum; a get has `false` for its value, and no operation ("")
//   written  id, version epoch, version n          what puts and deletes are answered
//   values   id, version epoch, version n, value   what gets are answered
//
// Everything else, each error for one, travels as objects. Pure.
import type { WireValue } from "../record.ts";
import { format } from "../version.ts";
import type { BatchRequest, DataOp, OpResult, ReadResult, VersionResult } from "./node-messages.ts";

export const WRITE_FIELDS = 7;
export const READ_FIELDS = 5;
export const FOUND_FIELDS = 4;
export const ROW_FIELDS = 4;
export const WRITTEN_FIELDS = 3;
export const VALUES_FIELDS = 4;

type Field = number | string | WireValue | null;

/** Names of the compact lists of a request. */
export type CompactForm = Exclude<BatchRequest["form"], "ops">;

/** How a line's operations can be written; undefined: as they are. @param epoch That of the line. */
export function compactForm(ops: readonly DataOp[], epoch: number): CompactForm | undefined {
  const [first] = ops;
  if (first === undefined) return "reads";
  if (first.op === "read") return ops.every(isRead) ? "reads" : undefined;
  if (first.op !== "write") return undefined;
  for (const op of ops) if (!isPlainWrite(op, epoch)) return undefined;
  return "writes";
}

/** What reads found, as a list; undefined where one of them was refused, or found what was mended. */
export function foundFields(results: readonly OpResult[]): readonly Field[] | undefined {
  const fields: Field[] = [];
  for (const result of results) {
    if (result.status !== "ok" || !("version" in result) || "origin" in result) return undefined;
    const { version, value = null, operation = "" } = result as VersionResult & Partial<ReadResult>;
    fields.push(version[0], version[1], value, operation);
  }
  return fields;
}

/** The result of one of the reads of a line. */
export function foundAt(found: readonly unknown[], index: number, brief: boolean): ReadResult | VersionResult {
  const at = index * FOUND_FIELDS;
  const version = [found[at] as number, found[at + 1] as number] as const;
  if (brief) return { status: "ok", version };
  const value = found[at + 2] as WireValue | null;
  const operation = found[at + 3] as string;
  return operation === "" ? { status: "ok", version, value } : { status: "ok", version, value, operation };
}

/** The answers in a compact line of a coordinator, as they would be in lines of their own. */
export function answersIn({ written, values }: Readonly<Record<string, unknown>>): Record<string, unknown>[] {
  const answers: Record<string, unknown>[] = [];
  const puts = Array.isArray(written) ? (written as readonly number[]) : [];
  for (let at = 0; at < puts.length; at += WRITTEN_FIELDS)
    answers.push({ id: puts[at], status: "ok", version: format([puts[at + 1] as number, puts[at + 2] as number]) });
  const gets = Array.isArray(values) ? (values as readonly (number | WireValue)[]) : [];
  for (let at = 0; at < gets.length; at += VALUES_FIELDS) {
    const version = format([gets[at + 1] as number, gets[at + 2] as number]);
    answers.push({ id: gets[at], status: "ok", value: gets[at + 3], version });
  }
  return answers;
}

function isRead({ op }: DataOp): boolean {
  return op === "read";
}

function isPlainWrite(op: DataOp, epoch: number): boolean {
  return op.op === "write" && op.origin === undefined && op.version[0] === epoch;
}
