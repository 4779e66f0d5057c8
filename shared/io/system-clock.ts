// The real clock and timers, for composition roots to hand in where decisions ask for time. Monotonic: it never jumps
// when somebody sets the machine's clock, and has no meaning outside this process.
import { performance } from "node:perf_hooks";

/** Time and timers as an argument, so that tests and simulations can bring their own. */
export interface TimerService {
  /** Monotonic milliseconds, with a fraction. */
  nowMs(): number;
  /**
   * Calls back once, at `timeMs` of `nowMs` or soon after: never before, never within the call itself.
   * @returns Its cancel, which may be called at any time.
   */
  at(timeMs: number, callback: () => void): () => void;
}

/** setTimeout fires at once for delays beyond 2^31 - 1 ms. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** Milliseconds since the process began, with a fraction; never goes back. */
export function monotonicMs(): number {
  return performance.now();
}

/** Timers of the event loop. They keep the process alive until they fire or are cancelled. */
export const systemTimers: TimerService = {
  nowMs: monotonicMs,
  at(timeMs, callback) {
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const leftMs = Math.ceil(timeMs - monotonicMs());
      timer = setTimeout(fire, Math.min(Math.max(0, leftMs), DELAY_MS_MAX));
    };
    // The event loop counts whole milliseconds and may be early by a part of one.
    const fire = (): void => (monotonicMs() < timeMs ? wait() : callback());
    wait();
    return () => clearTimeout(timer);
  },
};
