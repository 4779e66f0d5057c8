// Performer: sees operations through to a settled outcome. retry.ts and operation.ts say what may be sent again, key-lanes.ts
// in which order, leader-finder.ts to whom; here they meet time. Every operation ends by its deadline. Bounded in operations
// and in bytes.
import { KvError } from "../errors.ts";
import type { GetAnswer, ScanAnswer, WriteAnswer } from "../protocol/client-messages.ts";
import { DirectReads } from "./direct-reads.ts";
import { Entry } from "./entry.ts";
import type { Place } from "./key-lanes.ts";
import { KeyLanes } from "./key-lanes.ts";
import type { LeaderFinder } from "./leader-finder.ts";
import type { OperationMessage } from "./operation.ts";
import { Operation } from "./operation.ts";
import { RetryBudget, backoffMs } from "./retry.ts";
import type { Session } from "./session.ts";
import type { Patience, WaitEnd } from "./waiting.ts";
import { leftMs, pause, waitFor } from "./waiting.ts";

/** Operations of one client under way, beyond which more are refused as OVERLOADED. */
const OPERATIONS_MAX = 16_384;
/** Values of writes under way, in UTF-16 units of their travelling form. */
const WEIGHT_MAX = 128 * 1024 * 1024;
/** Stands for "straight from a node" where lanes ask which way an operation goes. */
const DIRECT = {};

type AnswerOf<Message> = Message extends { readonly op: "get" }
  ? GetAnswer
  : Message extends { readonly op: "scan" }
    ? ScanAnswer
    : WriteAnswer;

type GetMessage = Extract<OperationMessage, { readonly op: "get" }>;

/** One operation under way. `place` is null for scans, which no key orders. */
interface Task {
  readonly operation: Operation;
  readonly place: Place | null;
  readonly patience: Patience;
  readonly weight: number;
}

export class Performer {
  readonly #finder: LeaderFinder;
  readonly #direct: DirectReads;
  readonly #lanes = new KeyLanes();
  readonly #budget = new RetryBudget();
  readonly #random: () => number;
  #running = 0;
  #weight = 0;
  #idle: (() => void) | null = null;
  #closed = false;

  /** @param random In [0, 1), for back-off. */
  constructor(finder: LeaderFinder, random: () => number) {
    this.#finder = finder;
    this.#direct = new DirectReads(() => finder.session, finder.credentials);
    this.#random = random;
  }

  /**
   * Sends a message to the leader until its outcome is settled or the deadline passes.
   * @param weight What its value adds to memory, in UTF-16 units.
   */
  async run<Message extends OperationMessage>(
    message: Message,
    patience: Patience,
    weight: number,
  ): Promise<AnswerOf<Message>> {
    const task = this.#begin(message, patience, weight);
    try {
      const answer = await this.#attempts(task);
      this.#end(task, null);
      return answer as AnswerOf<Message>; // the wire reference says which answer it is
    } catch (error) {
      this.#end(task, error);
      throw error;
    }
  }

