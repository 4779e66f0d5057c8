// Key locks (C3): one queue per key. Put, delete, conditional write and FIX exclude each other; reads take no lock on the fast path.
// First come, first served, so that one connection's operations on one key keep their order.

export interface KeyTask {
  readonly key: string;
  /** Runs the task, now that it holds the lock; it calls `release` when done. */
  start(): void;
  /** Adjacent tasks that may share one sending start together with the first of them. */
  readonly combinable: boolean;
  startCombined?(tasks: readonly KeyTask[]): void;
}

interface KeyQueue {
  /** Tasks that hold the lock: one, or several combined. */
  active: readonly KeyTask[];
  waiting: KeyTask[];
}

/** Blind writes of one key that share a sending. */
const COMBINED_MAX = 256;

export class KeyLocks {
  readonly #queues = new Map<string, KeyQueue>();

  /** Whether anything holds or awaits the lock of the key. */
  busy(key: string): boolean {
    return this.#queues.has(key);
  }

  /** The tasks of a key, those that hold the lock first. */
  tasks(key: string): readonly KeyTask[] {
    const queue = this.#queues.get(key);
    return queue ? [...queue.active, ...queue.waiting] : [];
  }

  acquire(task: KeyTask): void {
    const queue = this.#queues.get(task.key);
    if (queue) {
      queue.waiting.push(task);
      return;
    }
    this.#queues.set(task.key, { active: [task], waiting: [] });
    task.start();
  }

  /** The lock of the key is free again; whoever waits comes next. */
  release(key: string): void {
    const queue = this.#queues.get(key);
    if (!queue) return;
    const next = takeNext(queue.waiting);
    const [first] = next;
    if (!first) {
      this.#queues.delete(key);
      return;
    }
    queue.active = next;
    if (next.length > 1 && first.startCombined) first.startCombined(next);
    else first.start();
  }

  /** Takes a task that has not started out of its queue; false when it holds the lock. */
  withdraw(task: KeyTask): boolean {
    const queue = this.#queues.get(task.key);
    if (!queue || queue.active.includes(task)) return false;
    queue.waiting = queue.waiting.filter((other) => other !== task);
    return true;
  }
}

function takeNext(waiting: KeyTask[]): KeyTask[] {
  let count = Math.min(1, waiting.length);
  if (waiting[0]?.combinable) {
    while (count < waiting.length && count < COMBINED_MAX && waiting[count]?.combinable) count++;
  }
  return waiting.splice(0, count);
}
