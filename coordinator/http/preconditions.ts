// Preconditions: If-Match and If-None-Match (RFC 9110, 13.1) as the conditions of the protocol. A version is the strong entity tag of its
// key, so a condition is checked and the write done in one step under the key's lock (C7), never by a read before it.
import type { IncomingHttpHeaders } from "node:http";
import { KvError } from "../../shared/errors.ts";
import { parsePair } from "../../shared/version.ts";

export function etagOf(version: string): string {
  return `"${version}"`;
}

/** What a PUT's headers ask for. @throws KvError BAD_REQUEST */
export function putCondition(headers: IncomingHttpHeaders): { ifVersion?: string; ifAbsent?: true } {
  const none = headers["if-none-match"];
  if (none === undefined) return deleteCondition(headers);
  if (headers["if-match"] !== undefined) throw bad("If-Match, If-None-Match: give one of them");
  if (none.trim() !== "*") throw bad("If-None-Match: only * can be asked of a write: store if the key is absent");
  return { ifAbsent: true };
}

/** What a DELETE's headers ask for. @throws KvError BAD_REQUEST */
export function deleteCondition(headers: IncomingHttpHeaders): { ifVersion?: string } {
  const match = headers["if-match"];
  if (headers["if-none-match"] !== undefined) throw bad("If-None-Match: has no meaning for a delete");
  if (match === undefined) return {};
  const version = /^"([^"]*)"$/.exec(match.trim())?.[1];
  if (version === undefined || parsePair(version) === undefined)
    throw bad('If-Match: expected one version in quotes as ETag gave it, such as "3.1042"');
  return { ifVersion: version };
}

/** Whether the client's copy of a value, named by If-None-Match on a read, is still the current one. */
export function isCurrent(headers: IncomingHttpHeaders, version: string): boolean {
  const tags = headers["if-none-match"];
  if (tags === undefined) return false;
  if (tags.trim() === "*") return true;
  return tags.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etagOf(version));
}

function bad(message: string): KvError {
  return new KvError("BAD_REQUEST", message);
}
