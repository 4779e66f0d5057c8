// The schedule of an open loop: operation n is due n / rate seconds after the start, whatever became of those before. Pure.

/** When an operation is due, in milliseconds after the start. @param index From 0. */
export function dueMs(index: number, ratePerSecond: number): number {
  return (index * 1_000) / ratePerSecond;
}

/** How many operations are due within so many milliseconds of the start, those due at that very moment included. */
export function dueWithin(elapsedMs: number, ratePerSecond: number): number {
  if (elapsedMs < 0) return 0;
  const count = Math.floor((elapsedMs * ratePerSecond) / 1_000) + 1;
  // Rounding may put an operation on the wrong side of its own moment.
  return dueMs(count, ratePerSecond) <= elapsedMs ? count + 1 : count;
}
