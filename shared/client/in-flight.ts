// Calls in flight, by their ids. These are given one after the other, and nearly all calls are settled before many others are made: so a
// call lies in a ring, at the place that its id says. One that is still there when its place is wanted again is kept in a Map.
// (Three lookups in a Map were a tenth of the time of a client that writes as fast as it can.)

/** A power of two: about as many calls as a session has in flight at most. */
const PLACES = 4_096;
const MASK = PLACES - 1;

interface Numbered {
  readonly id: number;
}

export class InFlight<Call extends Numbered> {
  readonly #ring: (Call | undefined)[] = Array.from({ length: PLACES }, () => undefined);
  readonly #late = new Map<number, Call>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Takes in a call whose id was not seen before. */
  add(call: Call): void {
    const place = call.id & MASK;
    const late = this.#ring[place];
    if (late !== undefined) this.#late.set(late.id, late);
    this.#ring[place] = call;
    this.#size++;
  }

  get(id: number): Call | undefined {
    const call = this.#ring[id & MASK];
    return call?.id === id ? call : this.#late.get(id);
  }

  /** Takes a call out, if it is there. */
  remove({ id }: Call): void {
    const place = id & MASK;
    if (this.#ring[place]?.id === id) this.#ring[place] = undefined;
    else if (!this.#late.delete(id)) return;
    this.#size--;
  }

  /** In the order of their ids. */
  all(): Call[] {
    const calls = [...this.#late.values(), ...this.#ring.filter((call) => call !== undefined)];
    return calls.sort((a, b) => a.id - b.id);
  }
}
