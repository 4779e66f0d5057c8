// Outcome table: what became of operations, by their ids, in flat arrays. There are up to fifty thousand of them at any time: as
// strings in a Map they took a tenth of the coordinator's time, most of it to copy and mark them in garbage collections. A
// hash table with linear probing leads from an id to its entry; nothing is ever taken out of it but everything. Who asks brings the
// hash of the id, 32 bits, so that it is made once for several tables. Pure.

const ENTRIES_FIRST = 256;
const UNITS_PER_ENTRY = 24;

export class OutcomeTable {
  /** Entries, those that were forgotten included. */
  size = 0;
  /** `[hash, entry + 1]…`, side by side as both are looked at; 0 in the second: free. At least twice as many as entries. */
  #places = new Uint32Array(4 * ENTRIES_FIRST);
  /** Where the id of each entry ends in `#units`; it begins where the one before ends. */
  #ends = new Uint32Array(ENTRIES_FIRST);
  #outcomes = new Float64Array(ENTRIES_FIRST);
  /** UTF-16 of the ids, one after the other. */
  #units = new Uint16Array(ENTRIES_FIRST * UNITS_PER_ENTRY);

  /** The entry of an operation; -1: it has none. */
  find(operation: string, hash: number): number {
    for (let place = this.#home(hash); ; place = this.#next(place)) {
      const entry = (this.#places[place + 1] as number) - 1;
      if (entry < 0) return -1;
      if (this.#places[place] === hash && this.#isOf(entry, operation)) return entry;
    }
  }

  /** `find`, for whoever was told where the entry was: it still is, unless everything was taken out. */
  findAt(entry: number, operation: string): number {
    return entry < this.size && this.#isOf(entry, operation) ? entry : -1;
  }

  /** Takes in an operation that has no entry. */
  add(operation: string, hash: number, outcome: number): void {
    const begin = this.#beginOf(this.size);
    const end = begin + operation.length;
    if (this.size === this.#ends.length) this.#makeRoom();
    if (end > this.#units.length) this.#makeRoomForIds(end);
    const entry = this.size++;
    for (let index = 0; index < operation.length; index++) this.#units[begin + index] = operation.charCodeAt(index);
    this.#ends[entry] = end;
    this.#outcomes[entry] = outcome;
    this.#enter(entry, hash);
  }

  outcomeOf(entry: number): number {
    return this.#outcomes[entry] as number;
  }

  put(entry: number, outcome: number): void {
    this.#outcomes[entry] = outcome;
  }

  idOf(entry: number): string {
    return String.fromCharCode(...this.#units.subarray(this.#beginOf(entry), this.#ends[entry]));
  }

  /** Forgets everything, and keeps its room. */
  clear(): void {
    this.size = 0;
    this.#places.fill(0);
  }

  #beginOf(entry: number): number {
    return entry === 0 ? 0 : (this.#ends[entry - 1] as number);
  }

  #isOf(entry: number, operation: string): boolean {
    const begin = this.#beginOf(entry);
    if ((this.#ends[entry] as number) - begin !== operation.length) return false;
    for (let index = 0; index < operation.length; index++)
      if (this.#units[begin + index] !== operation.charCodeAt(index)) return false;
    return true;
  }

  #home(hash: number): number {
    return (hash << 1) & (this.#places.length - 1);
  }

  #next(place: number): number {
    return (place + 2) & (this.#places.length - 1);
  }

  #enter(entry: number, hash: number): void {
    let place = this.#home(hash);
    while (this.#places[place + 1] !== 0) place = this.#next(place);
    this.#places[place] = hash;
    this.#places[place + 1] = entry + 1;
  }

  #makeRoom(): void {
    const entries = 2 * this.#ends.length;
    this.#ends = widened(this.#ends, new Uint32Array(entries));
    this.#outcomes = widened(this.#outcomes, new Float64Array(entries));
    const former = this.#places;
    this.#places = new Uint32Array(4 * entries);
    for (let place = 0; place < former.length; place += 2) {
      const entry = (former[place + 1] as number) - 1;
      if (entry >= 0) this.#enter(entry, former[place] as number);
    }
  }

  #makeRoomForIds(units: number): void {
    this.#units = widened(this.#units, new Uint16Array(Math.max(2 * this.#units.length, units)));
  }
}

function widened<Numbers extends Uint16Array | Uint32Array | Float64Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}
