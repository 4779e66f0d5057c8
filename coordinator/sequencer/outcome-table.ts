// Outcome table: what became of operations, by their ids, in flat arrays. There are up to fifty thousand of them at any time: as
// strings in a Map they took a tenth of the coordinator's time, most of it to copy and mark them in garbage collections. A
// hash table with linear probing leads from an id to its entry; nothing is ever taken out of it but everything. Who asks brings the
// hash of the id, 32 bits, so that it is made once for several tables. Pure.

const ENTRIES_FIRST = 256;
const UNITS_PER_ENTRY = 24;

export class OutcomeTable {
  /** Entries, those that were forgotten included. */
  size = 0;
  /** By hash: the number of an entry and one more; 0 where free. At least twice as many as entries. */
  #places = new Int32Array(2 * ENTRIES_FIRST);
  #hashes = new Uint32Array(ENTRIES_FIRST);
  /** Where the id of each entry ends in `#units`; it begins where the one before ends. */
  #ends = new Uint32Array(ENTRIES_FIRST);
  #outcomes = new Float64Array(ENTRIES_FIRST);
  /** UTF-16 of the ids, one after the other. */
  #units = new Uint16Array(ENTRIES_FIRST * UNITS_PER_ENTRY);

  /** The entry of an operation; -1: it has none. */
  find(operation: string, hash: number): number {
    for (let place = this.#home(hash); ; place = this.#next(place)) {
      const entry = (this.#places[place] as number) - 1;
      if (entry < 0) return -1;
      if (this.#hashes[entry] === hash && this.#isOf(entry, operation)) return entry;
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
    if (this.size === this.#hashes.length) this.#makeRoom();
    if (end > this.#units.length) this.#makeRoomForIds(end);
    const entry = this.size++;
    for (let index = 0; index < operation.length; index++) this.#units[begin + index] = operation.charCodeAt(index);
    this.#ends[entry] = end;
    this.#hashes[entry] = hash;
    this.#outcomes[entry] = outcome;
    this.#enter(entry);
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
    return hash & (this.#places.length - 1);
  }

  #next(place: number): number {
    return (place + 1) & (this.#places.length - 1);
  }

  #enter(entry: number): void {
    let place = this.#home(this.#hashes[entry] as number);
    while (this.#places[place] !== 0) place = this.#next(place);
    this.#places[place] = entry + 1;
  }

  #makeRoom(): void {
    const entries = 2 * this.#hashes.length;
    this.#hashes = widened(this.#hashes, new Uint32Array(entries));
    this.#ends = widened(this.#ends, new Uint32Array(entries));
    this.#outcomes = widened(this.#outcomes, new Float64Array(entries));
    this.#places = new Int32Array(2 * entries);
    for (let entry = 0; entry < this.size; entry++) this.#enter(entry);
  }

  #makeRoomForIds(units: number): void {
    this.#units = widened(this.#units, new Uint16Array(Math.max(2 * this.#units.length, units)));
  }
}

function widened<Numbers extends Uint16Array | Uint32Array | Float64Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}
