// Tokens: shared secrets that open the ports of a cluster. Compared by digest and in constant time, all of them each time, so that how long
// a refusal takes says nothing. A file may hold several, one a line: the first is the one that its process presents, all are accepted,
// which is how a token is replaced while the cluster runs. A token is never part of a message, a log line or a command line.
import { createHash, timingSafeEqual } from "node:crypto";
import type { Role } from "../access.ts";

/** Shorter ones can be guessed. */
const TOKEN_CHARS_MIN = 16;
const TOKEN_CHARS_MAX = 256;
const TOKENS_MAX = 16;

/**
 * The tokens in a text, one a line; blank lines and those that begin with `#` are left out.
 * @param where What the text is called when it is refused: a file, a variable. The text itself is never shown.
 * @throws Error that says what to do
 */
export function parseTokens(text: string, where: string): string[] {
  const lines = text.split("\n").map((line) => line.trim());
  const tokens = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (tokens.length === 0) throw new Error(`${where} holds no token; make one with: openssl rand -hex 32`);
  if (tokens.length > TOKENS_MAX) throw new Error(`${where} holds more than ${TOKENS_MAX} tokens; remove old ones`);
  for (const token of tokens) {
    if (isToken(token)) continue;
    const form = `${TOKEN_CHARS_MIN} to ${TOKEN_CHARS_MAX} printable characters without spaces`;
    throw new Error(`${where} holds a token that is not ${form}; make one with: openssl rand -hex 32`);
  }
  return tokens;
}

/** Whether a text has the form of a token. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text) && text.length >= TOKEN_CHARS_MIN && text.length <= TOKEN_CHARS_MAX;
}

/** The tokens that a server accepts. */
export class KeyRing {
  readonly #keys: readonly { readonly digest: Buffer; readonly role: Role }[];

  /** A token in both lists is an admin's. */
  constructor(tokens: { readonly admin: readonly string[]; readonly read: readonly string[] }) {
    const admin = tokens.admin.map((token) => ({ digest: digestOf(token), role: "admin" as const }));
    const read = tokens.read.map((token) => ({ digest: digestOf(token), role: "read" as const }));
    this.#keys = [...read, ...admin];
  }

  /** The role of whoever presents this; undefined for what is no token of ours. */
  roleOf(presented: unknown): Role | undefined {
    if (typeof presented !== "string") return undefined;
    const digest = digestOf(presented);
    let role: Role | undefined;
    for (const key of this.#keys) if (timingSafeEqual(key.digest, digest)) role = key.role;
    return role;
  }
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
