// Which failures may be tried again, when, and how often. Pure: randomness is an argument.
//
//   elsewhere — this process cannot serve it and did nothing: find the leader, ask there. Free: one search serves them all.
//   later     — refused before anything happened (C11): three attempts, full jitter, within the budget.
//   in doubt  — sent, no answer: a read is asked again; a write under its operation id and first epoch (C8). Counts as `later`.
//   never     — settled, or trying again cannot help.
import type { ErrorCode } from "../errors.ts";

export type Reaction = "elsewhere" | "later" | "in doubt" | "never";

const REACTIONS: Partial<Readonly<Record<ErrorCode, Reaction>>> = {
  NOT_LEADER: "elsewhere",
  NO_LEADER: "elsewhere",
  SHUTTING_DOWN: "elsewhere",
  OVERLOADED: "later",
  NO_QUORUM: "later",
  MOVING: "later",
  LOST: "in doubt",
  TIMEOUT: "in doubt",
};

export function reactionTo(code: ErrorCode): Reaction {
  return REACTIONS[code] ?? "never";
}

/** Times an operation is sent at most, moves to another coordinator not counted. */
export const ATTEMPTS_MAX = 3;
const BACKOFF_MS_MIN = 25;
const BACKOFF_MS_MAX = 1_000;

/**
 * How long to wait before an attempt: anything up to a bound that doubles ("full jitter").
 * @param attempt Attempts made so far, at least 1.
 * @param random In [0, 1).
 * @see Brooker 2015, "Exponential Backoff And Jitter"
 */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** attempt);
}

/** Retries per operation that a client may make in the long run: an overloaded cluster sees at most 1.1 times its load. */
const RETRIES_PER_OPERATION = 0.1;
/** Retries saved up at most: enough for all that is in flight when a leader dies. */
const BUDGET_MAX = 1_000;

/** A client's budget of retries. Starts full. */
export class RetryBudget {
  #left = BUDGET_MAX;

  /** An operation was begun. */
  earn(): void {
    this.#left = Math.min(BUDGET_MAX, this.#left + RETRIES_PER_OPERATION);
  }

  /** Takes one retry; false where none is left. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
