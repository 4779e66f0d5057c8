// Calls in flight: what a Map would say, whichever of them are late.
import { expect, test } from "vitest";
import { InFlight } from "../../../shared/client/in-flight.ts";
import { seededRandom } from "../../support/random.ts";

interface Call {
  readonly id: number;
}

test("after any calls, settled soon or late, it holds what a Map holds", () => {
  const random = seededRandom(11);
  const model = new Map<number, Call>();
  const calls = new InFlight<Call>();
  for (let id = 1; id <= 60_000; id++) {
    const call = { id };
    model.set(id, call);
    calls.add(call);
    const settled = id - Math.floor(random() ** 8 * 12_000);
    const one = model.get(settled);
    expect(calls.get(settled)).toBe(one);
    if (one !== undefined) {
      model.delete(settled);
      calls.remove(one);
      if (id % 10 === 0) calls.remove(one);
      expect(calls.get(settled)).toBeUndefined();
    }
    expect(calls.size).toBe(model.size);
    if (id % 7_000 === 0) expect(calls.all()).toEqual([...model.values()]);
  }
  expect(model.size, "some are very late").toBeGreaterThan(1_000);
  for (const [id, call] of model) expect(calls.get(id)).toBe(call);
});

test("an id that no call has finds none", () => {
  const calls = new InFlight<Call>();
  calls.add({ id: 4_097 });
  expect([1, 8_193, undefined as unknown as number].map((id) => calls.get(id))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(calls.all()).toEqual([{ id: 4_097 }]);
});