  /** A read at level one: from a storage node, or from the coordinator where that does not work out. */
  async readAtOne(message: GetMessage, patience: Patience): Promise<Entry | null> {
    const task = this.#begin(message, patience, 0);
    try {
      const entry = await this.#readDirectly(message.key, task);
      const answer = entry === undefined ? ((await this.#attempts(task)) as GetAnswer) : null;
      this.#end(task, null);
      if (answer === null) return entry ?? null;
      return new Entry({ key: message.key, value: answer.value, version: answer.version, stale: true });
    } catch (error) {
      this.#end(task, error);
      throw error;
    }
  }

  /** Refuses new operations and waits for those under way. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#direct.close();
  }

  /** Admits an operation and gives it its place. @throws KvError SHUTTING_DOWN, OVERLOADED */
  #begin(message: OperationMessage, patience: Patience, weight: number): Task {
    if (this.#closed) throw new KvError("SHUTTING_DOWN", "the client is closed; nothing was sent");
    if (this.#running >= OPERATIONS_MAX || (this.#running > 0 && this.#weight + weight > WEIGHT_MAX)) {
      const limit = `${OPERATIONS_MAX} operations or ${WEIGHT_MAX / 1024 / 1024} MiB of values`;
      throw new KvError(
        "OVERLOADED",
        `${limit} are under way, the limit of a client; nothing was sent: await some first`,
      );
    }
    this.#running++;
    this.#weight += weight;
    this.#budget.earn();
    const operation = new Operation(message);
    return {
      operation,
      place: message.op === "scan" ? null : this.#lanes.enter(message.key, operation),
      patience,
      weight,
    };
  }

  #end({ place, weight }: Task, error: unknown): void {
    place?.leave(error instanceof KvError && isWithoutEffect(error) ? "none" : "effect");
    this.#weight -= weight;
    if (--this.#running === 0) this.#idle?.();
  }

  async #readDirectly(key: string, task: Task): Promise<Entry | null | undefined> {
    while (task.place?.maySend(DIRECT) === false) await this.#turn(task, null);
    task.place?.sent(DIRECT);
    const entry = await this.#direct.read(key, task.patience);
    if (entry === undefined) task.place?.returned();
    return entry;
  }

  async #attempts(task: Task): Promise<object> {
    const { operation, place, patience } = task;
    let last: KvError | null = null;
    for (;;) {
      const session = this.#finder.session;
      if (session === null) await this.#leader(task);
      else if (place?.maySend(session) === false) await this.#turn(task, last);
      else {
        place?.sent(session);
        const { epoch } = session;
        try {
          const timeoutMs = Math.max(1, leftMs(patience));
          return await session.call(operation.message, undefined, { timeoutMs, signal: patience.signal });
        } catch (error) {
          place?.returned();
          if (!(error instanceof KvError)) throw error;
          last = error;
          await this.#recover(task, { session, epoch, error });
        }
      }
    }
  }

  /** Returns when the operation may be tried again; throws what to tell the caller where it may not. */
  async #recover(task: Task, failure: { session: Session; epoch: number; error: KvError }): Promise<void> {
    const { operation, place, patience } = task;
    const { session, epoch, error } = failure;
    if ((error.code === "TIMEOUT" && !error.details["aborted"]) || error.code === "NO_QUORUM")
      this.#finder.doubt(session);
    const decision = operation.failed(error, epoch);
    if (decision.kind === "elsewhere") this.#finder.reject(session, error.details["leader"]);
    if (decision.kind === "fail") throw decision.error;
    const delayMs = this.#delayMs(decision);
    if (delayMs >= leftMs(patience)) throw operation.finalError(error);
    if (decision.kind === "again" && !this.#budget.spend()) throw operation.finalError(error);
    this.#check(await pause(patience, delayMs), operation, error);
    if (place?.overtaken) throw operation.finalError(error);
  }

  /** The first move to another coordinator costs nobody anything; everything else is spread out in time. */
  #delayMs(decision: { kind: "elsewhere"; moves: number } | { kind: "again"; attempts: number }): number {
    if (decision.kind === "again") return backoffMs(decision.attempts, this.#random());
    return decision.moves === 1 ? 0 : backoffMs(decision.moves, this.#random());
  }

  /** Waits for a leader. */
  async #leader({ operation, patience }: Task): Promise<void> {
    const end = await this.#finder.wait(patience);
    this.#check(end, operation, this.#finder.noLeader("waited until the deadline"));
  }

  /** Waits until something changes for its place. @param last What its latest attempt failed with. */
  async #turn({ operation, place, patience }: Task, last: KvError | null): Promise<void> {
    if (place === null) return;
    const end = await waitFor(patience, (done) => place.onChange(done));
    const why = "earlier operations on the same key are not settled: this one was not sent before its deadline";
    this.#check(end, operation, last ?? new KvError("OVERLOADED", why));
    if (place.overtaken && last !== null) throw operation.finalError(last);
  }

  #check(end: WaitEnd, operation: Operation, atDeadline: KvError): void {
    if (end === "deadline") throw operation.finalError(atDeadline);
    if (end === "aborted")
      throw operation.finalError(new KvError("CANCELLED", "aborted by the caller; nothing was sent"));
  }
}

/** Whether an operation that failed so has neither changed nor told anything. */
function isWithoutEffect(error: KvError): boolean {
  return error.outcome === "failed" && error.code !== "CONDITION_FAILED" && error.code !== "NOT_FOUND";
}
