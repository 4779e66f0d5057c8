// Ceilings: for each slot a version that no register of it in the table is above. Versions grow from write to write (C2), so that nearly
// every write is above the ceiling of its slot, and newer than whatever the table holds under its key: nobody has to look, which for a
// key that was not written lately is the larger part of what a write costs.
import { SLOTS } from "../../shared/limits.ts";
import { compare, ZERO, type Version } from "../../shared/version.ts";

export class Ceilings {
  readonly #versions: Version[];

  /** @param newest No register in the table is above it */
  constructor(newest: Version) {
    this.#versions = Array.from({ length: SLOTS }, () => newest);
  }

  /** A register of that version goes into the table. */
  raise(slot: number, version: Version): void {
    if (!this.below(slot, version)) return;
    this.#versions[slot] = version;
  }

  /** Whether every register of the slot in the table is below a version; false: it cannot be told. */
  below(slot: number, version: Version): boolean {
    return compare(this.#versions[slot] ?? version, version) < 0;
  }

  /** No register in the table is above it. */
  get newest(): Version {
    return this.#versions.reduce((high, version) => (compare(version, high) > 0 ? version : high), ZERO);
  }
}
