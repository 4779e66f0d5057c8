// The checker against a brute-force judge that tries every order, and against long random histories.

import { describe, expect, test } from "vitest";
import {
  ALL_NAMES,
  below,
  isLinearizableByBruteForce,
  knownBy,
  lateStaleRead,
  mutate,
  mutateOften,
  pick,
  randomExecution,
  type Shape,
  verdictOf,
} from "../support/histories.ts";
import { seededRandom } from "../support/random.ts";
import { serializeHistory } from "./history.ts";
import { checkHistory } from "./linearizability.ts";

describe("random histories", () => {
  test("the checker agrees with every order tried, on 30000 small histories, unchanged and mutated", () => {
    const tally = { linearizable: 0, violation: 0, undecided: 0 };
    for (let seed = 1; seed <= 10_000; seed++) {
      const random = seededRandom(seed);
      const shape = {
        count: 2 + below(random, 6),
        stretch: pick(random, [40, 150, 300, 700]),
        unknownShare: pick(random, [0, 0.3, 0.6]),
        tellingShare: pick(random, [0, 0.5, 1]),
        names: ALL_NAMES,
      };
      const execution = randomExecution(random, shape);
      if (execution.length === 0) continue;
      expect(verdictOf(checkHistory(execution)), `seed ${seed}, as executed`).toBe("linearizable");
      for (const operations of [execution, mutateOften(random, execution, 1), mutateOften(random, execution, 4)]) {
        const verdict = verdictOf(checkHistory(operations)) as keyof typeof tally;
        const wanted = isLinearizableByBruteForce(operations) ? "linearizable" : "violation";
        expect(verdict, `seed ${seed}\n${serializeHistory(operations)}`).toBe(wanted);
        tally[verdict]++;
      }
    }
    // Both directions were exercised.
    expect(tally.linearizable).toBeGreaterThan(5_000);
    expect(tally.violation).toBeGreaterThan(3_000);
  });

  test("the explanation of a small violation is a prefix that fails, and one answer less does not", () => {
    let explained = 0;
    for (let seed = 1; seed <= 400; seed++) {
      const random = seededRandom(seed);
      const shape = { count: 7, stretch: 150, unknownShare: 0.2, tellingShare: 1, names: ALL_NAMES };
      const operations = mutate(random, randomExecution(random, shape));
      const result = checkHistory(operations);
      if (result.ok !== false) continue;
      const moment = Number(/answered at (-?\d+)/.exec(result.explanation)?.[1]);
      expect(isLinearizableByBruteForce(knownBy(operations, moment)), `seed ${seed}`).toBe(false);
      expect(isLinearizableByBruteForce(knownBy(operations, moment - 1)), `seed ${seed}`).toBe(true);
      explained++;
    }
    expect(explained).toBeGreaterThan(100);
  });

  const shapes: Readonly<Record<string, Shape>> = {
    "puts and gets": { count: 2_000, stretch: 1_000, unknownShare: 0.1, tellingShare: 0.5, names: ["put", "get"] },
    "mostly puts": {
      count: 2_000,
      stretch: 1_000,
      unknownShare: 0.1,
      tellingShare: 0,
      names: ["put", "put", "put", "get"],
    },
    "every operation": { count: 2_000, stretch: 1_000, unknownShare: 0.1, tellingShare: 0.5, names: ALL_NAMES },
    "half of the writes unknown": {
      count: 2_000,
      stretch: 1_000,
      unknownShare: 0.5,
      tellingShare: 0.5,
      names: ALL_NAMES,
    },
    "bare refusals": {
      count: 2_000,
      stretch: 1_000,
      unknownShare: 0.3,
      tellingShare: 0.1,
      names: ["create", "cas", "get", "delete"],
    },
  };
  test.each(Object.entries(shapes))("2000 operations on one key, 20 at a time, are decided: %s", (_name, shape) => {
    const found = { linearizable: 0, violation: 0, undecided: 0 };
    for (let seed = 1; seed <= 3; seed++) {
      const random = seededRandom(seed);
      const operations = randomExecution(random, shape);
      expect(verdictOf(checkHistory(operations)), `seed ${seed}`).toBe("linearizable");
      found[verdictOf(checkHistory(mutate(random, operations))) as keyof typeof found]++;
      const stale = lateStaleRead(operations);
      expect(verdictOf(checkHistory(stale)), `seed ${seed}, with a stale read`).toBe("violation");
    }
    expect(found.undecided).toBe(0);
  });
});
