// Mutation check: the simulator is worth something because it finds what is planted. Each rule switched off must be found within a stated
// number of seeds; the table of what it took is printed.
//
// Some rules stand in for each other: alone, the absence of one hurts nobody, and only the absence of both is looked for.
//
// - N2 and N6-raise. A leader's stamps carry its epoch, at least (epoch, 0), and every operation on a slot carries a stamp. So where stamps
//   are raised by what is read and written, a node that has answered a new leader refuses the old one in that slot, with or without a
//   fence. Conversely, the fence refuses older leaders in every slot; what raising by reads and writes adds concerns one leader's own late
//   messages. Its late writes are ordered by their versions (N4), and what it sent before a purge is refused by the stamp of the seal,
//   which raises in any case, as the steps of a re-seating do (N7, N9).
// - N7's wipe and M3-extra. What a newcomer still holds from earlier is compared with the sealed members before it may serve: what is older
//   is written over, what nobody else holds is removed, and the digest has to be equal (M1 has no weight for safety).
import { afterAll, expect, test } from "vitest";
import { runSeed } from "./run.ts";
import { SHAPES, type Shape } from "./shapes.ts";

const LONG = process.env["HOLDFAST_LONG"] === "1";
const TIMEOUT_MS = LONG ? 1_800_000 : 180_000;

interface Mutation {
  readonly without: readonly string[];
  readonly meaning: string;
  readonly shape: Shape;
  /** Within how many seeds it has to be found. */
  readonly seedsMax: number;
  /** The first of them: most of those before say nothing of the rule, and take time. */
  readonly first: number;
}

/** Found in moments. */
const QUICK: readonly Mutation[] = [
  rule("C3-combine", "any", 200, "combined writes share one version"),
  rule("C3-order", "hasty", 60, "a write does not wait for what its own connection reads"),
  rule("C5", "doubtful", 300, "conditional writes go ahead while an earlier write is in doubt", 60),
  rule("C6", "any", 300, "a quorum read answers without R equal versions"),
  rule("C6-compared", "lagging", 60, "one member speaks for others that were not compared with it"),
  rule("C6-sent", "rivals", 60, "one member speaks for others while writes are on their way"),
  rule("C6-epoch", "stranded", 60, "one member speaks for others that may have another leader"),
  rule("C6-issued", "hasty", 60, "a leader tells what it knows of a key while it writes another value"),
  rule("C6-overtaken", "hasty", 60, "a leader keeps what a read has found, although a write has overtaken it"),
  rule("C7-origin", "any", 300, "conditions compare repaired versions instead of origins"),
  rule("M3", "lagging", 300, "a slot changes hands without being reconciled"),
  rule("N4", "any", 60, "a late write takes a register back"),
  rule("N4-durable", "doubtful", 60, "a write is acknowledged before it is durable"),
  rule("N2+N6-raise", "rivals", 500, "a node that has answered a new leader follows the old one, too", 30),
  rule("N6", "late", 500, "what was sent at an older stamp is carried out", 130),
  rule("N7+M3-extra", "wandering", 500, "a slot that comes again brings what it held earlier"),
];
/** Found more seldom: only under `npm run test:long`. */
const SLOW: readonly Mutation[] = [
  rule("C7-refusal", "rivals", 1_000, "a condition is refused by what a quorum does not hold"),
  rule("C8", "any", 1_000, "a retry is applied without finding out what became of the first attempt"),
  rule("M2", "any", 2_000, "operations go on while a slot is sealed"),
  rule("N3", "rivals", 1_000, "a new leader is answered before what was accepted earlier is durable"),
  rule("N9-all", "any", 3_000, "tombstones go although a member was not there, or holds something else"),
];

/** @param rules Joined by a plus where only the absence of all of them hurts. */
function rule(rules: string, shape: Shape, seedsMax: number, meaning: string, first = 1): Mutation {
  return { without: rules.split("+"), meaning, shape, seedsMax, first };
}

const found: string[] = [];

for (const { without, meaning, shape, seedsMax, first } of LONG ? [...QUICK, ...SLOW] : QUICK) {
  const name = without.join(" + ");
  test(
    `${name}: it is found that ${meaning}`,
    () => {
      const startedAt = process.hrtime.bigint();
      for (let seed = first; seed < first + seedsMax; seed++) {
        if (runSeed(seed, { without: new Set(without), scenario: SHAPES[shape] }).violation === undefined) continue;
        const seconds = (Number(process.hrtime.bigint() - startedAt) / 1e9).toFixed(1);
        found.push(
          `${name.padEnd(13)} ${shape.padEnd(9)} ${String(seed + 1 - first).padStart(5)} ${seconds.padStart(7)} s  ${meaning}`,
        );
        return;
      }
      expect.fail(`${name} was not found within ${seedsMax} seeds`);
    },
    TIMEOUT_MS,
  );
}

const HEAD = `${"rule".padEnd(13)} ${"scenario".padEnd(9)} ${"seeds".padStart(5)} ${"time".padStart(9)}  without it`;

afterAll(
  () =>
    void process.stdout.write(
      `\nplanted bugs and the seeds it took to find them:\n  ${[HEAD, ...found].join("\n  ")}\n`,
    ),
);
