// Assertions are for our own bugs and stay on in production: a process that finds itself in an impossible state stops
// rather than acknowledge something untrue. What the outside world gets wrong is a KvError, never an assertion.

export class AssertionError extends Error {}

/** Stops the process (by an uncaught AssertionError) when one of our own invariants does not hold. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionError(`invariant broken: ${invariant}`);
}

/** Ends every switch over a union: a new variant then fails to compile wherever it must be known. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`);
}
