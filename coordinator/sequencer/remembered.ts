// Remembered operations (C8): results of this epoch's writes by their operation id, so that a retry is answered rather than applied
// again. Bounded in number and age; what fell out is found out by a read instead.
//
// Two generations: results go into the present one; when it is full or old it becomes the past one, and the past one is dropped
// whole. Forgetting costs nothing an operation (a list of ages beside one map took 4 % of the coordinator's time).
import { OPERATIONS_REMEMBERED_MAX, OPERATIONS_REMEMBERED_MS } from "../../shared/limits.ts";
import type { WriteOutcome } from "./operation.ts";

const GENERATION_MAX = OPERATIONS_REMEMBERED_MAX / 2;

/** An attempt under way. Few operations are ever asked for twice. */
class Running {
  waiting: ((outcome: WriteOutcome) => void)[] | undefined;
}

type Generation = Map<string, WriteOutcome | Running>;

export class Remembered {
  #present: Generation = new Map();
  #past: Generation = new Map();
  #presentSince = 0;

  /** Whether an operation runs for the first time: then its outcome goes to `end`. If not, `join` tells what became of it. */
  begin(operation: string, now: number): boolean {
    if (this.#present.size >= GENERATION_MAX || now - this.#presentSince > OPERATIONS_REMEMBERED_MS)
      this.#turnOver(now);
    if (this.#known(operation) !== undefined) return false;
    this.#present.set(operation, new Running());
    return true;
  }

  /** Replies with the outcome of the attempt that runs, or ran: at once, or when it is there. */
  join(operation: string, reply: (outcome: WriteOutcome) => void): void {
    const known = this.#known(operation);
    if (known instanceof Running) (known.waiting ??= []).push(reply);
    else if (known) reply(known);
  }

  /** The outcome of an attempt. Only successes are kept: a definite failure may be tried again, an unknown outcome found out. */
  end(operation: string, outcome: WriteOutcome): void {
    const running = this.#present.get(operation);
    if (!(running instanceof Running)) return;
    if (outcome.type === "error") this.#present.delete(operation);
    else this.#present.set(operation, outcome);
    if (running.waiting) for (const reply of running.waiting) reply(outcome);
  }

  #known(operation: string): WriteOutcome | Running | undefined {
    return this.#present.get(operation) ?? this.#past.get(operation);
  }

  /** What still runs goes on into the new generation. */
  #turnOver(now: number): void {
    const past = this.#present;
    this.#present = new Map();
    for (const [operation, known] of past) {
      if (!(known instanceof Running)) continue;
      past.delete(operation);
      this.#present.set(operation, known);
    }
    this.#past = past;
    this.#presentSince = now;
  }
}
