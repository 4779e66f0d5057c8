// An open loop: operations are issued by a schedule, and each counts from when it was due. A store that stands still is asked on,
// and every operation that had to wait for it says so: no stall hides behind callers that wait (coordinated omission).
//
// What is due is issued once a millisecond, which leaves the cores to the store; the wait for it counts, too.
import { setTimeout as sleep } from "node:timers/promises";
import type { Caller, Driver } from "./caller.ts";
import type { LoadRun } from "./closed-loop.ts";
import { type Issuer, issuerOf } from "./issuer.ts";
import type { Measured } from "./load-process.ts";
import { dueMs, dueWithin } from "./schedule.ts";
import { Tally } from "./tally.ts";
import type { Workload } from "./workload.ts";

const TICK_MS = 1;
/** Half of what the coordinator admits. What waits here counts from its schedule all the same. */
const IN_FLIGHT_MAX = 8_192;

export class OpenLoop implements LoadRun {
  readonly #issue: Issuer;
  readonly #ratePerSecond: number;
  readonly #tally = new Tally();
  #underWay = 0;
  #beganMs = Infinity;
  #endedMs = Infinity;

  /** @param asked How much of it is under way is not its decision here. */
  constructor(asked: Workload, seed: number, ratePerSecond: number) {
    this.#issue = issuerOf(asked, seed);
    this.#ratePerSecond = ratePerSecond;
  }

  async start(driver: Driver): Promise<void> {
    const caller = driver.caller(0);
    const startedMs = performance.now();
    for (let issued = 0; ; await sleep(TICK_MS)) {
      const nowMs = performance.now();
      const due = dueWithin(Math.min(nowMs, this.#endedMs) - startedMs, this.#ratePerSecond);
      while (issued < due && this.#underWay < IN_FLIGHT_MAX)
        void this.#one(caller, startedMs + dueMs(issued++, this.#ratePerSecond));
      if (nowMs >= this.#endedMs && issued >= due && this.#underWay === 0) return;
    }
  }

  begin(): void {
    this.#beganMs = performance.now();
  }

  end(): void {
    this.#endedMs = performance.now();
  }

  measured(): Measured {
    return this.#tally.measured((this.#endedMs - this.#beganMs) / 1_000);
  }

  /** Counts what was due while it was measured, however late it ends. */
  async #one(caller: Caller, wantedMs: number): Promise<void> {
    const counts = wantedMs >= this.#beganMs;
    this.#underWay++;
    try {
      await this.#issue(caller);
      if (counts) this.#tally.done(1, performance.now() - wantedMs);
    } catch (error) {
      if (counts) this.#tally.failed(error);
    }
    this.#underWay--;
  }
}
