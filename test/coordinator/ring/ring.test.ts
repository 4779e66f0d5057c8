import { describe, expect, test } from "vitest";
import { buildRing, firstTokenAt, RING_TOKENS_MAX, TOKENS_PER_WEIGHT, walk } from "../../../coordinator/ring/ring.ts";
import { membersNamed } from "./placement-facts.ts";

const SEED = 4711;

describe("buildRing", () => {
  test("gives a node 64 tokens for each unit of weight, sorted", () => {
    const ring = buildRing(
      membersNamed(3, (index) => [1, 2, 0.5][index]!),
      SEED,
    );
    const tokensOf = (owner: number): number => ring.owners.filter((other) => other === owner).length;
    expect([0, 1, 2].map(tokensOf)).toEqual([64, 128, 32]);
    expect(ring.tokens.join()).toBe(ring.tokens.toSorted().join());
  });

  test("does not depend on the order of the nodes", () => {
    const nodes = membersNamed(7);
    expect(buildRing(nodes.toReversed(), SEED)).toEqual(buildRing(nodes, SEED));
  });

  test("leaves the tokens of the others where they were when a node comes", () => {
    const before = buildRing(membersNamed(4), SEED);
    const after = buildRing(membersNamed(5), SEED);
    const kept = [...after.tokens].filter((_, index) => after.owners[index] !== 4);
    expect(kept).toEqual([...before.tokens]);
  });

  test("another seed is another ring", () => {
    expect(buildRing(membersNamed(2), 1).tokens).not.toEqual(buildRing(membersNamed(2), 2).tokens);
  });

  test("stays within RING_TOKENS_MAX, in proportion, at the highest weights", () => {
    const ring = buildRing(
      membersNamed(600, (index) => (index === 0 ? 50 : 100)),
      SEED,
    );
    expect(ring.tokens.length).toBeLessThanOrEqual(RING_TOKENS_MAX + 600);
    const tokensOf = (owner: number): number => ring.owners.filter((other) => other === owner).length;
    expect(tokensOf(0) / tokensOf(1)).toBeCloseTo(0.5, 1);
  });

  test("refuses a weight of 0 or beyond the limit", () => {
    for (const weight of [0, -1, Number.NaN, 101]) {
      expect(() =>
        buildRing(
          membersNamed(1, () => weight),
          SEED,
        ),
      ).toThrow("weight");
    }
  });
});

describe("walk", () => {
  test("meets every node once, the owner of the next token first", () => {
    const ring = buildRing(membersNamed(9), SEED);
    for (const token of [0, 1, 2 ** 31, 2 ** 32 - 1, ring.tokens[100]!]) {
      const met = [...walk(ring, token)];
      expect(met.toSorted()).toEqual(ring.nodes);
      expect(met[0]).toBe(ring.nodes[ring.owners[firstTokenAt(ring, token)]!]);
    }
  });

  test("starts at a token that lies exactly on the point, and wraps behind the last one", () => {
    const ring = buildRing(membersNamed(3), SEED);
    const last = ring.tokens.length - 1;
    expect(firstTokenAt(ring, ring.tokens[5]!)).toBe(5);
    expect(firstTokenAt(ring, ring.tokens[5]! + 1)).toBe(6);
    expect(firstTokenAt(ring, ring.tokens[last]! + 1)).toBe(0);
  });

  test("keeps the order of the others when one node goes", () => {
    const nodes = membersNamed(8);
    const all = buildRing(nodes, SEED);
    const fewer = buildRing(
      nodes.filter((node) => node.id !== "node-3"),
      SEED,
    );
    for (let token = 0; token < 2 ** 32; token += 2 ** 26) {
      expect([...walk(fewer, token)]).toEqual([...walk(all, token)].filter((id) => id !== "node-3"));
    }
  });

  test("of an empty ring meets nobody", () => {
    expect([...walk(buildRing([], SEED), 7)]).toEqual([]);
  });

  test("64 tokens a node spread first owners within a factor of two", () => {
    const ring = buildRing(membersNamed(5), SEED);
    const firsts = new Map<string, number>();
    for (let point = 0; point < 4096; point++) {
      const [first] = walk(ring, point * 2 ** 20);
      firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
    }
    expect(TOKENS_PER_WEIGHT).toBe(64);
    for (const count of firsts.values()) expect(count).toBeGreaterThan(4096 / 5 / 2);
  });
});
