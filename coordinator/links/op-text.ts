// Texts of operations in compact lines (shared/protocol/compact.ts), put together field by field. Pure.
import { escaped } from "../../shared/json-text.ts";
import type { ReadOp, WriteOp } from "../../shared/protocol/node-messages.ts";

/** The fields of a read, as they stand in the list. */
export function readText({ slot, stamp, key, brief }: ReadOp): string {
  return `${slot},${stamp[0]},${stamp[1]},"${escaped(key)}",${brief === true ? 1 : 0}`;
}

/** The fields of a plain write. */
export function writeText({ slot, stamp, version, key, value, operation }: WriteOp): string {
  const begin = `${slot},${stamp[0]},${stamp[1]},${version[1]},"${escaped(key)}",`;
  const end = operation === undefined ? ',""' : `,"${escaped(operation)}"`;
  if (typeof value === "string") return `${begin}"${escaped(value)}"${end}`;
  return `${begin}${JSON.stringify(value)}${end}`;
}
