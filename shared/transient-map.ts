// Transient map: a Map for entries that come and go all the time, such as what is under way.
//
// V8 links the table of a Map that was rehashed to its successor. In a Map that lives long, with an insertion and a deletion an
// operation, the dead tables form a chain that reaches from the old space into the new: scavenges promote everything that ever was in it
// (seen in a storage node: 4 of every 11 MB, and scavenges of 8 ms instead of 1). So entries go into a young Map, which becomes the old
// one after some insertions, and the old one is dropped; the few entries that are still in it by then move on.

/** Insertions after which the Maps turn over. */
const TURN_OVER = 4096;

export class TransientMap<Key, Value> {
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();
  #inserted = 0;

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: Key): Value | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  has(key: Key): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  set(key: Key, value: Value): void {
    if (this.#old.size > 0 && this.#old.has(key)) {
      this.#old.set(key, value);
      return;
    }
    this.#young.set(key, value);
    if (++this.#inserted >= TURN_OVER) this.#turnOver();
  }

  delete(key: Key): boolean {
    return this.#young.delete(key) || this.#old.delete(key);
  }

  /** Older entries first, but not in the order of their insertion throughout. */
  *values(): Generator<Value, void, undefined> {
    yield* this.#old.values();
    yield* this.#young.values();
  }

  #turnOver(): void {
    const left = this.#old;
    this.#old = this.#young;
    this.#young = new Map(left);
    this.#inserted = 0;
  }
}
