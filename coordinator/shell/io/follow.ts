// Watching a topology operation: its opening lines, notes and progress, and Ctrl-C, which asks whether to cancel. A second Ctrl-C
// leaves the operation to itself: it belongs to the leader, not to the shell that asked for it.
import type { SessionMessage } from "../../../shared/client/answers.ts";
import { KvError } from "../../../shared/errors.ts";
import type { ProgressAnswer, TopologyChange } from "../../../shared/protocol/client-messages.ts";
import type { Followed } from "../command.ts";
import { InterruptedError } from "../failure.ts";
import { Narration } from "../operations.ts";
import type { Style } from "../style.ts";
import type { OnProgress } from "./link.ts";
import type { Progress } from "./progress.ts";

export interface FollowEffects {
  readonly style: Style;
  readonly progress: Progress;
  readonly print: (lines: readonly string[]) => void;
  readonly call: (message: SessionMessage, onProgress?: OnProgress) => Promise<unknown>;
  /** Calls back on Ctrl-C until taken back. */
  readonly onInterrupt: (handler: () => void) => () => void;
  /** Asks the user; undefined on Ctrl-C. */
  readonly ask: (question: string) => Promise<string | undefined>;
  /** Told of the end of an operation that was left in the background. */
  readonly endedLater: (line: string) => void;
}

/** Sends the change and watches it to its end, or until the user turns away. Rejects with KvError. */
export async function followOperation(
  change: TopologyChange,
  started: readonly string[],
  effects: FollowEffects,
): Promise<Followed> {
  const watch = new Watch(change, new Narration(change.op, started, effects.style), effects);
  const stopListening = effects.onInterrupt(() => void watch.interrupted());
  try {
    return await watch.run();
  } finally {
    stopListening();
    effects.progress.hide();
  }
}

class Watch {
  readonly #change: TopologyChange;
  readonly #narration: Narration;
  readonly #effects: FollowEffects;
  #latest: ProgressAnswer | undefined;
  #asking: Promise<void> | undefined;
  #left = false;
  #leave: ((followed: Followed) => void) | undefined;
  #giveUp: ((error: InterruptedError) => void) | undefined;

  constructor(change: TopologyChange, narration: Narration, effects: FollowEffects) {
    this.#change = change;
    this.#narration = narration;
    this.#effects = effects;
  }

  async run(): Promise<Followed> {
    const turnedAway = new Promise<Followed>((resolve, reject) => {
      this.#leave = resolve;
      this.#giveUp = reject;
    });
    const ended = this.#send();
    // Whoever loses the race is looked after: `ended` reports later, `turnedAway` then never settles.
    void ended.catch(() => undefined);
    const followed = await Promise.race([ended, turnedAway]);
    return followed;
  }

  async interrupted(): Promise<void> {
    if (this.#asking !== undefined) return;
    if (this.#latest === undefined) {
      this.#left = true;
      this.#giveUp?.(new InterruptedError());
      return;
    }
    this.#asking = this.#askWhetherToCancel(this.#latest.operation);
    await this.#asking;
    this.#asking = undefined;
  }

  async #send(): Promise<Followed> {
    try {
      // The wire reference says what these lines are.
      const hear = (answer: unknown): void => this.#hear(answer as ProgressAnswer);
      const last = (await this.#effects.call(this.#change, hear)) as ProgressAnswer;
      await this.#asking;
      this.#hear(last);
      if (this.#left) this.#effects.endedLater(`Operation ${last.operation} (${last.command}): ${last.phase}.`);
      return { ended: true, answer: last };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#left) this.#effects.endedLater(`Operation ${this.#latest?.operation ?? ""}: ${reason}`);
      throw this.#outOfSight(error);
    }
  }

  /** Once begun, an operation goes on without us: a lost connection says nothing about it. */
  #outOfSight(error: unknown): unknown {
    if (this.#latest === undefined || !(error instanceof KvError)) return error;
    if (error.code === "CANCELLED" || (!error.retryable && error.outcome === "failed")) return error;
    if (!["LOST", "TIMEOUT", "SHUTTING_DOWN", "NOT_LEADER", "NO_LEADER"].includes(error.code)) return error;
    return new KvError("LOST", `operation ${this.#latest.operation} is out of sight (${error.message})`, error.details);
  }

  #hear(answer: ProgressAnswer): void {
    this.#latest = answer;
    if (this.#left) return;
    const lines = this.#narration.hear(answer);
    if (this.#asking !== undefined) return this.#effects.print(lines);
    if (lines.length > 0) {
      this.#effects.progress.hide();
      this.#effects.print(lines);
    }
    if (!answer.done && answer.phase !== "queued") this.#effects.progress.update(answer);
  }

  async #askWhetherToCancel(operation: string): Promise<void> {
    this.#effects.progress.hide();
    const answer = await this.#effects.ask(`Cancel operation ${operation}? Slots already moved stay moved. [y/N] `);
    if (answer === undefined) {
      this.#left = true;
      this.#leave?.({ ended: false, operation });
    } else if (/^y(es)?$/i.test(answer.trim())) {
      await this.#cancel(operation);
    }
  }

  async #cancel(operation: string): Promise<void> {
    this.#effects.print([`Cancelling operation ${operation}...`]);
    try {
      await this.#effects.call({ op: "cancel", operation });
    } catch (error) {
      // The operation may have ended while the question was open; its own answer tells.
      this.#effects.print([`Not cancelled: ${error instanceof Error ? error.message : String(error)}`]);
    }
  }
}
