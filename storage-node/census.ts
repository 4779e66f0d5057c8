// Census: brings the summaries of all slots up to date before somebody is told what the node holds. That takes microseconds for each
// register that changed since they were counted last, and there may be some hundred thousand: counted in one go they kept the clients of
// a busy node waiting for a fifth of a second, with every look at a dashboard. So it is done in slices, and others come in between; and
// beside many writes there is a rest after it, so that whoever looks again and again takes a tenth of the node at most.
import { setImmediate as turn } from "node:timers/promises";
import { monotonicMs } from "../shared/io/system-clock.ts";
import { SLOTS } from "../shared/limits.ts";
import type { Engine } from "./engine/engine.ts";

const SLICE_MS = 2;
/** Then what is known is told: a leader waits half a second for an answer. What was counted stays counted. */
const CENSUS_MS_MAX = 250;
/** How long what was counted is told beside many writes, in times of what counting took. */
const REST_FACTOR = 9;
/** So few changes are counted at once: ten milliseconds or so. */
const FEW_CHANGES = 1_000;

export class Census {
  readonly #engine: Pick<Engine, "summary" | "position">;
  readonly #now: () => number;
  #running: Promise<void> | undefined;
  #stopped = false;
  /** The first slot that the last one did not come to. */
  #next = 0;
  #restsUntil = Number.NEGATIVE_INFINITY;
  /** The engine's position when the last one began. */
  #from = 0;

  /** @param now Milliseconds of a monotonic clock. */
  constructor(engine: Pick<Engine, "summary" | "position">, now: () => number = monotonicMs) {
    this.#engine = engine;
    this.#now = now;
  }

  /** Resolves when every slot was counted, or the time for it is over. Who asks meanwhile waits for the same. */
  async taken(): Promise<void> {
    const changes = this.#engine.position - this.#from;
    if (changes > FEW_CHANGES && this.#now() < this.#restsUntil) return;
    this.#running ??= this.#take().finally(() => (this.#running = undefined));
    await this.#running;
  }

  /** The engine is about to close. */
  stop(): void {
    this.#stopped = true;
  }

  async #take(): Promise<void> {
    const beganAt = this.#now();
    this.#from = this.#engine.position;
    await this.#countSince(beganAt);
    const endedAt = this.#now();
    this.#restsUntil = endedAt + REST_FACTOR * (endedAt - beganAt);
  }

  async #countSince(beganAt: number): Promise<void> {
    let sliceAt = beganAt;
    for (let counted = 0; counted < SLOTS; counted++) {
      if (this.#now() - sliceAt >= SLICE_MS) {
        await turn();
        sliceAt = this.#now();
        if (sliceAt - beganAt >= CENSUS_MS_MAX) return;
      }
      if (this.#stopped) return;
      this.#engine.summary(this.#next);
      this.#next = (this.#next + 1) % SLOTS;
    }
  }
}
