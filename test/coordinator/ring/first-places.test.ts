import { describe, expect, test } from "vitest";
import { place } from "../../../coordinator/ring/placement.ts";
import { SLOTS } from "../../../shared/limits.ts";
import { firstsBy, membersNamed, worstFirstPlaces } from "./placement-facts.ts";

describe("first places", () => {
  test("a slot whose members stay keeps its list as it is, order included", () => {
    const old = place({ old: [], members: membersNamed(5), copies: 3, seed: 1 });
    const next = place({ old, members: membersNamed(6), copies: 3, seed: 1 });
    const same = next.filter((list, slot) => list.toSorted().join() === old[slot]!.toSorted().join());
    expect(same.length).toBe(SLOTS - 2048);
    for (const [slot, list] of next.entries()) if (same.includes(list)) expect(list).toEqual(old[slot]);
  });

  test("in a list that changes, kept members stay in their order behind the first, new ones last", () => {
    const old = place({ old: [], members: membersNamed(6), copies: 3, seed: 2 });
    const next = place({ old, members: membersNamed(6), copies: 5, seed: 2 });
    for (const [slot, list] of next.entries()) {
      const kept = old[slot]!.filter((id) => id !== list[0]);
      expect(list.slice(1, 1 + kept.length)).toEqual(kept);
    }
  });

  test.each([2, 3, 5])("stay within 1.05 of even while nodes come and go one by one, at %i copies", (copies) => {
    let table: string[][] = [];
    for (const count of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3]) {
      table = place({ old: table, members: membersNamed(count), copies, seed: 3 });
      expect(worstFirstPlaces(table)).toBeLessThanOrEqual(1.05);
    }
  });

  test("follow the weights", () => {
    const table = place({ old: [], members: membersNamed(4, (index) => index + 1), copies: 2, seed: 4 });
    const firsts = firstsBy(table);
    for (let index = 0; index < 4; index++) {
      expect(Math.abs(firsts.get(`node-${index}`)! - (SLOTS * (index + 1)) / 10)).toBeLessThanOrEqual(5);
    }
  });
});
