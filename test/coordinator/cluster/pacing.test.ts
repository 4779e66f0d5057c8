// Pacing: upkeep leaves clients four fifths, of the time or of what is written, whichever lets it go on sooner. On a virtual clock.
import { expect, test } from "vitest";
import { Pacer, restMs } from "../../../coordinator/cluster/pacing.ts";
import { run, sleep, wait, type Script } from "../../../shared/script.ts";
import { Timers } from "../../../shared/timers.ts";

test("where clients write little, the rest is four times as long as the step", () => {
  expect(restMs({ workedMs: 10, worth: 1_000, clientWrites: 0 })).toBe(40);
  expect(restMs({ workedMs: 10, worth: 1_000, clientWrites: 5 })).toBe(40);
});

test("where they write a lot, it lasts until they have written four times what the step was worth", () => {
  // 20 a millisecond: of the 4 × 100 they had 200 during the step.
  expect(restMs({ workedMs: 10, worth: 100, clientWrites: 200 })).toBe(10);
});

test("a step during which clients have written enough already needs no rest", () => {
  expect(restMs({ workedMs: 10, worth: 50, clientWrites: 200 })).toBe(0);
  expect(restMs({ workedMs: 0, worth: 0, clientWrites: 0 })).toBe(0);
});

test("one late answer makes no rest of seconds", () => {
  expect(restMs({ workedMs: 5_000, worth: 1_000, clientWrites: 0 })).toBeLessThanOrEqual(400);
});

/** Upkeep in steps beside clients that write at a rate, for ten seconds. */
function tenSeconds({ clientsPerMs, stepMs, worth }: { clientsPerMs: number; stepMs: number; worth: number }): {
  readonly steps: number;
  readonly writes: number;
} {
  const timers = new Timers(0);
  const clients = {
    inFlight: clientsPerMs > 0 ? 64 : 0,
    get writesEnded() {
      return Math.floor(timers.now * clientsPerMs);
    },
  };
  const pacer = new Pacer(timers, clients);
  let steps = 0;
  function* work(): Script<void> {
    while (timers.now < 10_000) {
      const began = pacer.begin();
      yield* wait(sleep(timers, stepMs));
      steps++;
      yield* pacer.rest(began, worth);
    }
  }
  run(work());
  for (let next = timers.nextAt; next !== undefined; next = timers.nextAt) timers.advance(next);
  return { steps, writes: clients.writesEnded };
}

test("beside busy clients upkeep is worth a fifth of all that is written", () => {
  const { steps, writes } = tenSeconds({ clientsPerMs: 10, stepMs: 10, worth: 100 });
  expect((steps * 100) / (steps * 100 + writes)).toBeCloseTo(0.2, 2);
});

test("beside slow clients it takes a fifth of the time", () => {
  const { steps } = tenSeconds({ clientsPerMs: 0.1, stepMs: 10, worth: 100 });
  expect((steps * 10) / 10_000).toBeCloseTo(0.2, 2);
});

test("where nobody is served it does not rest", () => {
  expect(tenSeconds({ clientsPerMs: 0, stepMs: 10, worth: 100 }).steps).toBe(1_000);
});
