import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { slotTargets } from "../../../coordinator/ring/targets.ts";
import { SLOTS } from "../../../shared/limits.ts";
import { fairShares, membersNamed } from "./placement-facts.ts";

const claims = (...weights: number[]) => weights.map((weight) => ({ weight, held: 0 }));

describe("slotTargets", () => {
  test("equal weights differ by at most one slot", () => {
    expect(slotTargets(claims(1, 1, 1), 1)).toEqual([1366, 1365, 1365]);
  });

  test("an odd slot stays with the member that holds more already", () => {
    const held = [1365, 1365, 1366].map((count) => ({ weight: 1, held: count }));
    expect(slotTargets(held, 1)).toEqual([1365, 1365, 1366]);
  });

  test("nobody is asked for more than every slot; the others divide the rest by weight", () => {
    expect(slotTargets(claims(10, 1, 1), 2)).toEqual([SLOTS, 2048, 2048]);
    expect(slotTargets(claims(100, 50, 1, 1), 3)).toEqual([SLOTS, SLOTS, 2048, 2048]);
  });

  test("as many copies as members is every slot for everyone, whatever the weights", () => {
    expect(slotTargets(claims(7, 1, 0.1), 3)).toEqual([SLOTS, SLOTS, SLOTS]);
  });

  test("no members and no copies is nothing", () => {
    expect(slotTargets([], 0)).toEqual([]);
  });

  test("more copies than members is our own mistake", () => {
    expect(() => slotTargets(claims(1), 2)).toThrow("copies");
  });

  test("targets add up, stay within every slot, and within one of the weighted share", () => {
    const weight = fc.oneof(fc.constantFrom(1, 2, 100), fc.double({ min: 0.01, max: 100, noNaN: true }));
    const inputs = fc.tuple(fc.array(weight, { minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 8 }));
    fc.assert(
      fc.property(inputs, ([weights, wanted]) => {
        const copies = Math.min(wanted, weights.length);
        const targets = slotTargets(claims(...weights), copies);
        const shares = [
          ...fairShares(
            membersNamed(weights.length, (index) => weights[index]!),
            copies,
          ).values(),
        ];
        expect(targets.reduce((sum, target) => sum + target, 0)).toBe(copies * SLOTS);
        for (const [index, target] of targets.entries()) {
          expect(target).toBeLessThanOrEqual(SLOTS);
          expect(Math.abs(target - shares[index]!)).toBeLessThan(1.000001);
        }
      }),
      { numRuns: 300 },
    );
  });
});
