// Pending writes: appended to the log and not durable yet, by key, so that N4 compares with what is on its way to the disk. Counts
// what waits, for the bounds.
//
// Entries are not deleted one by one. V8 links the table of a Map that was rehashed to its successor; where entries come and go
// all the time the dead tables form a chain that scavenges cannot break, and everything that ever waited is promoted before it
// is collected (measured: 4 of every 11 MB, and scavenges of 8 ms instead of 1). So there are two Maps, dropped whole when all that is
// in them is durable; what is durable and still there is told by its position.
import { valueWeight, type WireValue } from "../../shared/record.ts";
import type { WriteRecord } from "../engine/engine.ts";

/** A write on its way to the disk: what the log was given is also what later writes of the key are compared with. */
export interface PendingWrite extends WriteRecord {
  readonly place: number;
  /** Log position at which it is durable. */
  position: number;
}

/** What a record adds to the log beside key and value. */
export const RECORD_OVERHEAD_BYTES = 64;

/** Consumed entries of the queue that are worth copying the rest. */
const CONSUMED_MAX = 1024;

/** What a write counts for while it waits, roughly in bytes. */
export function weightOf(key: string, value: WireValue | null): number {
  return RECORD_OVERHEAD_BYTES + key.length + valueWeight(value);
}

export class PendingWrites {
  #newer = new Map<string, PendingWrite>();
  #older = new Map<string, PendingWrite>();
  /** Position at which everything in the older Map is durable. */
  #olderUntil = 0;
  /** In the order of the log; what lies before the head is durable. */
  #queue: PendingWrite[] = [];
  #head = 0;
  #bytes = 0;
  #appended = 0;
  #durable = 0;

  /** Writes that wait. */
  get count(): number {
    return this.#queue.length - this.#head;
  }

  /** What they weigh. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The newest write of a key that is not durable yet. */
  find(key: string): PendingWrite | undefined {
    const found = this.#newer.get(key) ?? this.#older.get(key);
    return found && found.position > this.#durable ? found : undefined;
  }

  /** @param write Appended behind all others, at its `position`. */
  add(write: PendingWrite): void {
    this.#newer.set(write.key, write);
    this.#queue.push(write);
    this.#bytes += weightOf(write.key, write.record.value);
    this.#appended = write.position;
  }

  /** Forgets what became durable. */
  reached(position: number): void {
    this.#durable = position;
    let head = this.#queue[this.#head];
    while (head && head.position <= position) {
      this.#bytes -= weightOf(head.key, head.record.value);
      head = this.#queue[++this.#head];
    }
    if (this.#head === this.#queue.length || this.#head > CONSUMED_MAX) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    if (position >= this.#olderUntil) this.#turn();
  }

  #turn(): void {
    const allDurable = this.#appended <= this.#durable;
    this.#older = allDurable ? new Map() : this.#newer;
    this.#olderUntil = this.#appended;
    this.#newer = new Map();
  }
}
