// Census: brings the summaries of all slots up to date before somebody is told what the node holds. That takes microseconds for each
// register that changed since they were counted last, and there may be some hundred thousand: counted in one go they kept the clients of
// a busy node waiting for a fifth of a second, with every look at a dashboard. So it is done in slices, and others come in between.
import { setImmediate as turn } from "node:timers/promises";
import { monotonicMs } from "../shared/io/system-clock.ts";
import { SLOTS } from "../shared/limits.ts";
import type { Engine } from "./engine/engine.ts";

const SLICE_MS = 2;
/** Then what is known is told: a leader waits half a second for an answer. What was counted stays counted. */
const CENSUS_MS_MAX = 250;

export class Census {
  readonly #engine: Pick<Engine, "summary">;
  readonly #now: () => number;
  #running: Promise<void> | undefined;
  #stopped = false;
  /** The first slot that the last one did not come to. */
  #next = 0;

  /** @param now Milliseconds of a monotonic clock. */
  constructor(engine: Pick<Engine, "summary">, now: () => number = monotonicMs) {
    this.#engine = engine;
    this.#now = now;
  }

  /** Resolves when every slot was counted, or the time for it is over. Who asks meanwhile waits for the same. */
  taken(): Promise<void> {
    this.#running ??= this.#take().finally(() => (this.#running = undefined));
    return this.#running;
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
        if (sliceAt - beganAt >= CENSUS_MS_MAX) return;
      }
      if (this.#stopped) return;
      this.#engine.summary(this.#next);
      this.#next = (this.#next + 1) % SLOTS;
    }
  }
}
