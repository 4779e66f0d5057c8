// Performer: admits operations, bounded in number and in bytes, and settles each by its deadline. key-lanes.ts says in which
// order they go, leader-finder.ts to whom.
//
// The first attempt is the task itself, handed to the session in the turn in which it is issued, and settled by its answer: no
// promise but the caller's. What cannot go that way, for want of a leader or because others on its key come first, and what was
// refused, is seen through by a trial (trial.ts), with as many promises as it takes.
import { KvError } from "../errors.ts";
import type { GetAnswer, ScanAnswer, WriteAnswer } from "../protocol/client-messages.ts";
import { monotonicMs } from "../io/system-clock.ts";
import { DirectReads } from "./direct-reads.ts";
import type { Entry } from "./entry.ts";
import { KeyLanes } from "./key-lanes.ts";
import type { LeaderFinder } from "./leader-finder.ts";
import type { ClientMessage, GetMessage } from "./operation-text.ts";
import type { OperationOptions } from "./options.ts";
import { RetryBudget } from "./retry.ts";
import type { AnyResultOf, TaskOwner } from "./task.ts";
import { Task, weightOf } from "./task.ts";
import type { Failure, Means } from "./trial.ts";
import { Trial } from "./trial.ts";

/** Operations of one client under way, beyond which more are refused as OVERLOADED. */
const OPERATIONS_MAX = 16_384;
/** Values of writes under way, in UTF-16 units of their travelling form. */
const WEIGHT_MAX = 128 * 1024 * 1024;
/** Stands for "straight from a node" where lanes ask which way an operation goes. */
const DIRECT = {};
const READ = { writes: false } as const;
const WRITE = { writes: true } as const;

/** What the leader answers; null: a get found nothing. */
type AnswerOf<Message> = Message extends { readonly op: "get" }
  ? GetAnswer | null
  : Message extends { readonly op: "scan" }
    ? ScanAnswer
    : WriteAnswer;

/** Makes the caller's result of an answer. Must not throw. */
export type ResultOf<Message, Result> = (answer: AnswerOf<Message>, message: Message) => Result;

/** Until when, and who may stop it earlier. */
type TimeLimits = Pick<OperationOptions, "timeoutMs" | "signal">;

export class Performer implements TaskOwner {
  readonly #finder: LeaderFinder;
  readonly #direct: DirectReads;
  readonly #lanes = new KeyLanes();
  readonly #budget = new RetryBudget();
  readonly #means: Means;
  readonly #timeoutMs: number;
  #running = 0;
  #weight = 0;
  #idle: (() => void) | null = null;
  #closed = false;

  /** @param settings `random`: in [0, 1), for back-off. `timeoutMs`: of operations that are given none. */
  constructor(finder: LeaderFinder, { random, timeoutMs }: { random: () => number; timeoutMs: number }) {
    this.#finder = finder;
    this.#direct = new DirectReads(() => finder.session, finder.credentials);
    this.#means = { finder, budget: this.#budget, random };
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Sends a message to the leader until its outcome is settled or the deadline passes.
   * @throws KvError SHUTTING_DOWN, OVERLOADED: it was not admitted. All else is told by the promise.
   */
  run<Message extends ClientMessage, Result>(
    message: Message,
    limits: TimeLimits,
    resultOf: ResultOf<Message, Result>,
  ): Promise<Result> {
    const task = this.#begin(message, limits, resultOf as AnyResultOf); // the wire reference says which answer it is
    this.#attempt(task);
    return task.promise as Promise<Result>;
  }

  /** A read at level one: from a storage node, or from the coordinator where that does not work out. @throws as `run` */
  readAtOne(
    message: GetMessage,
    limits: TimeLimits,
    resultOf: ResultOf<GetMessage, Entry | null>,
  ): Promise<Entry | null> {
    const task = this.#begin(message, limits, resultOf as AnyResultOf);
    void this.#readAtOne(task, message.key);
    return task.promise as Promise<Entry | null>;
  }

  /** Refuses new operations and waits for those under way. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#direct.close();
  }

  /** The first attempt of a task was answered. */
  answered(task: Task, answer: object): void {
    this.#end(task, "effect");
    task.succeed(answer);
  }

  /** The first attempt of a task failed. */
  refused(task: Task, error: KvError): void {
    const { session, epoch } = task;
    if (session !== null) void this.#seeThrough(task, { session, epoch, error });
  }

  /** Admits an operation and gives it its place. @throws KvError SHUTTING_DOWN, OVERLOADED */
  #begin(message: ClientMessage, limits: TimeLimits, resultOf: AnyResultOf): Task {
    const weight = weightOf(message);
    if (this.#closed) throw new KvError("SHUTTING_DOWN", "the client is closed; nothing was sent");
    if (this.#running >= OPERATIONS_MAX || (this.#running > 0 && this.#weight + weight > WEIGHT_MAX)) {
      const limit = `${OPERATIONS_MAX} operations or ${WEIGHT_MAX / 1024 / 1024} MiB of values`;
      const why = `${limit} are under way, the limit of a client; nothing was sent: await some first`;
      throw new KvError("OVERLOADED", why);
    }
    this.#running++;
    this.#weight += weight;
    this.#budget.earn();
    const place = message.op === "scan" ? null : this.#lanes.enter(message.key, message.op === "get" ? READ : WRITE);
    const { timeoutMs = this.#timeoutMs, signal } = limits;
    return new Task(this, { message, deadlineAtMs: monotonicMs() + timeoutMs, signal, resultOf, place });
  }

  #end({ place, message }: Task, outcome: "effect" | "none"): void {
    place?.leave(outcome);
    this.#weight -= weightOf(message);
    if (--this.#running === 0) this.#idle?.();
  }

  #attempt(task: Task): void {
    const { session } = this.#finder;
    if (session === null || task.place?.maySend(session) === false) return void this.#seeThrough(task, null);
    task.place?.sent(session);
    task.session = session;
    task.epoch = session.epoch;
    session.ask(task);
  }

  /** Settles a task by a trial. Never rejects. @param failure How its first attempt failed; null: it was not made. */
  async #seeThrough(task: Task, failure: Failure | null): Promise<void> {
    // The session says so in the middle of its work: trials begin when it is done with all that it has to say.
    if (failure !== null) await Promise.resolve();
    try {
      const answer = await new Trial(task, this.#means).answer(failure);
      this.answered(task, answer);
    } catch (error) {
      this.#fail(task, error);
    }
  }

  async #readAtOne(task: Task, key: string): Promise<void> {
    const trial = new Trial(task, this.#means);
    try {
      while (task.place?.maySend(DIRECT) === false) await trial.turn(null);
      task.place?.sent(DIRECT);
      const entry = await this.#direct.read(key, task);
      if (entry === undefined) {
        task.place?.returned();
        return this.answered(task, await trial.answer(null));
      }
      this.#end(task, "effect");
      task.succeedWith(entry);
    } catch (error) {
      this.#fail(task, error);
    }
  }

  #fail(task: Task, error: unknown): void {
    this.#end(task, error instanceof KvError && isWithoutEffect(error) ? "none" : "effect");
    const absent = task.message.op === "get" && error instanceof KvError && error.code === "NOT_FOUND";
    if (absent) task.succeed(null);
    else task.fail(error);
  }
}

/** Whether an operation that failed so has neither changed nor told anything. */
function isWithoutEffect(error: KvError): boolean {
  return error.outcome === "failed" && error.code !== "CONDITION_FAILED" && error.code !== "NOT_FOUND";
}
