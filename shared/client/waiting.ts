// Waiting with an end: everything the client waits for beside an answer is bounded by the operation's deadline and signal.
import { monotonicMs } from "../io/system-clock.ts";

/** Until when, and who may stop it earlier. */
export interface Patience {
  /** On the monotonic clock, in ms. */
  readonly deadlineAtMs: number;
  readonly signal?: AbortSignal | undefined;
}

export type WaitEnd = "done" | "deadline" | "aborted";

/** Time left, in ms; at least 0. */
export function leftMs(patience: Patience): number {
  return Math.max(0, patience.deadlineAtMs - monotonicMs());
}

/**
 * Waits until `subscribe`'s callback is called, the deadline passes or the signal aborts; never rejects.
 * @param subscribe Begins waiting and returns what ends it; called once.
 */
export function waitFor(patience: Patience, subscribe: (done: () => void) => () => void): Promise<WaitEnd> {
  const { signal } = patience;
  if (signal?.aborted) return Promise.resolve("aborted");
  return new Promise((resolve) => {
    const end = (how: WaitEnd): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      unsubscribe();
      resolve(how);
    };
    const aborted = (): void => end("aborted");
    const timer = setTimeout(() => end("deadline"), leftMs(patience));
    signal?.addEventListener("abort", aborted, { once: true });
    const unsubscribe = subscribe(() => end("done"));
  });
}

/** Waits a while; `done` when it is over. */
export function pause(patience: Patience, delayMs: number): Promise<WaitEnd> {
  if (delayMs <= 0) return Promise.resolve(patience.signal?.aborted ? "aborted" : "done");
  return waitFor(patience, (done) => {
    const timer = setTimeout(done, delayMs);
    return () => clearTimeout(timer);
  });
}
