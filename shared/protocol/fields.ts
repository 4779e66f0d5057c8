// Fields of an untrusted message, checked once at the border; inside, types are true. Every reader names the field and what was
// expected, so that a person at `nc` sees what was wrong.
import { KvError } from "../errors.ts";
import { isNodeId, type NodeId } from "../ids.ts";
import { EPOCH_MAX, KEY_BYTES_MAX, SEQ_MAX, SLOTS } from "../limits.ts";
import { isWireValue, utf8Bytes, valueBytes, type WireValue } from "../record.ts";
import type { Pair } from "../version.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** A message while it is put together: optional fields are set where they were given, which costs less than spreading them. */
export type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** @throws KvError BAD_REQUEST always */
export function malformed(field: string, expected: string): never {
  throw new KvError("BAD_REQUEST", `${field}: expected ${expected}`);
}

export function text(fields: Fields, name: string, charsMax = 1024): string {
  const value = fields[name];
  if (typeof value !== "string" || value.length > charsMax)
    malformed(name, `a string of at most ${charsMax} characters`);
  return value;
}

export function integer(fields: Fields, name: string, min: number, max: number): number {
  const value = fields[name];
  if (!isInteger(value, min, max)) malformed(name, `an integer ${min}–${max}`);
  return value;
}

export function isInteger(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
}

export function flag(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (value === undefined) return false;
  if (typeof value !== "boolean") malformed(name, "true or false");
  return value;
}

/** Reads a field with `read` where it is there. */
export function optional<T>(fields: Fields, name: string, read: (fields: Fields, name: string) => T): T | undefined {
  return fields[name] === undefined ? undefined : read(fields, name);
}

export function object(value: unknown, name: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) malformed(name, "an object");
  return value as Fields;
}

/** A list, each item read by `read`; what an item is refused with names its position. */
export function list<T>(fields: Fields, name: string, lengthMax: number, read: (item: unknown) => T): T[] {
  const value = fields[name];
  if (!Array.isArray(value) || value.length > lengthMax) malformed(name, `a list of at most ${lengthMax}`);
  const items = value as unknown[];
  const found: T[] = [];
  try {
    for (const item of items) found.push(read(item));
  } catch (error) {
    throw error instanceof KvError ? positioned(error, `${name}[${found.length}]`) : error;
  }
  return found;
}

/** The name of an item is made only when it is refused: lists are on the path of every operation. */
export function positioned({ code, message, details }: KvError, where: string): KvError {
  return new KvError(code, message.startsWith(":") ? `${where}${message}` : `${where}.${message}`, details);
}

/** @param name Empty for an item of a list. */
export function pair(value: unknown, name = ""): Pair {
  if (!Array.isArray(value) || value.length !== 2) malformed(name, "a pair [epoch, n]");
  if (!isInteger(value[0], 0, EPOCH_MAX) || !isInteger(value[1], 0, SEQ_MAX)) malformed(name, "a pair [epoch, n]");
  return value as unknown as Pair;
}

/** @param name Empty for an item of a list. */
export function slot(value: unknown, name = ""): number {
  if (!isInteger(value, 0, SLOTS - 1)) malformed(name, `a slot 0–${SLOTS - 1}`);
  return value;
}

/** Slots without repetition. */
export function slots(fields: Fields, name = "slots"): number[] {
  const found = list(fields, name, SLOTS, (item) => slot(item));
  if (new Set(found).size !== found.length) malformed(name, "slots without repetition");
  return found;
}

/**
 * A key within the limits.
 * @throws KvError BAD_REQUEST, TOO_LARGE
 */
export function key(fields: Fields, name = "key"): string {
  return keyIn(fields[name], name);
}

/** As `key`, of a field that the caller has read. @param name For the message. */
export function keyIn(value: unknown, name: string): string {
  if (typeof value !== "string" || value.length === 0) malformed(name, `1–${KEY_BYTES_MAX} bytes of UTF-8`);
  // A code unit is at most three bytes: short keys need no encoding to know that they fit.
  if (value.length * 3 > KEY_BYTES_MAX && utf8Bytes(value) > KEY_BYTES_MAX) {
    throw new KvError(
      "TOO_LARGE",
      `${name}: ${utf8Bytes(value)} bytes, the limit is ${KEY_BYTES_MAX}: use a shorter key`,
    );
  }
  return value;
}

/**
 * A value within the limit.
 * @throws KvError BAD_REQUEST, TOO_LARGE
 */
export function value(fields: Fields, bytesMax: number, name = "value"): WireValue {
  return valueIn(fields[name], bytesMax, name);
}

/** As `value`, of a field that the caller has read. @param name For the message. */
export function valueIn(found: unknown, bytesMax: number, name: string): WireValue {
  if (!isWireValue(found)) malformed(name, `a string, or {"base64": "…"} with padding`);
  const shortEnough = typeof found === "string" && found.length * 3 <= bytesMax;
  if (!shortEnough && valueBytes(found) > bytesMax) {
    throw new KvError(
      "TOO_LARGE",
      `${name}: ${valueBytes(found)} bytes, the limit is ${bytesMax}: split it, or start the cluster with a larger --max-value (at most 4 MiB)`,
    );
  }
  return found;
}

export function nodeId(fields: Fields, name: string): NodeId {
  const value = fields[name];
  if (!isNodeId(value)) malformed(name, "1–64 letters, digits, '.', '_' or '-', beginning with a letter or digit");
  return value;
}

/** `host:port` with a port 1–65535. */
export function address(fields: Fields, name: string): string {
  const value = text(fields, name, 300);
  const match = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:[\]]+):(\d{1,5})$/.exec(value);
  if (!match || Number(match[1]) < 1 || Number(match[1]) > 65_535) malformed(name, "host:port, such as 127.0.0.1:5001");
  return value;
}
