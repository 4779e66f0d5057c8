// Mutation check: the simulator is worth something because it finds what is planted. Each rule switched off must be found within a stated
// number of seeds; the table of what it took is printed.
import { afterAll, expect, test } from "vitest";
import { runSeed } from "./run.ts";
import { doubtful } from "./scenario.ts";

const LONG = process.env["HOLDFAST_LONG"] === "1";
const TIMEOUT_MS = LONG ? 1_800_000 : 180_000;

/** What is switched off, what that means, and within how many seeds it has to be found, and in which scenario, where not in any. */
const QUICK: readonly Mutation[] = [
  ["C3-combine", "combined writes share one version", 200],
  ["C5", "conditional writes go ahead while an earlier write is in doubt", 300, doubtful],
  ["C6", "a quorum read answers without R equal versions", 300],
  ["C7-origin", "conditions compare repaired versions instead of origins", 300],
  ["M3", "a slot changes hands without being reconciled", 300],
];
/** Found more seldom: only under `npm run test:long`. */
const SLOW: readonly Mutation[] = [
  ["C8", "a retry is applied without finding out what became of the first attempt", 1_000],
  ["M2", "operations go on while a slot is sealed", 2_000],
  ["N9-all", "tombstones go although a member was not there, or holds something else", 3_000],
  ["M3-extra", "newcomers keep keys that no sealed member holds", 5_000],
];

type Mutation = readonly [rule: string, meaning: string, seedsMax: number, scenario?: typeof doubtful];

const found: string[] = [];

for (const [rule, meaning, seedsMax, scenario] of LONG ? [...QUICK, ...SLOW] : QUICK) {
  test(
    `${rule}: it is found that ${meaning}`,
    () => {
      const without = new Set([rule]);
      for (let seed = 1; seed <= seedsMax; seed++) {
        if (runSeed(seed, { without, ...(scenario && { scenario }) }).violation === undefined) continue;
        found.push(`${rule.padEnd(12)} seed ${String(seed).padStart(4)}   ${meaning}`);
        return;
      }
      expect.fail(`${rule} was not found within ${seedsMax} seeds`);
    },
    TIMEOUT_MS,
  );
}

afterAll(() => void process.stdout.write(`\nplanted bugs and the seed that found them:\n  ${found.join("\n  ")}\n`));
