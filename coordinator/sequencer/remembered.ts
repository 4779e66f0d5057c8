// Remembered operations (C8): results of this epoch's writes by their operation id, so that a retry is answered rather than applied
// again. Bounded in number and age; what fell out is found out by a read instead.
//
// Two generations: results go into the present one; when it is full or old it becomes the past one, and the past one is dropped
// whole. Forgetting costs nothing an operation (a list of ages beside one map took 4 % of the coordinator's time). What is remembered
// outlives many garbage collections, so it is kept small: of nearly every write just the number in its version. That an operation is
// new, as nearly all are, a filter tells: not to find it in Maps of this size is to wait for memory ten times.
import { fnv1a } from "../../shared/fnv.ts";
import { OPERATIONS_REMEMBERED_MAX, OPERATIONS_REMEMBERED_MS } from "../../shared/limits.ts";
import type { WriteOutcome } from "./operation.ts";

const GENERATION_MAX = OPERATIONS_REMEMBERED_MAX / 2;

/** An attempt is under way. */
const RUNNING = Symbol("running");

/** A number stands for a write that got this number in the epoch `#epoch`, and has nothing else to tell. */
type Known = typeof RUNNING | number | WriteOutcome;

/** Bits of a generation's filter: at most a tenth of them are ever set. */
const FILTER_BITS = 2 ** 19;

class Generation {
  readonly known = new Map<string, Known>();
  readonly #filter = new Uint32Array(FILTER_BITS / 32);

  /** False: it is not known here. True: it may be. @param hash Of the operation, 32 bits. */
  mayKnow(hash: number): boolean {
    return ((this.#filter[(hash % FILTER_BITS) >>> 5] as number) & (1 << (hash & 31))) !== 0;
  }

  add(operation: string, hash: number): void {
    this.known.set(operation, RUNNING);
    const word = (hash % FILTER_BITS) >>> 5;
    this.#filter[word] = (this.#filter[word] as number) | (1 << (hash & 31));
  }
}

export class Remembered {
  #present = new Generation();
  #past = new Generation();
  #presentSince = 0;
  /** Of the versions that are kept as numbers. */
  #epoch = 0;
  /** Who else asked for what runs: few operations are ever asked for twice. */
  readonly #waiting = new Map<string, ((outcome: WriteOutcome) => void)[]>();

  /** Whether an operation runs for the first time: then its outcome goes to `end`. If not, `join` tells what became of it. */
  begin(operation: string, now: number): boolean {
    if (this.#present.known.size >= GENERATION_MAX || now - this.#presentSince > OPERATIONS_REMEMBERED_MS)
      this.#turnOver(now);
    const hash = fnv1a(operation, 0);
    const maybe = this.#present.mayKnow(hash) || this.#past.mayKnow(hash);
    if (maybe && this.#known(operation) !== undefined) return false;
    this.#present.add(operation, hash);
    return true;
  }

  /** Replies with the outcome of the attempt that runs, or ran: at once, or when it is there. */
  join(operation: string, reply: (outcome: WriteOutcome) => void): void {
    const known = this.#known(operation);
    if (known === RUNNING) this.#waiting.set(operation, [...(this.#waiting.get(operation) ?? []), reply]);
    else if (typeof known === "number") reply({ type: "written", version: [this.#epoch, known] });
    else if (known) reply(known);
  }

  /** The outcome of an attempt. Only successes are kept: a definite failure may be tried again, an unknown outcome found out. */
  end(operation: string, outcome: WriteOutcome): void {
    const { known } = this.#present;
    if (known.get(operation) !== RUNNING) return;
    if (outcome.type === "error") known.delete(operation);
    else known.set(operation, this.#compact(outcome));
    const waiting = this.#waiting.size > 0 ? this.#waiting.get(operation) : undefined;
    if (!waiting) return;
    this.#waiting.delete(operation);
    for (const reply of waiting) reply(outcome);
  }

  #compact(outcome: Extract<WriteOutcome, { type: "written" }>): Known {
    const [epoch, number] = outcome.version;
    const plain = epoch === this.#epoch && outcome.found === undefined && outcome.replicas === undefined;
    return plain ? number : outcome;
  }

  #known(operation: string): Known | undefined {
    return this.#present.known.get(operation) ?? this.#past.known.get(operation);
  }

  /** The epoch of what comes from now on. What is kept of another one is spelled out. */
  epochBegins(epoch: number): void {
    for (const generation of [this.#present.known, this.#past.known]) {
      for (const [operation, known] of generation) {
        if (typeof known === "number") generation.set(operation, { type: "written", version: [this.#epoch, known] });
      }
    }
    this.#epoch = epoch;
  }

  /** What still runs goes on into the new generation. */
  #turnOver(now: number): void {
    const past = this.#present;
    this.#present = new Generation();
    for (const [operation, known] of past.known) {
      if (known !== RUNNING) continue;
      past.known.delete(operation);
      this.#present.add(operation, fnv1a(operation, 0));
    }
    this.#past = past;
    this.#presentSince = now;
  }
}
