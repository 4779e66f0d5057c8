// Transient map: what a Map would say, however often it turned over.
import { expect, test } from "vitest";
import { TransientMap } from "../../shared/transient-map.ts";
import { seededRandom } from "../support/random.ts";

const byNumber = (a: number, b: number): number => a - b;

test("after any insertions and deletions it holds what a Map holds", () => {
  const random = seededRandom(7);
  const model = new Map<number, number>();
  const map = new TransientMap<number, number>();
  for (let step = 0; step < 60_000; step++) {
    const key = Math.floor(random() * 300);
    if (random() < 0.55) {
      model.set(key, step);
      map.set(key, step);
    } else expect(map.delete(key)).toBe(model.delete(key));
    expect(map.get(key)).toBe(model.get(key));
    expect(map.has(key)).toBe(model.has(key));
    expect(map.size).toBe(model.size);
    if (step % 5_000 === 0) expect([...map.values()].sort(byNumber)).toEqual([...model.values()].sort(byNumber));
  }
});

test("an entry that stays is found after many others came and went", () => {
  const map = new TransientMap<string, string>();
  map.set("stays", "here");
  for (let n = 0; n < 50_000; n++) {
    map.set(`k${n}`, "x");
    map.delete(`k${n}`);
  }
  expect(map.get("stays")).toBe("here");
  expect(map.size).toBe(1);
});
