// Disk pace: whether the next write of the log may be waited for where it is made. On a quick disk (a write is durable in a tenth of a
// millisecond) handing it to a thread costs more than the write: two wake-ups, and on busy cores a place in the queue for each. With
// three nodes on two cores, puts are 10 to 20 % faster where nodes wait; Redis does so, too. On a slow disk the process would stand still,
// and everybody who only reads with it. So: writes are waited for while they are quick; when they are not, they go to the background for
// a while, and for longer each time that this comes again. Pure.

/** The mean above which nobody waits any more: on busy cores a write of 0.1 ms takes up to 1 or 2, a disk that turns takes 8. */
const QUICK_MS = 3;
/** Weight of the latest write in the mean: one stall of 50 ms among quick writes changes nothing. */
const SHARE = 1 / 32;
const BACKGROUND_MS_MIN = 1_000;
const BACKGROUND_MS_MAX = 60_000;

export class DiskPace {
  #meanMs = 0;
  #backgroundMs = BACKGROUND_MS_MIN;
  #quickSince = 0;

  /** Whether to wait for a write. @param now In milliseconds; of one clock, as in `took`. */
  quick(now: number): boolean {
    return now >= this.#quickSince;
  }

  /** A write was waited for. */
  took(ms: number, now: number): void {
    this.#meanMs += (ms - this.#meanMs) * SHARE;
    if (this.#meanMs <= QUICK_MS) return;
    // Quick for longer than it was away: what was before is forgotten.
    const steady = now - this.#quickSince > this.#backgroundMs;
    this.#backgroundMs = steady ? BACKGROUND_MS_MIN : Math.min(2 * this.#backgroundMs, BACKGROUND_MS_MAX);
    this.#quickSince = now + this.#backgroundMs;
    this.#meanMs = 0;
  }
}
