// Pacing: how much of the cluster's time repair, and copying to new members, takes while clients are served: a fifth. It works in small
// steps: it asks, waits for the answer, and rests. How long depends on what the step was worth, in writes of clients: until clients have
// written four times as much since it began, at the rate at which they did so meanwhile; and never longer than four times the step's
// own duration, since whoever works a fifth of the time cannot take more. So the one bound holds where clients write a lot and make
// every answer late, the other where they write little. Where nobody is served upkeep does not rest at all.
import type { Sequencer } from "../sequencer/sequencer.ts";
import { sleep, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";

/** What clients get for what upkeep takes. */
const CLIENTS_SHARE = 4;
/** Longest rest: what made one answer late need not last. */
const REST_MS_MAX = 400;

/**
 * What a piece of upkeep costs all processes together, in writes of clients: of some 50 µs of CPU where 64 are in flight, at three nodes,
 * coordinator and client. Measured like that, with code that was warm.
 */
export const WORTH = {
  /** Looking at one entry in a node, to list it or to leave it out. */
  listed: 0.05,
  /** Reading a key at one node and writing it at another. */
  mended: 1,
  /** Comparing one slot by its digests. */
  compared: 0.3,
  /** A key read in a page of one node, sent to another, and stored there. */
  pulled: 0.75,
  /** A key that is new to the digest of its slot, at one node. */
  counted: 0.06,
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

/** Rest after a step while clients are served, ms. */
export function restMs({ workedMs, worth, clientWrites }: Step): number {
  const byTime = CLIENTS_SHARE * workedMs;
  const missing = CLIENTS_SHARE * worth - clientWrites;
  const byWrites = missing <= 0 ? 0 : (missing / clientWrites) * workedMs;
  return Math.min(REST_MS_MAX, byTime, byWrites);
}

/** Clocks steps by their answers: `begin` before asking, `rest` after the answer. */
export class Pacer {
  readonly #timers: Timers;
  readonly #sequencer: Pick<Sequencer, "inFlight" | "writesEnded">;

  constructor(timers: Timers, sequencer: Pick<Sequencer, "inFlight" | "writesEnded">) {
    this.#timers = timers;
    this.#sequencer = sequencer;
  }

  /** Whether clients are served: steps are small then. */
  get serving(): boolean {
    return this.#sequencer.inFlight > 0;
  }

  begin(): { readonly at: number; readonly writes: number } {
    return { at: this.#timers.now, writes: this.#sequencer.writesEnded };
  }

  /** @param worth What the step did, in writes of clients. */
  *rest(began: ReturnType<Pacer["begin"]>, worth: number): Script<void> {
    if (!this.serving) return;
    const { at, writes } = began;
    const step = { workedMs: this.#timers.now - at, worth, clientWrites: this.#sequencer.writesEnded - writes };
    const ms = restMs(step);
    if (ms > 0) yield* wait(sleep(this.#timers, ms));
  }
}
