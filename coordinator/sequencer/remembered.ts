// Remembered operations (C8): results of this epoch's writes by their operation id, so that a retry is answered rather than applied
// again. Bounded in number and age; what fell out is found out by a read instead.
//
// The order of age is a list beside the map: looking for the oldest entry in the map itself would walk over the places of all that
// were deleted before it, which cost a third of the coordinator's time once the map was full.
import { OPERATIONS_REMEMBERED_MAX, OPERATIONS_REMEMBERED_MS } from "../../shared/limits.ts";
import type { WriteOutcome } from "./operation.ts";

/** Places at the front of the list that may be empty before it is cut. */
const EMPTY_PLACES_MAX = 4_096;

interface Entry {
  readonly operation: string;
  readonly at: number;
  outcome: WriteOutcome | undefined;
  /** Few operations are ever asked for twice. */
  waiting: ((outcome: WriteOutcome) => void)[] | undefined;
}

export class Remembered {
  readonly #entries = new Map<string, Entry>();
  /** Entries by age, the oldest at `#oldest`; those that were deleted or begun again since are passed over. */
  #byAge: Entry[] = [];
  #oldest = 0;

  /**
   * Whether an operation is known. `begun`: it runs for the first time, and its outcome goes to `end`. `joined`: `reply` gets the
   * outcome of the attempt that runs, or ran.
   */
  begin(operation: string, now: number, reply: (outcome: WriteOutcome) => void): "begun" | "joined" {
    const known = this.#entries.get(operation);
    if (!known) {
      this.#forgetOld(now);
      const entry: Entry = { operation, at: now, outcome: undefined, waiting: undefined };
      this.#entries.set(operation, entry);
      this.#byAge.push(entry);
      return "begun";
    }
    if (known.outcome) reply(known.outcome);
    else (known.waiting ??= []).push(reply);
    return "joined";
  }

  /** The outcome of an attempt. Only successes are kept: a definite failure may be tried again, an unknown outcome found out. */
  end(operation: string, outcome: WriteOutcome): void {
    const entry = this.#entries.get(operation);
    if (!entry) return;
    entry.outcome = outcome;
    if (outcome.type === "error") this.#entries.delete(operation);
    const { waiting } = entry;
    entry.waiting = undefined;
    if (waiting) for (const reply of waiting) reply(outcome);
  }

  #forgetOld(now: number): void {
    for (let entry = this.#byAge[this.#oldest]; entry; entry = this.#byAge[++this.#oldest]) {
      if (this.#entries.get(entry.operation) !== entry) continue;
      const old = now - entry.at > OPERATIONS_REMEMBERED_MS || this.#entries.size >= OPERATIONS_REMEMBERED_MAX;
      if (!old || !entry.outcome) break;
      this.#entries.delete(entry.operation);
    }
    if (this.#oldest < EMPTY_PLACES_MAX || this.#oldest * 2 < this.#byAge.length) return;
    this.#byAge = this.#byAge.slice(this.#oldest);
    this.#oldest = 0;
  }
}
