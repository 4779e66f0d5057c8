// What callers of the client may say, and its limits. Everything is checked before anything is sent; a mistake is
// BAD_REQUEST or TOO_LARGE with the limit in its message. Pure but for base64, which Buffer does.
import { KvError } from "../errors.ts";
import { DEADLINE_MS_MAX, KEY_BYTES_MAX, SCAN_LIMIT_MAX } from "../limits.ts";
import { LEVELS } from "../protocol/client-messages.ts";
import type { Level } from "../protocol/client-messages.ts";
import type { TlsMaterial } from "../io/sockets.ts";
import { isToken } from "../io/tokens.ts";
import type { WireValue } from "../record.ts";

export interface ConnectOptions {
  /** Time to find the leader, and the default deadline of each operation, in ms. 1–60 000, default 2 000. */
  readonly timeoutMs?: number | undefined;
  /** Default level of operations. Default `quorum`. */
  readonly consistency?: Level | undefined;
  /** Where the cluster asks for one: an admin's, or one that may only read. Default: none. */
  readonly token?: string | undefined;
  /** Speak TLS, with these PEM texts: the cluster's authority, and a certificate of it with its key. Default: plain TCP. */
  readonly tls?: TlsMaterial | undefined;
  /** Gives up connecting. */
  readonly signal?: AbortSignal | undefined;
}

export interface OperationOptions {
  readonly consistency?: Level | undefined;
  /** Time for the whole operation, retries included, in ms. 1–60 000. */
  readonly timeoutMs?: number | undefined;
  /** Stops waiting. Aborting does not undo: a write that was sent may still happen, and is reported as unknown. */
  readonly signal?: AbortSignal | undefined;
}

export interface DeleteOptions extends OperationOptions {
  /** Only if the current version is this one. Needs level quorum or all. */
  readonly ifVersion?: string | undefined;
}

export interface PutOptions extends DeleteOptions {
  /** Only if the key is absent. Needs level quorum or all. */
  readonly ifAbsent?: boolean | undefined;
}

export interface ScanOptions {
  /** Only keys that begin with this text. Default: all keys. */
  readonly prefix?: string | undefined;
  /** Keys fetched at a time. 1–1000, default 100. */
  readonly pageKeys?: number | undefined;
  /** Time for each page, in ms. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Beyond this a text that JSON escapes a lot is sent as base64 instead: a line has 64 KiB to spare around a value. */
const ESCAPES_MATTER_CHARS = 8 * 1024;
/** UTF-8 needs at most this many bytes for one UTF-16 unit. */
const BYTES_PER_UNIT_MAX = 3;

/** 1–1024 bytes of UTF-8. @throws KvError BAD_REQUEST, TOO_LARGE */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string") throw bad(`a key is a string, this is ${kindOf(key)}`);
  if (key === "") throw bad("a key has at least one character, this one is empty");
  checkText(key, "the key");
  if (key.length * BYTES_PER_UNIT_MAX <= KEY_BYTES_MAX) return;
  const bytes = Buffer.byteLength(key);
  if (bytes > KEY_BYTES_MAX) {
    throw new KvError(
      "TOO_LARGE",
      `the key has ${bytes} bytes of UTF-8, the limit is ${KEY_BYTES_MAX}; nothing was sent`,
    );
  }
}

/**
 * The value as it travels: text as a string (as base64 where JSON would blow it up), bytes as base64.
 * @param bytesMax Limit of the cluster.
 * @throws KvError BAD_REQUEST, TOO_LARGE
 */
export function wireValue(value: unknown, bytesMax: number): WireValue {
  if (value instanceof Uint8Array) {
    checkSize(value.byteLength, bytesMax);
    return { base64: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  }
  if (typeof value !== "string") throw bad(`a value is a string or a Uint8Array, this is ${kindOf(value)}`);
  checkText(value, "the value");
  if (value.length * BYTES_PER_UNIT_MAX > bytesMax) checkSize(Buffer.byteLength(value), bytesMax);
  return value.length > ESCAPES_MATTER_CHARS && escapesGrow(value)
    ? { base64: Buffer.from(value).toString("base64") }
    : value;
}

/** What an operation is asked with where nothing is said. */
export const NO_OPTIONS = {} as const;

/**
 * @param level Where the options name none.
 * @throws KvError BAD_REQUEST
 */
export function checkOptions(options: PutOptions, level?: Level): void {
  if (options === NO_OPTIONS) return;
  const { consistency = level, timeoutMs, ifVersion, ifAbsent } = options;
  if (consistency !== undefined && !LEVELS.includes(consistency)) {
    throw bad(`consistency is one of ${LEVELS.join(", ")}, this is ${JSON.stringify(consistency)}`);
  }
  checkTimeout(timeoutMs);
  if (ifVersion !== undefined && (typeof ifVersion !== "string" || ifVersion === "")) {
    throw bad("ifVersion is a version as put or get returned it, such as 3.1042");
  }
  const conditional = ifVersion !== undefined || ifAbsent === true;
  if (ifVersion !== undefined && ifAbsent === true) throw bad("ifVersion and ifAbsent exclude each other: give one");
  if (conditional && consistency === "one") throw bad("a condition needs consistency quorum or all, this is one");
}

/** @throws KvError BAD_REQUEST; its message never shows the token */
export function checkCredentials({ token, tls }: ConnectOptions): void {
  if (token !== undefined && !(typeof token === "string" && isToken(token)))
    throw bad("the token is not 16 to 256 printable characters without spaces");
  if (tls !== undefined && ![tls.ca, tls.cert, tls.key].every((pem) => typeof pem === "string" && pem !== ""))
    throw bad("tls needs ca, cert and key, each a PEM text");
}

/** @throws KvError BAD_REQUEST */
export function checkTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || (timeoutMs >= 1 && timeoutMs <= DEADLINE_MS_MAX)) return;
  throw bad(`timeoutMs is 1 to ${DEADLINE_MS_MAX}, this is ${String(timeoutMs)}`);
}

/** @throws KvError BAD_REQUEST */
export function checkScan({ prefix, pageKeys, timeoutMs }: ScanOptions): void {
  checkTimeout(timeoutMs);
  if (prefix !== undefined && prefix !== "") checkKey(prefix);
  if (pageKeys !== undefined && !(Number.isInteger(pageKeys) && pageKeys >= 1 && pageKeys <= SCAN_LIMIT_MAX)) {
    throw bad(`pageKeys is 1 to ${SCAN_LIMIT_MAX}, this is ${String(pageKeys)}`);
  }
}

function checkSize(bytes: number, bytesMax: number): void {
  if (bytes <= bytesMax) return;
  throw new KvError("TOO_LARGE", `the value has ${bytes} bytes, the limit is ${bytesMax}; nothing was sent`);
}

function checkText(text: string, what: string): void {
  // In every Node that runs this, though not yet in the ES2023 library types.
  if ((text as unknown as { isWellFormed(): boolean }).isWellFormed()) return;
  throw bad(`${what} holds an unpaired surrogate, which is no text: pass other bytes as a Uint8Array`);
}

/** Whether the JSON form is longer than the base64 form would be. */
function escapesGrow(text: string): boolean {
  return Buffer.byteLength(JSON.stringify(text)) > (Buffer.byteLength(text) * 4) / 3 + 16;
}

function kindOf(value: unknown): string {
  return value === null ? "null" : typeof value;
}

function bad(message: string): KvError {
  return new KvError("BAD_REQUEST", `${message}; nothing was sent`);
}
