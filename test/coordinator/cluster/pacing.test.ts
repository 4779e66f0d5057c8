// Pacing: upkeep leaves clients four fifths of the time, or four fifths or nine tenths of what is written, whichever lets it go on sooner. On
// a virtual clock.
import { expect, test } from "vitest";
import { CLIENTS_GET, Pacer, restMs } from "../../../coordinator/cluster/pacing.ts";
import { run, sleep, wait, type Script } from "../../../shared/script.ts";
import { Timers } from "../../../shared/timers.ts";

const LONG_AGO = Number.NEGATIVE_INFINITY;

test("where clients write little, the rest is four times as long as the step", () => {
  expect(restMs({ workedMs: 10, worth: 1_000, clientWrites: 0 }, CLIENTS_GET.repair)).toBe(40);
  expect(restMs({ workedMs: 10, worth: 1_000, clientWrites: 5 }, CLIENTS_GET.repair)).toBe(40);
});

test("where they write a lot, it lasts until they have written four times what the step was worth", () => {
  // 20 a millisecond: of the 4 × 100 they had 200 during the step.
  expect(restMs({ workedMs: 10, worth: 100, clientWrites: 200 }, CLIENTS_GET.repair)).toBe(10);
});

test("who takes less rests longer where they write a lot, and no longer where they do not", () => {
  expect(restMs({ workedMs: 10, worth: 1_000, clientWrites: 0 }, CLIENTS_GET.rebalance)).toBe(40);
  expect(restMs({ workedMs: 10, worth: 100, clientWrites: 200 }, CLIENTS_GET.rebalance)).toBe(35);
});

test("a step during which clients have written enough already needs no rest", () => {
  expect(restMs({ workedMs: 10, worth: 50, clientWrites: 200 }, CLIENTS_GET.repair)).toBe(0);
  expect(restMs({ workedMs: 0, worth: 0, clientWrites: 0 }, CLIENTS_GET.repair)).toBe(0);
});

test("one late answer makes no rest of seconds", () => {
  expect(restMs({ workedMs: 5_000, worth: 1_000, clientWrites: 0 }, CLIENTS_GET.repair)).toBeLessThanOrEqual(400);
});

interface Beside {
  readonly clientsPerMs: number;
  readonly stepMs: number;
  readonly worth: number;
  /** How many make steps. Default 1. */
  readonly by?: number;
  readonly clientsGet?: number;
}

/** Upkeep in steps beside clients that write at a rate, for ten seconds; how many were made, by each who made some. */
function tenSeconds({ clientsPerMs, stepMs, worth, by = 1, clientsGet }: Beside): {
  readonly steps: number;
  readonly writes: number;
  readonly each: readonly number[];
} {
  const timers = new Timers(0);
  const clients = {
    inFlight: clientsPerMs > 0 ? 64 : 0,
    idleSince: LONG_AGO,
    get writesEnded() {
      return Math.floor(timers.now * clientsPerMs);
    },
  };
  const pacer = new Pacer(timers, clients);
  const each = Array.from({ length: by }, () => 0);
  function* work(who: number): Script<void> {
    while (timers.now < 10_000) {
      yield* pacer.step(
        () => wait(sleep(timers, stepMs)),
        () => worth,
        clientsGet,
      );
      each[who]!++;
    }
  }
  for (const who of each.keys()) run(work(who));
  for (let next = timers.nextAt; next !== undefined; next = timers.nextAt) timers.advance(next);
  return { steps: each.reduce((sum, steps) => sum + steps, 0), writes: clients.writesEnded, each };
}

test("beside busy clients upkeep is worth a fifth of all that is written", () => {
  const { steps, writes } = tenSeconds({ clientsPerMs: 10, stepMs: 10, worth: 100 });
  expect((steps * 100) / (steps * 100 + writes)).toBeCloseTo(0.2, 2);
});

test("beside slow clients it takes a fifth of the time", () => {
  const { steps } = tenSeconds({ clientsPerMs: 0.1, stepMs: 10, worth: 100 });
  expect((steps * 10) / 10_000).toBeCloseTo(0.2, 2);
});

