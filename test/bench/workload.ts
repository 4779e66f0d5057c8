// Workloads: what is asked of a store, how much at a time, and of which keys. Pure data and seeded choices, so that every
// system of a round is asked the same.
import { seededRandom } from "../support/random.ts";

/**
 * `put` and `get` alone, or a mix with this share of gets (YCSB A: 0.5, B: 0.95); `replace`: a put under the version just read;
 * `churn`: puts, and a fifth deletes.
 */
export type Work = "put" | "get" | "mixed-95" | "mixed-50" | "replace" | "churn";

export interface Workload {
  readonly name: string;
  readonly work: Work;
  /** Operations under way at a time. */
  readonly inFlight: number;
  /** Operations that one caller issues together and awaits together. Divides `inFlight`. */
  readonly together: number;
  readonly level: "one" | "quorum";
  readonly keys: number;
  readonly valueBytes: number;
  /** Values are of any size from here to `valueBytes`; without it all are as large. */
  readonly valueBytesMin?: number;
  /** `distinct`: every put writes a key that was never written. */
  readonly choice: "uniform" | "zipf" | "distinct";
}

export const KEYS = 100_000;
export const VALUE_BYTES = 100;
/** Of the Zipf choice, as in YCSB. */
const SKEW = 0.99;

const PLAIN = { together: 1, level: "quorum", keys: KEYS, valueBytes: VALUE_BYTES, choice: "uniform" } as const;

/** A workload with everything usual but this. */
export function workload(name: string, work: Work, inFlight: number, other: Partial<Workload> = {}): Workload {
  return { ...PLAIN, name, work, inFlight, ...other };
}

/** What etcd's own load tool asks of it. */
export const LIKE_ETCD_TOOL = workload("put 1 KB, 500 in flight", "put", 500, { valueBytes: 1_024 });

export const MAIN: readonly Workload[] = [
  workload("put, 1 in flight", "put", 1),
  workload("put, 64 in flight", "put", 64),
  workload("put, 256 in flight", "put", 256),
  workload("put, 1024 in flight", "put", 1024),
  workload("put, 64 callers × 16", "put", 1024, { together: 16 }),
  workload("get, 1 in flight", "get", 1),
  workload("get, 64 in flight", "get", 64),
  workload("get, 256 in flight", "get", 256),
  workload("get, 1024 in flight", "get", 1024),
  workload("mixed 95/5 Zipf, 64 in flight", "mixed-95", 64, { choice: "zipf" }),
  workload("mixed 50/50 Zipf, 64 in flight", "mixed-50", 64, { choice: "zipf" }),
  LIKE_ETCD_TOOL,
];

/** Last of all: they keep a store busy with checkpoints for a while after. */
export const LARGE: readonly Workload[] = [
  workload("put 64 KB, 64 in flight", "put", 64, { valueBytes: 65_536, keys: 1_000 }),
  workload("get 64 KB, 64 in flight", "get", 64, { valueBytes: 65_536, keys: 1_000 }),
];

/** What only this store is asked: a level or a condition that the peers do not have, or a comparison with itself. */
export const OURS: readonly Workload[] = [
  workload("put at one, 64 in flight", "put", 64, { level: "one" }),
  workload("get at one, 64 in flight", "get", 64, { level: "one" }),
  workload("replace (read, conditional put), 64 in flight", "replace", 64),
];

/** Keys that were never written, which a store has to make room for, beside such as it has. */
export const DISTINCT = workload("put of distinct keys, 256 in flight", "put", 256, { choice: "distinct" });
export const REPEATING = workload("repeating keys", "put", 256);

/** The key of a number; all of one length. */
export function keyOf(number: number): string {
  return `key:${String(number).padStart(9, "0")}`;
}

export function valueOf(bytes: number): string {
  return "v".repeat(bytes);
}

/** Chooses the keys of one run. Distinct keys go on from run to run where the seed grows. */
export function keyChooser({ choice, keys }: Workload, seed: number): () => string {
  const random = seededRandom(seed);
  if (choice === "uniform") return () => keyOf(Math.floor(random() * keys));
  if (choice === "zipf") return zipf(keys, random);
  let next = keys + seed * 10_000_000;
  return () => keyOf(next++);
}

/** Gray et al. 1994, "Quickly Generating Billion-Record Synthetic Databases"; ranks scattered over the keys. */
function zipf(keys: number, random: () => number): () => string {
  const zeta = (count: number): number => {
    let sum = 0;
    for (let rank = 1; rank <= count; rank++) sum += 1 / rank ** SKEW;
    return sum;
  };
  const total = zeta(keys);
  const eta = (1 - (2 / keys) ** (1 - SKEW)) / (1 - zeta(2) / total);
  return () => {
    const uniform = random();
    const scaled = uniform * total;
    const rank =
      scaled < 1 ? 0 : scaled < 1 + 0.5 ** SKEW ? 1 : Math.floor(keys * (eta * uniform - eta + 1) ** (1 / (1 - SKEW)));
    return keyOf((rank * 7_919) % keys);
  };
}
