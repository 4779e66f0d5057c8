// A record is what a register holds: a value or a tombstone, with its version, its origin and the id of the operation that
// wrote it. Values are bytes for users; inside, they stay in the form in which they travel until the engine encodes them.
import type { Version } from "./version.ts";

/** A value as it travels: text as a JSON string, other bytes as base64. */
export type WireValue = string | { readonly base64: string };

/** Contents of one register. `value` null: a tombstone (a delete, written like a value). */
export interface StoredRecord {
  readonly version: Version;
  /** Version of the client's write that produced the value: repairs change the version, never the origin. */
  readonly origin: Version;
  readonly value: WireValue | null;
  /** Id of the client's operation (C8); empty when none was given. */
  readonly operation: string;
}

/** The origin of what travels: it is left out where it equals the version. */
export function originOf({ version, origin }: { readonly version: Version; readonly origin?: Version }): Version {
  return origin ?? version;
}

/** A cheap upper estimate of what a value adds to a line or a log: code units of its travelling form. */
export function valueWeight(value: WireValue | null): number {
  if (value === null) return 0;
  return typeof value === "string" ? value.length : value.base64.length;
}

const encoder = new TextEncoder();

/** Bytes of the value as users see it. */
export function valueBytes(value: WireValue): number {
  if (typeof value !== "string") {
    const { base64 } = value;
    const padding = base64.endsWith("==") ? 2 : base64.endsWith("=") ? 1 : 0;
    return (base64.length / 4) * 3 - padding;
  }
  return utf8Bytes(value);
}

/** UTF-8 length of a text. */
export function utf8Bytes(text: string): number {
  return encoder.encode(text).length;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Whether an untrusted value is a travelling value: a string, or `{base64}` in the standard alphabet with padding. */
export function isWireValue(value: unknown): value is WireValue {
  if (typeof value === "string") return true;
  if (typeof value !== "object" || value === null) return false;
  const { base64 } = value as { base64?: unknown };
  return typeof base64 === "string" && BASE64.test(base64);
}