test("copying takes a tenth of all that is written, or a fifth of the time", () => {
  const busy = tenSeconds({ clientsPerMs: 20, stepMs: 10, worth: 100, clientsGet: CLIENTS_GET.rebalance });
  expect((busy.steps * 100) / (busy.steps * 100 + busy.writes)).toBeCloseTo(0.1, 2);
  const slow = tenSeconds({ clientsPerMs: 0.1, stepMs: 10, worth: 100, clientsGet: CLIENTS_GET.rebalance });
  expect((slow.steps * 10) / 10_000).toBeCloseTo(0.2, 2);
});

test("where nobody is served it does not rest", () => {
  expect(tenSeconds({ clientsPerMs: 0, stepMs: 10, worth: 100 }).steps).toBe(1_000);
});

test("whoever makes steps, all of them together take the fifth, each its turn", () => {
  const busy = tenSeconds({ clientsPerMs: 10, stepMs: 10, worth: 100, by: 3 });
  expect((busy.steps * 100) / (busy.steps * 100 + busy.writes)).toBeCloseTo(0.2, 2);
  expect(Math.max(...busy.each) - Math.min(...busy.each)).toBeLessThanOrEqual(1);
  expect((tenSeconds({ clientsPerMs: 0.1, stepMs: 10, worth: 100, by: 3 }).steps * 10) / 10_000).toBeCloseTo(0.2, 2);
});

test("where nobody is served nobody waits for a turn", () => {
  expect(tenSeconds({ clientsPerMs: 0, stepMs: 10, worth: 100, by: 3 }).steps).toBe(3_000);
});

test("clients that are answered together, and ask again together, are served in between", () => {
  const timers = new Timers(0);
  const clients = { inFlight: 0, idleSince: 0, writesEnded: 64 };
  const pacer = new Pacer(timers, clients);
  timers.advance(2);
  expect(pacer.serving).toBe(true);
  timers.advance(60);
  expect(pacer.serving).toBe(false);
});

/** Fails at the next turn of the clock. */
const failing = (timers: Timers) =>
  function* (): Script<void> {
    yield* wait(sleep(timers, 0));
    throw new Error("as planned");
  };

test("a step that fails gives its turn back", () => {
  const timers = new Timers(0);
  const pacer = new Pacer(timers, { inFlight: 1, idleSince: LONG_AGO, writesEnded: 0 });
  run(pacer.step(failing(timers), () => 0));
  expect(() => timers.advance(0)).toThrow("as planned");
  const next = run(
    pacer.step(
      () => wait(sleep(timers, 0)),
      () => 0,
    ),
  );
  timers.advance(1);
  expect(next.done).toBe(true);
});

/** Something of `ms` that says when it begins and ends. */
function spoken(timers: Timers, said: string[], name: string, ms: number): () => Script<void> {
  return function* () {
    said.push(`${name} begins`);
    yield* wait(sleep(timers, ms));
    said.push(`${name} ends`);
  };
}

test.each([0, 64])(
  "what runs alone begins when steps have their answers, and steps when it is over (%i served)",
  (inFlight) => {
    const timers = new Timers(0);
    const pacer = new Pacer(timers, { inFlight, idleSince: LONG_AGO, writesEnded: 0 });
    const said: string[] = [];
    const step = (name: string): void => {
      run(pacer.step(spoken(timers, said, name, 10), () => 0));
    };
    step("first");
    run(pacer.alone(spoken(timers, said, "alone", 10)));
    run(pacer.alone(spoken(timers, said, "next", 10)));
    step("second");
    for (let next = timers.nextAt; next !== undefined; next = timers.nextAt) timers.advance(next);
    const order = ["first", "alone", "next", "second"];
    expect(said).toEqual(order.flatMap((name) => [`${name} begins`, `${name} ends`]));
  },
);

test("what fails alone lets steps go on", () => {
  const timers = new Timers(0);
  const pacer = new Pacer(timers, { inFlight: 0, idleSince: LONG_AGO, writesEnded: 0 });
  run(pacer.alone(failing(timers)));
  expect(() => timers.advance(0)).toThrow("as planned");
  const said: string[] = [];
  run(pacer.step(spoken(timers, said, "step", 0), () => 0));
  timers.advance(1);
  expect(said).toEqual(["step begins", "step ends"]);
});
