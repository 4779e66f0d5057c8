// Scripts: long flows (an election, a re-seating, a repair) written top to bottom as generators over futures, so that the core
// stays pure. A script runs only inside an event that the core handles; it suspends by yielding a future and is resumed, in
// the same call stack, when that future gets its value. No promise, no microtask: the same events give the same run.
import type { Timers } from "./timers.ts";

/** A value that arrives once. Never fails: failures are values. */
export class Future<T> {
  #done = false;
  #value: T | undefined;
  #listeners: ((value: T) => void)[] = [];

  get done(): boolean {
    return this.#done;
  }

  /** The first call counts; later ones (a late answer after a deadline) are ignored. */
  resolve(value: T): void {
    if (this.#done) return;
    this.#done = true;
    this.#value = value;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(value);
  }

  /** Calls back with the value: at once where it is there. */
  whenDone(listener: (value: T) => void): void {
    if (this.#done) listener(this.#value as T);
    else this.#listeners.push(listener);
  }
}

/** What a script suspends on: any future. */
interface Suspension {
  readonly done: boolean;
  whenDone(listener: (value: unknown) => void): void;
}

/** A flow that yields futures and returns T. Compose with `yield*`. */
export type Script<T> = Generator<Suspension, T, unknown>;

/** Suspends until the future has its value: `const answer = yield* wait(future)`. */
export function* wait<T>(future: Future<T>): Script<T> {
  return (yield future) as T;
}

/** Runs a script until it ends; the result arrives in the returned future. Exceptions are bugs and go up to the event loop. */
export function run<T>(script: Script<T>): Future<T> {
  const result = new Future<T>();
  const step = (value: unknown): void => {
    let input = value;
    for (;;) {
      const next = script.next(input);
      if (next.done) {
        result.resolve(next.value);
        return;
      }
      const future = next.value;
      if (!future.done) {
        future.whenDone(step);
        return;
      }
      future.whenDone((ready) => {
        input = ready;
      });
    }
  };
  step(undefined);
  return result;
}

/** All values, in order. */
export function all<T>(futures: readonly Future<T>[]): Future<T[]> {
  const result = new Future<T[]>();
  const values: T[] = [];
  let missing = futures.length;
  if (missing === 0) result.resolve(values);
  futures.forEach((future, index) => {
    future.whenDone((value) => {
      values[index] = value;
      if (--missing === 0) result.resolve(values);
    });
  });
  return result;
}

/**
 * The values that are there when `enough` says so, when all are there, or when the time is over.
 * @param enough Looks at what arrived so far (in order of arrival).
 */
export function gather<T>(
  timers: Timers,
  futures: readonly Future<T>[],
  timeoutMs: number,
  enough: (values: readonly T[]) => boolean,
): Future<T[]> {
  const result = new Future<T[]>();
  const values: T[] = [];
  const timer = timers.after(timeoutMs, () => result.resolve([...values]));
  const check = (): void => {
    if (result.done || (values.length < futures.length && !enough(values))) return;
    timer.cancel();
    result.resolve([...values]);
  };
  for (const future of futures) {
    future.whenDone((value) => {
      values.push(value);
      check();
    });
  }
  check();
  return result;
}

/** Done after the delay. */
export function sleep(timers: Timers, delayMs: number): Future<void> {
  const result = new Future<void>();
  timers.after(delayMs, () => result.resolve());
  return result;
}
