// Key lanes: one client's operations on one key take effect in the order in which they were issued. Pure.
//
// Operations on a key that are sent by one connection keep their order by themselves (the coordinator promises it), so they
// are pipelined. The order is in danger when one of them has to be sent again, or goes another way. Hence:
//   - an operation waits while an earlier one that it conflicts with is not sent, or went another way;
//   - it is sent again only when no later one that it conflicts with is still on its way;
//   - it is not sent again at all once a later one took effect: it has been overtaken, and fails with what refused it.
// Two reads never conflict.
//
// A lane is a chain of places from the first to the last, and the map knows the last one: an operation that is alone on its key,
// as most are, costs nothing but its place.
import { TransientMap } from "../transient-map.ts";

export class KeyLanes {
  /** The last place of each key with operations under way. */
  readonly #last = new TransientMap<string, Place>();

  /** Takes a place behind everything issued on the key before. The caller must `leave` it. */
  enter(key: string, { writes }: { readonly writes: boolean }): Place {
    const place = new Place(this.#last, key, writes);
    this.#last.set(key, place);
    return place;
  }

  /** Keys with operations under way. */
  get size(): number {
    return this.#last.size;
  }
}

/** One operation's place in the lane of its key. */
export class Place {
  readonly #lanes: TransientMap<string, Place>;
  readonly #key: string;
  readonly #writes: boolean;
  #earlier: Place | null;
  #later: Place | null = null;
  /** The connection it was sent by; null while it is not on its way. */
  #via: object | null = null;
  #overtaken = false;
  #wake: (() => void) | null = null;

  /** Use `KeyLanes.enter`. @param lanes The last place of each key. */
  constructor(lanes: TransientMap<string, Place>, key: string, writes: boolean) {
    this.#lanes = lanes;
    this.#key = key;
    this.#writes = writes;
    this.#earlier = lanes.get(key) ?? null;
    if (this.#earlier !== null) this.#earlier.#later = this;
  }

  /** Whether a later operation took effect, so that sending this one again would reverse them. */
  get overtaken(): boolean {
    return this.#overtaken;
  }

  /** Whether it may be sent by this connection now. */
  maySend(via: object): boolean {
    for (let other = this.#earlier; other !== null; other = other.#earlier)
      if (this.#conflicts(other) && other.#via !== via) return false;
    for (let other = this.#later; other !== null; other = other.#later)
      if (this.#conflicts(other) && other.#via !== null) return false;
    return true;
  }

  /** It is on its way by this connection. */
  sent(via: object): void {
    this.#via = via;
    this.#wakeNext();
  }

  /** It came back without an answer that settles it, and may be sent again. */
  returned(): void {
    this.#via = null;
    this.#wakeNext();
  }

  /** It is settled. @param outcome `effect`: answered, or perhaps done; `none`: it certainly did nothing. */
  leave(outcome: "effect" | "none"): void {
    if (outcome === "effect") {
      for (let earlier = this.#earlier; earlier !== null; earlier = earlier.#earlier)
        if (this.#conflicts(earlier)) earlier.#overtaken = true;
    }
    const neighbour = this.#earlier ?? this.#later;
    if (this.#earlier !== null) this.#earlier.#later = this.#later;
    if (this.#later !== null) this.#later.#earlier = this.#earlier;
    else if (this.#earlier !== null) this.#lanes.set(this.#key, this.#earlier);
    else this.#lanes.delete(this.#key);
    if (neighbour !== null) neighbour.#wakeNext();
  }

  /** Calls back once when it is worth asking `maySend` again. Returns its cancel. */
  onChange(callback: () => void): () => void {
    this.#wake = callback;
    return () => {
      if (this.#wake === callback) this.#wake = null;
    };
  }

  #conflicts(other: Place): boolean {
    return this.#writes || other.#writes;
  }

  /** Only the first in line is woken: as long as it cannot go, none behind it that waits can either. */
  #wakeNext(): void {
    if (this.#earlier === null && this.#later === null) this.#wakeUp();
    else Place.#wakeFirst(this);
  }

  static #wakeFirst(anyInLine: Place): void {
    let first = anyInLine;
    while (first.#earlier !== null) first = first.#earlier;
    for (let place: Place | null = first; place !== null; place = place.#later)
      if (place.#wake !== null) return place.#wakeUp();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}
