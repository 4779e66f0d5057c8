// PROTOCOL "Placement", claim by claim. Slots are counted by placement-facts.ts, never by placement's own code.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { place } from "../../../coordinator/ring/placement.ts";
import type { SlotTable } from "../../../coordinator/ring/placement.ts";
import type { RingNode } from "../../../coordinator/ring/ring.ts";
import { SLOTS } from "../../../shared/limits.ts";
import {
  brokenSlots,
  canCopyLess,
  heldBy,
  leastMoved,
  membersNamed,
  moved,
  worstDeviation,
} from "./placement-facts.ts";

const SEED = 7;

interface Cluster {
  members: RingNode[];
  copies: number;
  table: string[][];
}

/** Places and checks what must hold for every table; gives the table, and how much moved against the least possible. */
function placeSound(old: SlotTable, members: readonly RingNode[], copies: number, seed = SEED) {
  const table = place({ old, members, copies, seed });
  expect(brokenSlots(table, members, copies)).toEqual([]);
  expect(worstDeviation(table, members, copies)).toBeLessThan(1.000001);
  return { table, moved: moved(old, table), least: leastMoved(old, table, members) };
}

describe("a new cluster", () => {
  test.each([1, 2, 3, 4, 5, 9, 30, 100])("of %i nodes has max/avg within one slot at 1 to 5 copies", (count) => {
    for (const copies of [1, 2, 3, 5]) {
      const { table } = placeSound([], membersNamed(count), copies);
      const held = [...heldBy(table).values()];
      expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(1);
    }
  });

  test("takes empty lists for no table", () => {
    const empty = Array.from({ length: SLOTS }, () => []);
    const input = { members: membersNamed(4), copies: 3, seed: SEED };
    expect(place({ ...input, old: empty })).toEqual(place({ ...input, old: [] }));
  });

  test("without members has empty lists", () => {
    expect(place({ old: [], members: [], copies: 3, seed: SEED })).toEqual(Array.from({ length: SLOTS }, () => []));
  });

  test("spreads the pairs that share a slot, so that a dead node's load falls on all the others", () => {
    const { table } = placeSound([], membersNamed(6), 2);
    const partners = heldBy(
      table.filter((list) => list.includes("node-0")).map((list) => list.filter((id) => id !== "node-0")),
    );
    expect(partners.size).toBe(5);
    for (const shared of partners.values()) expect(shared).toBeGreaterThan(1365 / 5 / 2);
  });
});

describe("movement with equal weights is the minimum", () => {
  test.each([1, 2, 3, 5])("when nodes are added and removed one by one, at %i copies", (copies) => {
    let table: string[][] = [];
    for (const count of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]) {
      const step = placeSound(table, membersNamed(count), copies);
      expect(step.moved, `to ${count} nodes`).toBe(step.least);
      table = step.table;
    }
  });

  test("when any node of several goes, not just the last", () => {
    for (const count of [4, 5, 8, 11]) {
      const members = membersNamed(count);
      const { table } = placeSound([], members, 3);
      for (const gone of members) {
        const step = placeSound(
          table,
          members.filter((member) => member !== gone),
          3,
        );
        expect(step.moved, `${gone.id} of ${count} gone`).toBe(heldBy(table).get(gone.id));
      }
    }
  });

  test("when the number of copies goes up, and nothing moves when it goes down", () => {
    for (const count of [5, 10, 30]) {
      let { table } = placeSound([], membersNamed(count), 1);
      for (const copies of [2, 3, 4, 5]) {
        const step = placeSound(table, membersNamed(count), copies);
        expect(step.moved).toBe(SLOTS);
        table = step.table;
      }
      for (const copies of [3, 2, 1]) {
        const step = placeSound(table, membersNamed(count), copies);
        expect(step.moved).toBe(0);
        table = step.table;
      }
    }
  });

  test("when a node is replaced: its slots alone", () => {
    const { table } = placeSound([], membersNamed(6), 3);
    const replaced = membersNamed(7).filter((member) => member.id !== "node-2");
    expect(placeSound(table, replaced, 3).moved).toBe(heldBy(table).get("node-2"));
  });
});

describe("the result depends on nothing but its input", () => {
  test("not on the order of the members", () => {
    const members = membersNamed(9, (index) => 1 + (index % 3));
    const old = place({ old: [], members: members.slice(2), copies: 3, seed: SEED });
    const input = { old, copies: 3, seed: SEED };
    expect(place({ ...input, members: members.toReversed() })).toEqual(place({ ...input, members }));
  });

  test("twice the same is the same, and the input is left as it was", () => {
    const old = place({ old: [], members: membersNamed(5), copies: 3, seed: SEED });
    const copy = structuredClone(old);
    const input = { old, members: membersNamed(6), copies: 2, seed: SEED };
    expect(place(input)).toEqual(place(input));
    expect(old).toEqual(copy);
  });

  test("placing again changes nothing, so a plan that was carried out plans nothing", () => {
    for (const weight of [() => 1, (index: number) => [1, 5, 0.5][index % 3]!]) {
      const { table } = placeSound([], membersNamed(7, weight), 3);
      expect(place({ old: table, members: membersNamed(7, weight), copies: 3, seed: SEED })).toEqual(table);
    }
  });

  test("another seed is another table", () => {
    const input = { old: [], members: membersNamed(5), copies: 1 };
    expect(place({ ...input, seed: 1 })).not.toEqual(place({ ...input, seed: 2 }));
  });
});

