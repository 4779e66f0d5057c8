// Census: everything is counted, in slices, and within a bound.
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { SLOTS } from "../../shared/limits.ts";
import { Census } from "../../storage-node/census.ts";
import type { SlotSummary } from "../../storage-node/engine/engine.ts";
import { EMPTY_DIGEST } from "../../shared/digest.ts";

const NOTHING: SlotSummary = { digest: EMPTY_DIGEST, keys: 0, tombstones: 0, bytes: 0 };

/** An engine for which counting a slot takes a while, by a clock of its own. */
class SlowEngine {
  now = 0;
  position = 0;
  readonly counted: number[] = [];
  readonly #msPerSlot: number;

  constructor(msPerSlot: number) {
    this.#msPerSlot = msPerSlot;
  }

  summary(slot: number): SlotSummary {
    this.counted.push(slot);
    this.now += this.#msPerSlot;
    return NOTHING;
  }
}

test("counts every slot once, and others come in between every two milliseconds", async () => {
  const engine = new SlowEngine(0.05); // 205 ms in all
  const census = new Census(engine, () => engine.now);
  let over = false;
  const taken = census.taken().then(() => (over = true));
  expect(census.taken(), "who asks meanwhile waits for the same").toBeInstanceOf(Promise);
  let longest = 0;
  for (let before = engine.counted.length; !over; before = engine.counted.length) {
    await turn();
    longest = Math.max(longest, engine.counted.length - before);
  }
  await taken;
  expect(engine.counted).toEqual(Array.from({ length: SLOTS }, (_, slot) => slot));
  expect(longest * 0.05).toBeLessThanOrEqual(2.1);
});

test("ends after a quarter of a second, and the next one goes on from there", async () => {
  const engine = new SlowEngine(0.25);
  const census = new Census(engine, () => engine.now);
  await census.taken();
  const first = engine.counted.length;
  expect(engine.now).toBeGreaterThanOrEqual(250);
  expect(engine.now).toBeLessThan(260);
  await census.taken();
  expect(engine.counted[first]).toBe(first);
  for (let more = 0; more < 8; more++) await census.taken();
  expect(new Set(engine.counted).size).toBe(SLOTS);
});

test("beside many writes what was counted stands for nine times as long as counting took", async () => {
  const engine = new SlowEngine(0.02);
  const census = new Census(engine, () => engine.now);
  await census.taken(); // 82 ms
  engine.position += 100_000;
  engine.now += 700;
  await census.taken();
  expect(engine.counted.length).toBe(SLOTS);
  engine.now += 100;
  await census.taken();
  expect(engine.counted.length).toBe(2 * SLOTS);
});

test("few changes are counted at once, and so is what the last one did not come to", async () => {
  const engine = new SlowEngine(0.1); // 410 ms in all
  const census = new Census(engine, () => engine.now);
  await census.taken();
  expect(engine.counted.length).toBeLessThan(SLOTS);
  engine.position += 1_000;
  await census.taken();
  expect(new Set(engine.counted).size).toBe(SLOTS);
});

test("stopped, it asks the engine for nothing more", async () => {
  const engine = new SlowEngine(1);
  const census = new Census(engine, () => engine.now);
  const taken = census.taken();
  const before = engine.counted.length;
  census.stop();
  await taken;
  await census.taken();
  expect(engine.counted.length).toBe(before);
});
