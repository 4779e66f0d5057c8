// What a slot holds, in three numbers and a digest, kept up to date with every change instead of being counted again. Both
// engines use it, so that two replicas on different engines agree. A tombstone at or below the slot's purged version is
// left out of the digest (replicas forget it at different moments, N9) but still counted as a tombstone. Whether it was is
// decided once, when it is counted: the purged version only grows, and growing it removes the tombstones it passes.
import { EMPTY_DIGEST, entryDigest, toggle } from "../../shared/digest.ts";
import type { Digest } from "../../shared/digest.ts";
import { utf8Bytes, valueBytes } from "../../shared/record.ts";
import type { StoredRecord } from "../../shared/record.ts";
import { compare } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import type { SlotSummary } from "./engine.ts";

/** What one register adds to its slot's account. */
export interface Counted {
  readonly live: boolean;
  /** Key and value bytes; 0 for a tombstone. */
  readonly bytes: number;
  /** Undefined where the register is left out of the digest. */
  readonly digest: Digest | undefined;
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

/** What a register adds. @param purged The slot's purged version. */
export function counted(key: string, record: StoredRecord, purged: Version): Counted {
  const { value, version } = record;
  const digest = value !== null || compare(version, purged) > 0 ? entryDigest(key, version) : undefined;
  if (value === null) return { live: false, bytes: 0, digest };
  return { live: true, bytes: utf8Bytes(key) + valueBytes(value), digest };
}

/** Adds a register (`sign` 1) or takes it away (`sign` -1). */
export function count(account: SlotAccount, entry: Counted, sign: 1 | -1): void {
  if (entry.live) account.keys += sign;
  else account.tombstones += sign;
  account.bytes += sign * entry.bytes;
  if (entry.digest) account.digest = toggle(account.digest, entry.digest);
}

export function summaryOf(account: SlotAccount): SlotSummary {
  return { digest: account.digest, keys: account.keys, tombstones: account.tombstones, bytes: account.bytes };
}
