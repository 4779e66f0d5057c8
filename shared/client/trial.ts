// Trial: sees one operation through that its first attempt did not settle, or that could not be sent at once: waits for a
// leader and for its turn, sends, and tries again what operation.ts and retry.ts allow. Ends by the deadline.
import { KvError } from "../errors.ts";
import type { LeaderFinder } from "./leader-finder.ts";
import type { OperationMessage } from "./operation.ts";
import { Operation } from "./operation.ts";
import type { RetryBudget } from "./retry.ts";
import { backoffMs } from "./retry.ts";
import type { Session } from "./session.ts";
import type { Task } from "./task.ts";
import type { WaitEnd } from "./waiting.ts";
import { leftMs, pause, waitFor } from "./waiting.ts";

/** What trials of one client share. */
export interface Means {
  readonly finder: LeaderFinder;
  readonly budget: RetryBudget;
  /** In [0, 1), for back-off. */
  readonly random: () => number;
}

/** An attempt that failed. */
export interface Failure {
  readonly session: Session;
  /** Lower bound of the epoch in which it was sent. */
  readonly epoch: number;
  readonly error: KvError;
}

export class Trial {
  readonly #task: Task;
  readonly #means: Means;
  readonly #operation: Operation;

  constructor(task: Task, means: Means) {
    this.#task = task;
    this.#means = means;
    this.#operation = new Operation(task.message as OperationMessage); // JSON leaves out what is undefined
  }

  /**
   * The answer that settles it.
   * @param failed An attempt that was made already; null where none was.
   * @throws KvError what to tell the caller
   */
  async answer(failed: Failure | null): Promise<object> {
    const { place, signal } = this.#task;
    let failure = failed;
    for (;;) {
      if (failure !== null) await this.#recover(failure);
      const session = await this.#ready(failure?.error ?? null);
      place?.sent(session);
      const { epoch } = session;
      try {
        const timeoutMs = Math.max(1, leftMs(this.#task));
        return await session.call(this.#operation.message, undefined, { timeoutMs, signal });
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        failure = { session, epoch, error };
      }
    }
  }

  /** Waits until something changes for its place. @param last What its latest attempt failed with. */
  async turn(last: KvError | null): Promise<void> {
    const { place } = this.#task;
    if (place === null) return;
    const end = await waitFor(this.#task, (done) => place.onChange(done));
    const why = "earlier operations on the same key are not settled: this one was not sent before its deadline";
    this.#check(end, last ?? new KvError("OVERLOADED", why));
    if (place.overtaken && last !== null) throw this.#operation.finalError(last);
  }

  /** Waits for a leader that it may be sent to now. @param last What its latest attempt failed with. */
  async #ready(last: KvError | null): Promise<Session> {
    const { finder } = this.#means;
    for (;;) {
      const { session } = finder;
      if (session === null) {
        const end = await finder.wait(this.#task);
        this.#check(end, finder.noLeader("waited until the deadline"));
      } else if (this.#task.place?.maySend(session) === false) await this.turn(last);
      else return session;
    }
  }

  /** Returns when the operation may be tried again; throws what to tell the caller where it may not. */
  async #recover({ session, epoch, error }: Failure): Promise<void> {
    const { finder, budget } = this.#means;
    const { place } = this.#task;
    place?.returned();
    if ((error.code === "TIMEOUT" && !error.details["aborted"]) || error.code === "NO_QUORUM") finder.doubt(session);
    const decision = this.#operation.failed(error, epoch);
    if (decision.kind === "elsewhere") finder.reject(session, error.details["leader"]);
    if (decision.kind === "fail") throw decision.error;
    const delayMs = this.#delayMs(decision);
    if (delayMs >= leftMs(this.#task)) throw this.#operation.finalError(error);
    if (decision.kind === "again" && !budget.spend()) throw this.#operation.finalError(error);
    this.#check(await pause(this.#task, delayMs), error);
    if (place?.overtaken) throw this.#operation.finalError(error);
  }

  /** The first move to another coordinator costs nobody anything; everything else is spread out in time. */
  #delayMs(decision: { kind: "elsewhere"; moves: number } | { kind: "again"; attempts: number }): number {
    const { random } = this.#means;
    if (decision.kind === "again") return backoffMs(decision.attempts, random());
    return decision.moves === 1 ? 0 : backoffMs(decision.moves, random());
  }

  #check(end: WaitEnd, atDeadline: KvError): void {
    if (end === "deadline") throw this.#operation.finalError(atDeadline);
    if (end === "aborted")
      throw this.#operation.finalError(new KvError("CANCELLED", "aborted by the caller; nothing was sent"));
  }
}
