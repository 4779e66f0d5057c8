// Digest of a slot: two 32-bit lanes over (key, version), combined by XOR, so that it is kept up to date with every write and
// does not depend on the order of writes. Two replicas with equal digests hold the same keys at the same versions.
// Guards against differences by accident, not by an adversary.
import { hash32 } from "./hash.ts";
import type { Version } from "./version.ts";

export type Digest = readonly [lane0: number, lane1: number];

export const EMPTY_DIGEST: Digest = [0, 0];

const SEEDS = [0x48_4f_4c_44, 0x46_41_53_54] as const;

/** What one register adds to its slot's digest (and takes away again when it changes). */
export function entryDigest(key: string, version: Version): Digest {
  const text = `${version[0]}.${version[1]} ${key}`;
  return [hash32(text, SEEDS[0]), hash32(text, SEEDS[1])];
}

/** Adds an entry to a digest, or takes it away: XOR is its own inverse. */
export function toggle(digest: Digest, entry: Digest): Digest {
  return [(digest[0] ^ entry[0]) >>> 0, (digest[1] ^ entry[1]) >>> 0];
}

export function digestEqual(a: Digest, b: Digest): boolean {
  return a[0] === b[0] && a[1] === b[1];
}
