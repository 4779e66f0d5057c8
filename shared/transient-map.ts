// Transient map: a Map for entries that come and go all the time, such as what is under way.
//
// V8 links the table of a Map that was rehashed to its successor. In a Map that lives long, with an insertion and a deletion an
// operation, the dead tables form a chain that reaches from the old space into the new: scavenges promote everything that ever was in it
// (seen in a storage node: 4 of every 11 MB, and scavenges of 8 ms instead of 1). So entries go into a young Map, which becomes the old
// one after some insertions, and the old one is dropped; the few entries that are still in it by then move on.

/** Insertions after which the Maps turn over, where nothing else was asked for. */
const TURN_OVER = 256;

export class TransientMap<Key, Value> {
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();
  #inserted = 0;
  readonly #turnOver: number;

  /** @param turnOver Insertions after which the Maps turn over: fewer than come between two garbage collections or so. */
  constructor(turnOver: number = TURN_OVER) {
    this.#turnOver = turnOver;
  }

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
    // Never for fewer insertions than there are entries to move on.
    if (++this.#inserted >= this.#turnOver && this.#inserted >= this.size) this.#turn();
  }

  delete(key: Key): boolean {
    return this.#young.delete(key) || this.#old.delete(key);
  }

  /** Older entries first, but not in the order of their insertion throughout. */
  *values(): Generator<Value, void, undefined> {
    for (const [, value] of this.entries()) yield value;
  }

  /** In the order of `values`. */
  *entries(): Generator<[Key, Value], void, undefined> {
    yield* this.#old.entries();
    yield* this.#young.entries();
  }

  #turn(): void {
    const left = this.#old;
    this.#old = this.#young;
    this.#young = new Map(left);
    this.#inserted = 0;
  }
}
