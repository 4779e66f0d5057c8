// Doorkeeper: lets a key into the read cache when it is found for the second time lately. What is read once, among far more keys than
// the cache holds, neither drives out what is read again nor costs the work of keeping it. Keys that were chosen to share a place only
// keep each other out.
// Einziger, Friedman, Manes 2017, "TinyLFU: A Highly Efficient Cache Admission Policy".
import { fnv1a } from "../../shared/fnv.ts";

export class Doorkeeper {
  /** The latest key at each place, by its hash; zero where there was none. */
  readonly #hashes: Uint32Array;

  /** @param keys How many keys it remembers about. */
  constructor(keys: number) {
    this.#hashes = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(1, keys))));
  }

  /** Whether the key has come before, and not many others since. */
  admits(key: string): boolean {
    const hash = fnv1a(key, 0);
    const place = hash & (this.#hashes.length - 1);
    const known = this.#hashes[place] === hash;
    this.#hashes[place] = hash;
    return known;
  }
}