describe("weights", () => {
  test("twice the weight is twice the slots", () => {
    const { table } = placeSound(
      [],
      membersNamed(4, (index) => (index === 0 ? 2 : 1)),
      2,
    );
    expect(["node-0", "node-1", "node-2", "node-3"].map((id) => heldBy(table).get(id))).toEqual([
      3277, 1639, 1638, 1638,
    ]);
  });

  test("a node too heavy for its share holds every slot and no more", () => {
    const { table } = placeSound(
      [],
      membersNamed(4, (index) => (index === 0 ? 100 : 1)),
      2,
    );
    expect(heldBy(table).get("node-0")).toBe(SLOTS);
  });

  test("a change of weight moves what the new shares need, forth and back", () => {
    const equal = placeSound([], membersNamed(6), 3);
    const heavy = placeSound(
      equal.table,
      membersNamed(6, (index) => (index === 0 ? 2 : 1)),
      3,
    );
    expect(heavy.moved).toBe(heavy.least);
    const back = placeSound(heavy.table, membersNamed(6), 3);
    expect(back.moved).toBe(back.least);
  });

  test("a weight of 0 or beyond the limit is our own mistake, and so are two members of one id", () => {
    const bad = [membersNamed(2, () => 0), membersNamed(2, () => 101), [...membersNamed(2), ...membersNamed(1)]];
    for (const members of bad) expect(() => place({ old: [], members, copies: 1, seed: SEED })).toThrow("invariant");
  });
});

/** Small reproducible generator: the same seed is the same run. */
function drawsFrom(seed: number): (below: number) => number {
  let state = (seed * 0x9e3779b1) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** One random change of topology; returns the new cluster, its table still the old one. */
function change(cluster: Cluster, draw: (below: number) => number, weight: () => number, name: string): Cluster {
  const { members } = cluster;
  const chosen = members[draw(members.length)]!;
  switch (draw(4)) {
    case 0:
      return { ...cluster, members: [...members, { id: name, weight: weight() }] };
    case 1:
      return members.length === 1 ? cluster : { ...cluster, members: members.filter((member) => member !== chosen) };
    case 2:
      return { ...cluster, copies: 1 + draw(5) };
    default: {
      const reweighted = { ...chosen, weight: weight() };
      return { ...cluster, members: members.map((member) => (member === chosen ? reweighted : member)) };
    }
  }
}

function runChanges(seed: number, weights: readonly number[]): void {
  const draw = drawsFrom(seed);
  const weight = (): number => weights[draw(weights.length)]!;
  let cluster: Cluster = { members: membersNamed(1 + draw(10), weight), copies: 1 + draw(5), table: [] };
  for (let step = 0; step < 12; step++) {
    const next = change(cluster, draw, weight, `new-${step}`);
    const placed = placeSound(cluster.table, next.members, next.copies, seed);
    const at = `seed ${seed} step ${step}`;
    if (weights.length === 1) expect(placed.moved, at).toBe(placed.least);
    else expect(canCopyLess(cluster.table, placed.table, next.members), at).toBe(false);
    cluster = { ...next, table: placed.table };
  }
}

describe("random sequences of adds, removes, weights and copies keep all of it, and nothing moves needlessly", () => {
  const seeds = Array.from({ length: process.env["HOLDFAST_LONG"] === "1" ? 20 : 4 }, (_, index) => index + 1);

  test.each(seeds)("equal weights, seed %i", (seed) => runChanges(seed, [1]));
  test.each(seeds)("weights 1 to 4, seed %i", (seed) => runChanges(seed, [1, 2, 3, 4]));
  test.each(seeds)("weights 0.5 to 100, seed %i", (seed) => runChanges(seed, [0.5, 1, 1, 2, 3.7, 10, 100]));

  test("a table that moves more than it has to is found out", () => {
    const members = membersNamed(5);
    const old = place({ old: [], members, copies: 2, seed: SEED });
    expect(canCopyLess(old, old, members)).toBe(false);
    expect(canCopyLess(old, [...old.slice(1), ...old.slice(0, 1)], members)).toBe(true);
  });

  test("any old table at all — short, long, naming members that are gone — is brought to a sound one", () => {
    const ids = membersNamed(9).map((member) => member.id);
    const pattern = fc.array(fc.uniqueArray(fc.constantFrom(...ids), { maxLength: 6 }), {
      minLength: 1,
      maxLength: 40,
    });
    const members = fc.uniqueArray(fc.record({ id: fc.constantFrom(...ids), weight: fc.constantFrom(0.5, 1, 2, 30) }), {
      selector: (member) => member.id,
      minLength: 1,
    });
    fc.assert(
      fc.property(pattern, members, fc.integer({ min: 1, max: 6 }), fc.nat(), (lists, live, copies, seed) => {
        const old = Array.from({ length: SLOTS }, (_, slot) => lists[slot % lists.length]!);
        placeSound(old, live, copies, seed);
      }),
      { numRuns: 25 },
    );
  });
});

describe("600 nodes", () => {
  test("are placed, one added and one removed, with the minimum moved", () => {
    const start = placeSound([], membersNamed(599), 3);
    const added = placeSound(start.table, membersNamed(600), 3);
    const removed = placeSound(added.table, membersNamed(600).slice(1), 3);
    expect([added.moved, removed.moved]).toEqual([added.least, removed.least]);
  });
});
