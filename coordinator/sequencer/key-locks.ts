// Key locks (C3): one queue per key. Put, delete, conditional write and FIX exclude each other; reads take no lock on the fast path.
// First come, first served, so that one connection's operations on one key keep their order. Two things add to that:
//   - a write that may not begin yet, because its own connection is still reading the key, waits, and with it what that connection sent
//     later; it holds nothing, and others go before it;
//   - FIX goes before all that waits, as such a read may be what needs it.
import type { WriteOp } from "../../shared/protocol/node-messages.ts";
import { TransientMap } from "../../shared/transient-map.ts";
import type { ClientNumber } from "./operation.ts";

export interface KeyTask {
  readonly key: string;
  readonly slot: number;
  readonly client: ClientNumber;
  /** Whether it may change the key for its client: a read or FIX does not. */
  readonly writes: boolean;
  /** Whether its client knows its outcome. */
  readonly answered: boolean;
  /** Whether it may share one sending with those next to it that may. */
  readonly combinable: boolean;
  /**
   * Runs, now that it holds the lock; whoever runs calls `release` when done.
   * @param together Itself, and what is combined with it, in order.
   * @param before The write that a write quorum has had since before they came to hold the lock, where that is known.
   */
  start(together: readonly KeyTask[], before: WriteOp | undefined): void;
}

/** A key that more than one task wanted. */
class KeyQueue {
  /** Tasks that hold the lock: one, or several combined. None while nothing that waits may begin. */
  active: readonly KeyTask[];
  waiting: KeyTask[];

  constructor(active: readonly KeyTask[], waiting: KeyTask[]) {
    this.active = active;
    this.waiting = waiting;
  }
}

/** Operations on one key that share a sending. */
const COMBINED_MAX = 256;

export class KeyLocks {
  /** Who holds each key. Most are wanted by one task at a time, which needs no queue. */
  readonly #holders = new TransientMap<string, KeyTask | KeyQueue>();
  readonly #mayBegin: (task: KeyTask) => boolean;

  /** @param mayBegin Whether a task may begin when its turn comes. When that changes, `proceed` is to be called. */
  constructor(mayBegin: (task: KeyTask) => boolean) {
    this.#mayBegin = mayBegin;
  }

  /** Whether anything holds or awaits the lock of the key. */
  busy(key: string): boolean {
    return this.#holders.has(key);
  }

  /** Who holds the lock: the first that writes, where several were combined. */
  holder(key: string): KeyTask | undefined {
    const holder = this.#holders.get(key);
    return holder instanceof KeyQueue ? holder.active.find(({ writes }) => writes) : holder;
  }

  /** Whether a write of this client, unanswered, holds or awaits the lock. */
  hasWriteOf(key: string, client: ClientNumber): boolean {
    const isOne = (task: KeyTask): boolean => task.client === client && task.writes && !task.answered;
    const holder = this.#holders.get(key);
    if (holder instanceof KeyQueue) return holder.active.some(isOne) || holder.waiting.some(isOne);
    return holder !== undefined && isOne(holder);
  }

  acquire(task: KeyTask): void {
    const { key } = task;
    const holder = this.#holders.get(key);
    if (holder instanceof KeyQueue) this.#join(holder, task);
    else if (holder !== undefined) this.#holders.set(key, new KeyQueue([holder], [task]));
    else if (this.#mayBegin(task)) this.#begin(task);
    else this.#holders.set(key, new KeyQueue([], [task]));
  }

  /** Before everything that waits. */
  acquireNext(task: KeyTask): void {
    const { key } = task;
    const holder = this.#holders.get(key);
    if (holder === undefined) this.#begin(task);
    else if (!(holder instanceof KeyQueue)) this.#holders.set(key, new KeyQueue([holder], [task]));
    else {
      holder.waiting.unshift(task);
      this.proceed(key);
    }
  }

  /**
   * The lock of the key is free again; whoever waits comes next.
   * @param before The write that a write quorum is known to have, now that its task gives the key back.
   */
  release(key: string, before?: WriteOp): void {
    const holder = this.#holders.get(key);
    if (holder instanceof KeyQueue) this.#beginNext(key, holder, before);
    else this.#holders.delete(key);
  }

  /** What waits for the key may begin, perhaps. */
  proceed(key: string): void {
    const holder = this.#holders.get(key);
    if (holder instanceof KeyQueue && holder.active.length === 0) this.#beginNext(key, holder);
  }

  /** Takes a task that has not started out of its queue; false when it holds the lock. */
  withdraw(task: KeyTask): boolean {
    const holder = this.#holders.get(task.key);
    if (!(holder instanceof KeyQueue) || holder.active.includes(task)) return false;
    holder.waiting = holder.waiting.filter((other) => other !== task);
    this.proceed(task.key);
    return true;
  }

  #join(queue: KeyQueue, task: KeyTask): void {
    const waits =
      queue.active.length > 0 || queue.waiting.some(({ client }) => client === task.client) || !this.#mayBegin(task);
    if (waits) return void queue.waiting.push(task);
    queue.active = [task];
    task.start(queue.active, undefined);
  }

  #begin(task: KeyTask): void {
    this.#holders.set(task.key, task);
    task.start([task], undefined);
  }

  #beginNext(key: string, queue: KeyQueue, before?: WriteOp): void {
    if (queue.waiting.length === 0) return void this.#holders.delete(key);
    queue.active = this.#takeNext(queue, before);
    queue.active[0]?.start(queue.active, before);
  }

  /**
   * Takes those out of the queue that begin now: none, the first that may, or with it all that may be combined with it. Reads that come
   * before any write begin without the writes behind them where nobody knows what they would find.
   */
  #takeNext(queue: KeyQueue, before: WriteOp | undefined): readonly KeyTask[] {
    const taken: KeyTask[] = [];
    const left: KeyTask[] = [];
    const overtaken = new Set<ClientNumber>(); // whose first cannot begin, so that none of theirs does
    let full = false;
    for (const task of queue.waiting) {
      if (!full && taken.length > 0) full = !joins(task, taken, before);
      if (!full && !overtaken.has(task.client) && this.#mayBegin(task)) taken.push(task);
      else {
        left.push(task);
        overtaken.add(task.client);
      }
    }
    queue.waiting = left;
    return taken;
  }
}

/** Whether a task can be combined with those that were taken. */
function joins(task: KeyTask, taken: readonly KeyTask[], before: WriteOp | undefined): boolean {
  const [first] = taken;
  if (!task.combinable || first?.combinable !== true || taken.length >= COMBINED_MAX) return false;
  return first.writes || !task.writes || before !== undefined;
}
