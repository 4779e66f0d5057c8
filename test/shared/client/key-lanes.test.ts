import { expect, test } from "vitest";
import type { Place } from "../../../shared/client/key-lanes.ts";
import { KeyLanes } from "../../../shared/client/key-lanes.ts";
import { seededRandom } from "../../support/random.ts";

const write = { writes: true } as const;
const read = { writes: false } as const;
const one = { name: "connection 1" };
const two = { name: "connection 2" };

test("operations on one key are pipelined on one connection", () => {
  const lanes = new KeyLanes();
  const [a, b] = [lanes.enter("k", write), lanes.enter("k", write)];
  expect(b.maySend(one)).toBe(false); // the first is not sent yet
  a.sent(one);
  expect([b.maySend(one), b.maySend(two)]).toEqual([true, false]);
});

test("other keys, and reads among themselves, never wait", () => {
  const lanes = new KeyLanes();
  const [a, b, c] = [lanes.enter("k", read), lanes.enter("k", read), lanes.enter("other", write)];
  expect([a, b, c].map((place) => place.maySend(one))).toEqual([true, true, true]);
});

test("reads and writes of one connection follow each other at once; by another one, only when they are settled", () => {
  const lanes = new KeyLanes();
  const [a, b, c] = [lanes.enter("k", write), lanes.enter("k", read), lanes.enter("k", write)];
  for (const place of [a, b, c]) {
    expect(place.maySend(one)).toBe(true);
    place.sent(one);
  }
  const d = lanes.enter("k", read);
  expect(d.maySend(two)).toBe(false);
  for (const place of [a, c]) place.leave("effect");
  expect(d.maySend(two)).toBe(true);
});

test("a write that came back is sent again only when no later one is on its way", () => {
  const lanes = new KeyLanes();
  const [a, b] = [lanes.enter("k", write), lanes.enter("k", write)];
  a.sent(one);
  b.sent(one);
  a.returned();
  expect(a.maySend(one)).toBe(false);
  b.returned();
  expect([a.maySend(one), b.maySend(one)]).toEqual([true, false]);
});

test("a later operation overtakes by its effect, not by a refusal; a read does not overtake a read", () => {
  const lanes = new KeyLanes();
  const [a, b, c, d] = [
    lanes.enter("k", write),
    lanes.enter("k", read),
    lanes.enter("k", read),
    lanes.enter("k", write),
  ];
  d.leave("none");
  expect([a, b, c].map(({ overtaken }) => overtaken)).toEqual([false, false, false]);
  c.leave("effect");
  expect([a, b].map(({ overtaken }) => overtaken)).toEqual([true, false]);
});

test("lanes are forgotten when empty", () => {
  const lanes = new KeyLanes();
  const places = [lanes.enter("k", write), lanes.enter("k", read), lanes.enter("l", write)];
  expect(lanes.size).toBe(2);
  for (const place of places) place.leave("effect");
  expect(lanes.size).toBe(0);
});

/** One waiting operation as the client runs it: sends when it may, else waits to be woken. */
function run(place: Place, via: object, sent: () => void): void {
  if (place.maySend(via)) {
    sent();
    place.sent(via); // may wake the next at once
  } else place.onChange(() => run(place, via, sent));
}

test("whatever happens, nobody waits for ever, and writes reach a connection in their order", () => {
  const seed = Date.now() % 2 ** 31;
  const random = seededRandom(seed);
  for (let round = 0; round < 300; round++) {
    const lanes = new KeyLanes();
    const order: number[] = [];
    const pending = new Set<Place>();
    const count = 1 + Math.floor(random() * 12);
    const connections = [one, two];
    for (let n = 0; n < count; n++) {
      const writes = random() < 0.6;
      const place = lanes.enter("k", { writes });
      run(place, connections[Math.floor(random() * 2)] as object, () => {
        pending.add(place);
        if (writes) order.push(n);
      });
      // Some of those on their way settle in between, in any order.
      for (const settled of pending) if (random() < 0.3 && pending.delete(settled)) settled.leave("effect");
    }
    for (let turns = 0; lanes.size > 0; turns++) {
      expect(turns, `stuck, seed ${seed} round ${round}`).toBeLessThan(100);
      for (const settled of pending) if (pending.delete(settled)) settled.leave("effect");
    }
    expect(order, `seed ${seed} round ${round}`).toEqual(order.toSorted((a, b) => a - b));
  }
});
