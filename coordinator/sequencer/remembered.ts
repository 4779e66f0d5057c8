// Remembered operations (C8): results of this epoch's writes by their operation id, so that a retry is answered rather than applied
// again. Bounded in number and age; what fell out is found out by a read instead.
//
// Two generations: results go into the present one; when it is full or old it becomes the past one, and what was past is forgotten
// as a whole. So forgetting costs nothing an operation. Of nearly every write just the number in its version is kept.
import { fnv1a } from "../../shared/fnv.ts";
import { OPERATIONS_REMEMBERED_MAX, OPERATIONS_REMEMBERED_MS } from "../../shared/limits.ts";
import type { WriteOutcome } from "./operation.ts";
import { OutcomeTable } from "./outcome-table.ts";

const GENERATION_MAX = OPERATIONS_REMEMBERED_MAX / 2;

type Written = Extract<WriteOutcome, { type: "written" }>;

// What a table holds of an operation: the number that it got in the epoch `#epoch`, where it has nothing else to tell, or one of these.

/** An attempt is under way. */
const RUNNING = -1;
/** It failed definitely, and may be tried again; or it goes on in the next generation. */
const FORGOTTEN = -2;
/** See `spelledOut`. */
const SPELLED_OUT = -3;
/** Nobody knows whether an attempt took effect. */
const DOUBTFUL = -4;
/** An attempt is under way, and what became of an earlier one is not known. */
const RETRIED = -5;

/** What an attempt at an operation is: it runs, as the first one or after others whose outcome is unknown; or `join` tells what it is. */
export type Attempt = "first" | "later" | "known";

class Generation {
  readonly table = new OutcomeTable();
  /** By their entries: outcomes that are more than a number. */
  readonly spelledOut = new Map<number, Written>();

  clear(): void {
    this.table.clear();
    this.spelledOut.clear();
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

  /** The entry of the attempt that began last: whoever is to tell its `end` may keep it. */
  entry = 0;

  readonly #salt: number;

  /** @param salt 32 bits of this process's own: clients choose the ids, and must not be able to choose where they meet. */
  constructor(salt: number) {
    this.#salt = salt;
  }

  /**
   * An attempt at an operation. One that runs is to be told to `end`.
   * @param retried Whether its client says that the outcome of an earlier one is unknown.
   */
  begin(operation: string, now: number, retried: boolean): Attempt {
    if (this.#present.table.size >= GENERATION_MAX || now - this.#presentSince > OPERATIONS_REMEMBERED_MS)
      this.#turnOver(now);
    const hash = fnv1a(operation, this.#salt);
    const past = this.#past.table.find(operation, hash);
    const inPast = past < 0 ? FORGOTTEN : this.#past.table.outcomeOf(past);
    if (!isOpen(inPast)) return "known";
    const { table } = this.#present;
    const entry = table.find(operation, hash);
    const inPresent = entry < 0 ? FORGOTTEN : table.outcomeOf(entry);
    if (!isOpen(inPresent)) return "known";
    const later = retried || inPast === DOUBTFUL || inPresent === DOUBTFUL;
    const running = later ? RETRIED : RUNNING;
    if (entry < 0) table.add(operation, hash, running);
    else table.put(entry, running);
    this.entry = entry < 0 ? table.size - 1 : entry;
    return later ? "later" : "first";
  }

  /** Replies with the outcome of the attempt that runs, or ran: at once, or when it is there. */
  join(operation: string, reply: (outcome: WriteOutcome) => void): void {
    const known = this.#outcomeIn(this.#present, operation) ?? this.#outcomeIn(this.#past, operation);
    if (known === "running") this.#waiting.set(operation, [...(this.#waiting.get(operation) ?? []), reply]);
    else if (known) reply(known);
  }

  /**
   * The outcome of an attempt. Successes are kept. A definite failure may be tried again. Once an outcome was unknown it stays so until
   * one succeeds: an attempt that was sent before, and arrives late, must not be taken for the first one (seed 641397).
   * @param near Its entry when it began, where that is known: it moves at most once, into another generation.
   */
  end(operation: string, outcome: WriteOutcome, near = -1): void {
    const { table } = this.#present;
    let entry = near < 0 ? -1 : table.findAt(near, operation);
    if (entry < 0) entry = table.find(operation, fnv1a(operation, this.#salt));
    if (entry < 0 || !isRunning(table, entry)) return;
    if (outcome.type === "written") this.#keep(entry, outcome);
    else {
      const doubtful = outcome.error.outcome === "unknown" || table.outcomeOf(entry) === RETRIED;
      table.put(entry, doubtful ? DOUBTFUL : FORGOTTEN);
    }
    const waiting = this.#waiting.size > 0 ? this.#waiting.get(operation) : undefined;
    if (!waiting) return;
    this.#waiting.delete(operation);
    for (const reply of waiting) reply(outcome);
  }

  #keep(entry: number, outcome: Written): void {
    const [epoch, number] = outcome.version;
    const plain = epoch === this.#epoch && outcome.found === undefined && outcome.replicas === undefined;
    if (plain) this.#present.table.put(entry, number);
    else spellOut(this.#present, entry, outcome);
  }

  #outcomeIn(generation: Generation, operation: string): Written | "running" | undefined {
    const entry = generation.table.find(operation, fnv1a(operation, this.#salt));
    if (entry < 0) return undefined;
    const outcome = generation.table.outcomeOf(entry);
    if (isOpen(outcome)) return undefined;
    if (isRunning(generation.table, entry)) return "running";
    if (outcome === SPELLED_OUT) return generation.spelledOut.get(entry);
    return { type: "written", version: [this.#epoch, outcome] };
  }

  /** The epoch of what comes from now on. What is kept of another one is spelled out. */
  epochBegins(epoch: number): void {
    for (const generation of [this.#present, this.#past]) {
      const { table } = generation;
      for (let entry = 0; entry < table.size; entry++) {
        const outcome = table.outcomeOf(entry);
        if (outcome >= 0) spellOut(generation, entry, { type: "written", version: [this.#epoch, outcome] });
      }
    }
    this.#epoch = epoch;
  }

  /** What still runs goes on into the new generation. */
  #turnOver(now: number): void {
    const past = this.#present;
    this.#present = this.#past;
    this.#present.clear();
    this.#past = past;
    this.#presentSince = now;
    for (let entry = 0; entry < past.table.size; entry++) {
      if (!isRunning(past.table, entry)) continue;
      const operation = past.table.idOf(entry);
      this.#present.table.add(operation, fnv1a(operation, this.#salt), past.table.outcomeOf(entry));
      past.table.put(entry, FORGOTTEN);
    }
  }
}

/** Whether an attempt may begin: none runs, and none is known to have taken effect. */
function isOpen(outcome: number): boolean {
  return outcome === FORGOTTEN || outcome === DOUBTFUL;
}

function isRunning(table: OutcomeTable, entry: number): boolean {
  const outcome = table.outcomeOf(entry);
  return outcome === RUNNING || outcome === RETRIED;
}

function spellOut({ table, spelledOut }: Generation, entry: number, outcome: Written): void {
  table.put(entry, SPELLED_OUT);
  spelledOut.set(entry, outcome);
}
