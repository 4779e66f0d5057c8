// Census: brings the summaries of all slots up to date before somebody is told what the node holds. That takes microseconds for each
// register that changed since they were counted last, and there may be some hundred thousand: counted in one go they kept the clients of
// a busy node waiting for a fifth of a second, with every look at a dashboard. So it is done in slices, and others come in between; and
// where there was more to count than the time for it, the next one waits, so that whoever looks again and again takes a tenth of the node
// at most.
import { setImmediate as turn } from "node:timers/promises";
import { monotonicMs } from "../shared/io/system-clock.ts";
import { SLOTS } from "../shared/limits.ts";
import type { Engine } from "./engine/engine.ts";

const SLICE_MS = 2;
/** Then what is known is told: a leader waits half a second for an answer. What was counted stays counted. */
const CENSUS_MS_MAX = 250;
/** How long what is known is told after a census that did not come to its end. */
const REST_MS = 9 * CENSUS_MS_MAX;

export class Census {
  readonly #engine: Pick<Engine, "summary">;
  readonly #now: () => number;
  #running: Promise<void> | undefined;
  #stopped = false;
  /** The first slot that the last one did not come to. */
  #next = 0;
  #restsUntil = Number.NEGATIVE_INFINITY;

  /** @param now Milliseconds of a monotonic clock. */
  constructor(engine: Pick<Engine, "summary">, now: () => number = monotonicMs) {
    this.#engine = engine;
    this.#now = now;
  }

  /** Resolves when every slot was counted, or the time for it is over. Who asks meanwhile waits for the same. */
  async taken(): Promise<void> {
    if (this.#now() < this.#restsUntil) return;
    this.#running ??= this.#take().finally(() => (this.#running = undefined));
    await this.#running;
  }

  /** The engine is about to close. */
  stop(): void {
    this.#stopped = true;
  }

  async #take(): Promise<void> {
    const beganAt = this.#now();
    let sliceAt = beganAt;
    for (let counted = 0; counted < SLOTS; counted++) {
      if (this.#now() - sliceAt >= SLICE_MS) {
        await turn();
        sliceAt = this.#now();
        if (sliceAt - beganAt >= CENSUS_MS_MAX) return void (this.#restsUntil = sliceAt + REST_MS);
      }
      if (this.#stopped) return;
      this.#engine.summary(this.#next);
      this.#next = (this.#next + 1) % SLOTS;
    }
  }
}
