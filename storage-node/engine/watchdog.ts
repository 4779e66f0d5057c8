// N10: a write that never settles is a failure, not a wait. The bound counts this process's own running time in steps, so
// that a process which was stopped (SIGSTOP, a suspended machine) is not blamed for the time it did not run.

const STEPS = 40;

export class StuckError extends Error {}

/**
 * Resolves or rejects like `work`; rejects with StuckError when it has not settled after `stuckMs` of running time. The
 * work itself cannot be stopped: the caller treats this as a failure of the store.
 */
export function guard<T>(what: string, work: Promise<T>, stuckMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    let steps = 0;
    const timer = setInterval(() => {
      if (++steps < STEPS) return;
      clearInterval(timer);
      reject(new StuckError(`${what} did not settle within ${stuckMs} ms: the disk is stuck or the store is broken`));
    }, stuckMs / STEPS);
    work.then(resolve, reject).finally(() => clearInterval(timer));
  });
}
