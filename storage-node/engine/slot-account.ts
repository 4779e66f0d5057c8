// What a slot holds, in four numbers and a digest, kept up to date with every change instead of being counted again. Both
// engines use it, so that two replicas on different engines agree. A tombstone at or below the slot's purged version is
// left out of the digest (replicas forget it at different moments, N9) but still counted as a tombstone.
import { EMPTY_DIGEST, entryDigest, toggle } from "../../shared/digest.ts";
import type { Digest } from "../../shared/digest.ts";
import { utf8Bytes, valueBytes } from "../../shared/record.ts";
import type { StoredRecord } from "../../shared/record.ts";
import { compare } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import type { SlotSummary } from "./engine.ts";

/** The parts of a record that a summary depends on. */
export interface Counted {
  readonly version: Version;
  readonly live: boolean;
  /** Key and value bytes. */
  readonly bytes: number;
}

/** A summary that is added to and taken from. */
export interface SlotAccount {
  digest: Digest;
  keys: number;
  tombstones: number;
  bytes: number;
}

export function emptyAccount(): SlotAccount {
  return { digest: EMPTY_DIGEST, keys: 0, tombstones: 0, bytes: 0 };
}

/** What a record adds to its slot's account. */
export function counted(key: string, record: StoredRecord): Counted {
  const live = record.value !== null;
  return { version: record.version, live, bytes: live ? utf8Bytes(key) + valueBytes(record.value) : 0 };
}

/** Adds a register (`sign` 1) or takes it away (`sign` -1). @param purged The slot's purged version at that moment. */
export function count(account: SlotAccount, key: string, entry: Counted, purged: Version, sign: 1 | -1): void {
  if (entry.live) account.keys += sign;
  else account.tombstones += sign;
  account.bytes += sign * entry.bytes;
  if (inDigest(entry, purged)) account.digest = toggle(account.digest, entryDigest(key, entry.version));
}

/** Whether a register takes part in the digest. */
export function inDigest(entry: Counted, purged: Version): boolean {
  return entry.live || compare(entry.version, purged) > 0;
}

export function summaryOf(account: SlotAccount): SlotSummary {
  return { digest: account.digest, keys: account.keys, tombstones: account.tombstones, bytes: account.bytes };
}
