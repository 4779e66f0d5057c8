// A closed loop: so many callers, each of which asks again as soon as it was answered. It finds out how much a store bears; while
// the store stands still it asks nothing, so a stall counts once for each caller.
import type { Caller, Driver } from "./caller.ts";
import { type Issuer, issuerOf } from "./issuer.ts";
import type { Measured } from "./load-process.ts";
import { Tally } from "./tally.ts";
import type { Workload } from "./workload.ts";

/** A run of a workload, told from outside what to measure. */
export interface LoadRun {
  /** Settles when nothing is under way any more, after `end`. */
  start(driver: Driver): Promise<void>;
  begin(): void;
  end(): void;
  /** Once `start` has settled. */
  measured(): Measured;
}

export class ClosedLoop implements LoadRun {
  readonly #workload: Workload;
  readonly #issue: Issuer;
  #tally = new Tally();
  #running = true;
  #beganMs = 0;
  #measured: Measured = this.#tally.measured(0);

  constructor(asked: Workload, seed: number) {
    this.#workload = asked;
    this.#issue = issuerOf(asked, seed);
  }

  async start(driver: Driver): Promise<void> {
    const { inFlight, together } = this.#workload;
    await Promise.all(Array.from({ length: inFlight / together }, (_, index) => this.#calls(driver.caller(index))));
  }

  begin(): void {
    this.#tally = new Tally();
    this.#beganMs = performance.now();
  }

  end(): void {
    this.#running = false;
    this.#measured = this.#tally.measured((performance.now() - this.#beganMs) / 1_000);
  }

  measured(): Measured {
    return this.#measured;
  }

  async #calls(caller: Caller): Promise<void> {
    const { together } = this.#workload;
    while (this.#running) {
      const startedMs = performance.now();
      try {
        await this.#issue(caller);
        this.#tally.done(together, performance.now() - startedMs);
      } catch (error) {
        this.#tally.failed(error);
      }
    }
  }
}
