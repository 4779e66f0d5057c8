// `npm run simulate`: runs seeds and reports. Exit status 0 when none violated anything, 1 when one did, 2 for wrong arguments.
import { Command, Option } from "commander";
import { SHAPES, type Shape } from "./shapes.ts";
import { runSeed, type RunOptions, type RunResult } from "./run.ts";

/** Events of a trace that are shown with a violation. */
const TRACE_SHOWN = 40;
/** After so many seeds it is said how far it has come. */
const SEEDS_TOLD = 1_000;

interface Flags {
  readonly seeds: string;
  readonly from: string;
  readonly seed?: string;
  readonly trace?: boolean;
  readonly json?: boolean;
  readonly etcd?: boolean;
  readonly without: string[];
  readonly shape: Shape;
}

/** @param argv Arguments of the process. */
export function main(argv: readonly string[]): void {
  const program = new Command("simulate")
    .description("Runs whole clusters on a virtual clock, network and disk, and judges what their clients saw.")
    .option("--seeds <count>", "how many seeds", "300")
    .option("--from <seed>", "the first seed", "1")
    .option("--seed <seed>", "only this one")
    .option("--trace", "with --seed: everything that happened")
    .option("--without <rule>", "switch a rule off (repeatable)", (rule: string, all: string[]) => [...all, rule], [])
    .addOption(
      new Option("--shape <name>", "what seeds mean: scenarios of one kind")
        .choices(Object.keys(SHAPES))
        .default("any"),
    )
    .option("--etcd", "the state is kept in an etcd, which is gone at times, instead of by voters")
    .option("--json", "one JSON object a seed")
    .addHelpText("after", "\nExamples:\n  npm run simulate -- --seeds 2000\n  npm run simulate -- --seed 4711 --trace")
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  program.parse([...argv], { from: "user" });
  const flags = program.opts<Flags>();
  const { [flags.shape]: scenario } = SHAPES;
  const options = { without: new Set(flags.without), etcd: flags.etcd === true, scenario };
  process.exitCode = flags.seed === undefined ? many(flags, options) : one(Number(flags.seed), flags, options);
}

function one(seed: number, flags: Flags, options: RunOptions): number {
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const result = runSeed(seed, { ...options, ...(flags.trace === true && { trace: say }) });
  say(flags.json === true ? JSON.stringify(result) : described(result));
  return result.violation === undefined ? 0 : 1;
}

function many(flags: Flags, options: RunOptions): number {
  const from = Number(flags.from);
  const count = Number(flags.seeds);
  const startedAt = process.hrtime.bigint();
  const seconds = (): number => Number(process.hrtime.bigint() - startedAt) / 1e9;
  const totals = { operations: 0, acknowledged: 0, unknown: 0, changes: 0 };
  for (let seed = from; seed < from + count; seed++) {
    const result = runSeed(seed, options);
    totals.operations += result.operations;
    totals.acknowledged += result.acknowledged;
    totals.unknown += result.unknown;
    totals.changes += result.changes;
    if (flags.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
    if (result.violation !== undefined) {
      if (flags.json !== true) report(result, flags, options);
      return 1;
    }
    const done = seed - from + 1;
    if (done % SEEDS_TOLD === 0 && done < count)
      process.stderr.write(`${done} of ${count} seeds, ${seconds().toFixed(0)} s …\n`);
  }
  const { operations, acknowledged, unknown, changes } = totals;
  process.stderr.write(
    `${count} seeds from ${from}: no violation; ${operations} operations (${acknowledged} acknowledged, ${unknown} unknown), ` +
      `${changes} topology changes, ${seconds().toFixed(1)} s\n`,
  );
  return 0;
}

function report(result: RunResult, { shape }: Flags, options: RunOptions): void {
  const lines: string[] = [];
  runSeed(result.seed, { ...options, trace: (text) => void lines.push(text) });
  const rules = [...(options.without ?? [])].map((rule) => ` --without ${rule}`);
  const kind = shape === "any" ? [] : [` --shape ${shape}`];
  const flags = [...rules, ...kind, ...(options.etcd === true ? [" --etcd"] : [])].join("");
  process.stdout.write(
    `${lines.slice(-TRACE_SHOWN).join("\n")}\n\n${described(result)}\n` +
      `replay: npm run simulate -- --seed ${result.seed} --trace${flags}\n`,
  );
}

function described({ seed, violation, operations, acknowledged, unknown, changes, epochs }: RunResult): string {
  const figures = `${operations} operations, ${acknowledged} acknowledged, ${unknown} unknown, ${changes} changes, ${epochs} epochs`;
  return violation === undefined
    ? `seed ${seed}: no violation (${figures})`
    : `seed ${seed}: VIOLATION (${figures})\n${violation}`;
}
