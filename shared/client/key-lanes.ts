// Key lanes: one client's operations on one key take effect in the order in which they were issued. Pure.
//
// Operations on a key that are sent by one connection keep their order by themselves (the coordinator promises it), so they
// are pipelined; but for a write behind a read, since reads take no lock there (C3) and might see the later write. The order
// is in danger as well when one of them has to be sent again, or goes another way. Hence:
//   - a write waits until every earlier read is settled;
//   - an operation waits while an earlier one that it conflicts with is not sent, or went another way;
//   - it is sent again only when no later one that it conflicts with is still on its way;
//   - it is not sent again at all once a later one took effect: it has been overtaken, and fails with what refused it.
// Two reads never conflict.

interface Lane {
  readonly key: string;
  readonly places: Place[];
}

export class KeyLanes {
  readonly #lanes = new Map<string, Lane>();

  /** Takes a place behind everything issued on the key before. The caller must `leave` it. */
  enter(key: string, options: { readonly writes: boolean }): Place {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = { key, places: [] };
      this.#lanes.set(key, lane);
    }
    const place = new Place(lane, options.writes, this.#forget);
    lane.places.push(place);
    return place;
  }

  /** Keys with operations under way. */
  get size(): number {
    return this.#lanes.size;
  }

  readonly #forget = (lane: Lane): void => {
    this.#lanes.delete(lane.key);
  };
}

/** One operation's place in the lane of its key. */
export class Place {
  readonly #lane: Lane;
  readonly #writes: boolean;
  readonly #forget: (lane: Lane) => void;
  /** The connection it was sent by; null while it is not on its way. */
  #via: object | null = null;
  #overtaken = false;
  #wake: (() => void) | null = null;

  constructor(lane: Lane, writes: boolean, forget: (lane: Lane) => void) {
    this.#lane = lane;
    this.#writes = writes;
    this.#forget = forget;
  }

  /** Whether a later operation took effect, so that sending this one again would reverse them. */
  get overtaken(): boolean {
    return this.#overtaken;
  }

  /** Whether it may be sent by this connection now. */
  maySend(via: object): boolean {
    let earlier = true;
    for (const other of this.#lane.places) {
      if (other === this) earlier = false;
      else if (this.#conflicts(other) && (earlier ? this.#mustFollow(other, via) : other.#via !== null)) return false;
    }
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
    const { places } = this.#lane;
    const index = places.indexOf(this);
    if (outcome === "effect") {
      for (const earlier of places.slice(0, index)) if (this.#conflicts(earlier)) earlier.#overtaken = true;
    }
    places.splice(index, 1);
    if (places.length === 0) this.#forget(this.#lane);
    else this.#wakeNext();
  }

  /** Calls back once when it is worth asking `maySend` again. Returns its cancel. */
  onChange(callback: () => void): () => void {
    this.#wake = callback;
    return () => {
      if (this.#wake === callback) this.#wake = null;
    };
  }

  /** Whether sending it now, by this connection, might bring it before an earlier one that it conflicts with. */
  #mustFollow(earlier: Place, via: object): boolean {
    return !earlier.#writes || earlier.#via !== via;
  }

  #conflicts(other: Place): boolean {
    return this.#writes || other.#writes;
  }

  /** Only the first in line is woken: as long as it cannot go, none behind it that waits can either. */
  #wakeNext(): void {
    const next = this.#lane.places.find((place) => place.#wake !== null);
    if (next === undefined) return;
    const wake = next.#wake;
    next.#wake = null;
    wake?.();
  }
}
