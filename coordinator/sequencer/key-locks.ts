// Key locks (C3): one queue per key. Put, delete, conditional write and FIX exclude each other; reads take no lock on the fast path.
// First come, first served, so that one connection's operations on one key keep their order.
import { TransientMap } from "../../shared/transient-map.ts";

export interface KeyTask {
  readonly key: string;
  /** Runs the task, now that it holds the lock; it calls `release` when done. */
  start(): void;
  /** Adjacent tasks that may share one sending start together with the first of them. */
  readonly combinable: boolean;
  startCombined?(tasks: readonly KeyTask[]): void;
}

/** A key that more than one task wanted. */
class KeyQueue {
  /** Tasks that hold the lock: one, or several combined. */
  active: readonly KeyTask[];
  waiting: KeyTask[];

  constructor(active: readonly KeyTask[], waiting: KeyTask[]) {
    this.active = active;
    this.waiting = waiting;
  }
}

/** Blind writes of one key that share a sending. */
const COMBINED_MAX = 256;

export class KeyLocks {
  /** Who holds each key. Most are wanted by one task at a time, which needs no queue. */
  readonly #holders = new TransientMap<string, KeyTask | KeyQueue>();

  /** Whether anything holds or awaits the lock of the key. */
  busy(key: string): boolean {
    return this.#holders.has(key);
  }

  /** Who holds the lock: the first, where several were combined. */
  holder(key: string): KeyTask | undefined {
    const holder = this.#holders.get(key);
    return holder instanceof KeyQueue ? holder.active[0] : holder;
  }

  /** The tasks of a key, those that hold the lock first. */
  tasks(key: string): readonly KeyTask[] {
    const holder = this.#holders.get(key);
    if (!holder) return [];
    return holder instanceof KeyQueue ? [...holder.active, ...holder.waiting] : [holder];
  }

  acquire(task: KeyTask): void {
    const holder = this.#holders.get(task.key);
    if (holder === undefined) {
      this.#holders.set(task.key, task);
      task.start();
    } else if (holder instanceof KeyQueue) holder.waiting.push(task);
    else this.#holders.set(task.key, new KeyQueue([holder], [task]));
  }

  /** The lock of the key is free again; whoever waits comes next. */
  release(key: string): void {
    const holder = this.#holders.get(key);
    if (!(holder instanceof KeyQueue) || holder.waiting.length === 0) {
      this.#holders.delete(key);
      return;
    }
    const next = takeNext(holder.waiting);
    const first = next[0] as KeyTask;
    holder.active = next;
    if (next.length > 1 && first.startCombined) first.startCombined(next);
    else first.start();
  }

  /** Takes a task that has not started out of its queue; false when it holds the lock. */
  withdraw(task: KeyTask): boolean {
    const holder = this.#holders.get(task.key);
    if (!(holder instanceof KeyQueue) || holder.active.includes(task)) return false;
    holder.waiting = holder.waiting.filter((other) => other !== task);
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
