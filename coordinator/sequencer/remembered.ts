// Remembered operations (C8): results of this epoch's writes by their operation id, so that a retry is answered rather than applied
// again. Bounded in number and age; what fell out is found out by a read instead.
import { OPERATIONS_REMEMBERED_MAX, OPERATIONS_REMEMBERED_MS } from "../../shared/limits.ts";
import type { WriteOutcome } from "./operation.ts";

interface Entry {
  readonly at: number;
  outcome: WriteOutcome | undefined;
  waiting: ((outcome: WriteOutcome) => void)[];
}

export class Remembered {
  readonly #entries = new Map<string, Entry>();

  /**
   * Whether an operation is known. `begun`: it runs for the first time, and its outcome goes to `end`. `joined`: `reply` gets the
   * outcome of the attempt that runs, or ran.
   */
  begin(operation: string, now: number, reply: (outcome: WriteOutcome) => void): "begun" | "joined" {
    const known = this.#entries.get(operation);
    if (!known) {
      this.#forgetOld(now);
      this.#entries.set(operation, { at: now, outcome: undefined, waiting: [] });
      return "begun";
    }
    if (known.outcome) reply(known.outcome);
    else known.waiting.push(reply);
    return "joined";
  }

  /** The outcome of an attempt. Only successes are kept: a definite failure may be tried again, an unknown outcome found out. */
  end(operation: string, outcome: WriteOutcome): void {
    const entry = this.#entries.get(operation);
    if (!entry) return;
    entry.outcome = outcome;
    if (outcome.type === "error") this.#entries.delete(operation);
    for (const reply of entry.waiting) reply(outcome);
    entry.waiting = [];
  }

  #forgetOld(now: number): void {
    for (const [operation, entry] of this.#entries) {
      const old = now - entry.at > OPERATIONS_REMEMBERED_MS || this.#entries.size >= OPERATIONS_REMEMBERED_MAX;
      if (!old || !entry.outcome) return;
      this.#entries.delete(operation);
    }
  }
}
