// Pacing: how much of the cluster's time upkeep takes while clients are served: at most a fifth, and copying to new members only a tenth
// where clients write a lot, as whoever adds a node can wait and a replica that is behind should not. It works in small steps: it asks,
// waits for the answer, and rests. How long depends on what the step was worth, in writes of clients: until they have written four times
// as much since it began (nine times, for a tenth), at the rate at which they did so meanwhile; and never longer than four times the step's
// own duration, since whoever works a fifth of the time cannot take more. So the one bound holds where clients write a lot and make every
// answer late, the other where they write little. Steps come one after the other, whoever makes them, so that the share is that of all
// upkeep together; and none is made while slots change hands. Where nobody is served it does not rest at all, nor wait for its turn.
import type { Sequencer } from "../sequencer/sequencer.ts";
import { Future, sleep, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";

/** What clients write for each write that a step was worth. */
export const CLIENTS_GET = {
  /** Repair takes a fifth. */
  repair: 4,
  /**
   * Copying takes a tenth. Of a fifth, clients lost up to a third while a node was added (four runs in turns, first three seconds: 69, 68 % of
   * the puts were left, of a tenth 80, 75 %): code is compiled that runs for the first time, and what was moved is written to tables, too.
   */
  rebalance: 9,
} as const;
/**
 * What clients get of the time for what a step takes of it. The same for copying: beside clients who write little, or on a slow machine, a
 * tenth of the time only made a small rebalance take three times as long.
 */
const CLIENTS_GET_TIME = 4;
/**
 * Nobody is served when nothing was under way for so long. Clients that are answered together ask again together: between the two there is
 * nothing under way, and an answer to upkeep is as likely to come then as at any time.
 */
const QUIET_MS = 10;
/** Longest rest: what made one answer late need not last. */
const REST_MS_MAX = 400;

/**
 * What a piece of upkeep costs all processes together, in writes of clients: of some 50 µs of CPU where 64 are in flight, at three nodes,
 * coordinator and client. Measured like that, with code that was warm.
 */
export const WORTH = {
  /** Looking at one entry in a node, to list it or to leave it out: 1.4 µs where it is in memory, 5.5 in the table; and telling it. */
  listed: 0.08,
  /** Reading a key at one node and writing it at another. */
  mended: 1,
  /** Comparing one slot by its digests. */
  compared: 0.3,
  /** A key read in a page of one node, sent to another, and stored there. */
  pulled: 0.75,
  /** A key that is new to the digest of its slot, at one node: 4.5 µs, and 6 where it is in the table. */
  counted: 0.1,
} as const;

/** A step of upkeep and what clients did meanwhile. */
export interface Step {
  /** From asking to the answer. */
  readonly workedMs: number;
  /** In writes of clients. */
  readonly worth: number;
  /** Writes of clients that ended meanwhile. */
  readonly clientWrites: number;
}

/** Rest after a step while clients are served, ms. @param clientsGet What clients write for what it was worth */
export function restMs({ workedMs, worth, clientWrites }: Step, clientsGet: number): number {
  const byTime = CLIENTS_GET_TIME * workedMs;
  const missing = clientsGet * worth - clientWrites;
  const byWrites = missing <= 0 ? 0 : (missing / clientWrites) * workedMs;
  return Math.min(REST_MS_MAX, byTime, byWrites);
}

/** What upkeep sees of the operations of clients. */
type Served = Pick<Sequencer, "inFlight" | "idleSince" | "writesEnded">;

/** Clocks steps by their answers, and lets one of them work or rest at a time. */
export class Pacer {
  readonly #timers: Timers;
  readonly #sequencer: Served;
  /** Done when the step that has the turn has rested. */
  #turn: Future<void> | undefined;
  /** Steps that wait for their answers. */
  #working = 0;
  /** Done when the last of them has it. */
  #answered: Future<void> | undefined;
  /** Done when what runs `alone` is over. */
  #alone: Future<void> | undefined;

  constructor(timers: Timers, sequencer: Served) {
    this.#timers = timers;
    this.#sequencer = sequencer;
  }

  /** Whether clients are served: steps are small then. */
  get serving(): boolean {
    const { inFlight, idleSince } = this.#sequencer;
    return inFlight > 0 || this.#timers.now - idleSince < QUIET_MS;
  }

  /**
   * One step and its rest, when its turn has come. A step must not wait for another one.
   * @param work From asking to the answer
   * @param worth What it did, in writes of clients
   * @param clientsGet What clients write for what it was worth
   */
  *step<T>(work: () => Script<T>, worth: (done: T) => number, clientsGet: number = CLIENTS_GET.repair): Script<T> {
    for (let busy = this.#busy; busy; busy = this.#busy) yield* wait(busy);
    if (!this.serving) return yield* this.#worked(work);
    const turn = new Future<void>();
    this.#turn = turn;
    try {
      const { now: at } = this.#timers;
      const { writesEnded } = this.#sequencer;
      const done = yield* this.#worked(work);
      const clientWrites = this.#sequencer.writesEnded - writesEnded;
      const ms = restMs({ workedMs: this.#timers.now - at, worth: worth(done), clientWrites }, clientsGet);
      if (this.serving && ms > 0) yield* wait(sleep(this.#timers, ms));
      return done;
    } finally {
      this.#turn = undefined;
      turn.resolve();
    }
  }

  /** What a step has to wait for. */
  get #busy(): Future<void> | undefined {
    return this.#alone ?? (this.serving ? this.#turn : undefined);
  }

  *#worked<T>(work: () => Script<T>): Script<T> {
    this.#working++;
    try {
      return yield* work();
    } finally {
      if (--this.#working === 0) this.#answered?.resolve();
    }
  }

  /**
   * Upkeep that clients wait for: it begins when the steps at work have their answers, and no other begins before it ends. It must make no
   * step itself.
   */
  *alone<T>(work: () => Script<T>): Script<T> {
    while (this.#alone) yield* wait(this.#alone);
    const over = new Future<void>();
    this.#alone = over;
    try {
      while (this.#working > 0) {
        this.#answered = new Future();
        yield* wait(this.#answered);
      }
      return yield* work();
    } finally {
      this.#alone = undefined;
      over.resolve();
    }
  }
}
