// Timers of the pure core: a heap of (time, callback) over a clock that is handed in. The owner asks `nextAt` when to come
// back and calls `advance(now)` then; nothing here knows a real clock.

/** A timer that can be taken back. */
export interface Timer {
  cancel(): void;
}

interface Entry {
  readonly at: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

export class Timers {
  #now: number;
  #order = 0;
  readonly #heap: Entry[] = [];

  /** @param now Current time, milliseconds of a monotonic clock. */
  constructor(now: number) {
    this.#now = now;
  }

  /** Time of the latest `advance`, in milliseconds. */
  get now(): number {
    return this.#now;
  }

  /** When the earliest timer is due; undefined where there is none. */
  get nextAt(): number | undefined {
    this.#dropCancelled();
    return this.#heap[0]?.at;
  }

  /** Calls back `delayMs` from now; timers due at one time run in the order in which they were set. */
  after(delayMs: number, callback: () => void): Timer {
    const entry: Entry = { at: this.#now + Math.max(0, delayMs), order: this.#order++, callback };
    this.#push(entry);
    return {
      cancel: () => {
        entry.callback = undefined;
      },
    };
  }

  /** Moves the clock (never back) and runs what is due. */
  advance(now: number): void {
    this.#now = Math.max(this.#now, now);
    for (let top = this.#heap[0]; top && top.at <= this.#now; top = this.#heap[0]) {
      this.#pop();
      top.callback?.();
    }
  }

  #dropCancelled(): void {
    while (this.#heap[0] && !this.#heap[0].callback) this.#pop();
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, heap[parent] as Entry)) break;
      heap[index] = heap[parent] as Entry;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right && before(right, heap[child] as Entry)) child++;
      if (!before(heap[child] as Entry, last)) break;
      heap[index] = heap[child] as Entry;
      index = child;
    }
    heap[index] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at === b.at ? a.order < b.order : a.at < b.at;
}
