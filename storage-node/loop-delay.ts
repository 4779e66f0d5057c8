// Loop delay: how long this process has lately kept its event loop from turning. Answers of `ping` and `stats` carry it,
// so that a node which is slow by itself can be told from one behind a slow network.
import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 20;
const WINDOW_MS = 1_000;

export class LoopDelay {
  // It measures from one tick of its timer to the next, so an idle loop reads as the resolution.
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #timer: NodeJS.Timeout;
  #previousMs = 0;

  constructor() {
    this.#histogram.enable();
    this.#timer = setInterval(() => this.#turn(), WINDOW_MS).unref();
  }

  /** Longest delay of the last one to two seconds, in ms with one decimal. */
  get maxMs(): number {
    return Math.round(10 * Math.max(this.#previousMs, this.#currentMs)) / 10;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }

  get #currentMs(): number {
    return Math.max(0, this.#histogram.max / 1e6 - RESOLUTION_MS);
  }

  #turn(): void {
    this.#previousMs = this.#currentMs;
    this.#histogram.reset();
  }
}
