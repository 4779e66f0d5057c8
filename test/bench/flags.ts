// What `npm run bench` is asked for. Pure; main.ts says what each flag means.
import { parseArgs } from "node:util";
import type { GrowthAxes } from "./growth-plan.ts";

export const BASELINE = "test/bench/baseline.json";
export const USAGE = `usage: npm run bench -- [--quick] [--only text] [--alone] [--rounds 5] [--seconds 3] [--json file] [--check [file]]
       npm run bench -- --only growth [--keys 10000,100000,1000000] [--nodes 1,3,5] [--values 100,1024,65536]
       npm run bench -- --only tail [--minutes 10] | --only failover [--kills 20] | --only soak [--minutes 60]
       npm run bench -- --only repair [--rounds 5] | --only addnode`;

/** Minutes where none are asked for. */
const MINUTES: Readonly<Record<string, number>> = { tail: 10, soak: 60 };

export interface Flags {
  readonly quick: boolean;
  readonly alone: boolean;
  readonly only: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly minutes: number;
  readonly kills: number;
  readonly growth: GrowthAxes;
  readonly json: string | undefined;
  readonly check: string | undefined;
}

/** What was asked for, or why it is not understood. @param argv Arguments without the program's name. */
export function parseFlags(argv: readonly string[]): Flags | string {
  try {
    const values = valuesOf(argv);
    const { quick, alone, only = "", json, check } = values;
    const rounds = Number(values.rounds ?? (quick ? 1 : 5));
    const seconds = Number(values.seconds ?? (quick ? 2 : 3));
    const minutes = Number(values.minutes ?? MINUTES[only] ?? 1);
    const kills = Number(values.kills);
    const growth = { keys: list(values.keys), nodes: list(values.nodes), values: list(values.values) };
    if (!(isCount(rounds) && isCount(kills) && seconds > 0 && minutes > 0))
      return "--rounds, --seconds, --minutes, --kills: numbers above zero";
    if (!Object.values(growth).every((numbers) => numbers.every(isCount)))
      return "--keys, --nodes, --values: whole numbers above zero, with commas between them";
    return { quick, alone, only, rounds, seconds, minutes, kills, growth, json, check };
  } catch (error) {
    return (error as Error).message;
  }
}

function valuesOf(argv: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const usually = (usual: string) => ({ type: "string", default: usual }) as const;
  // `--check` alone means the committed report.
  const args = argv.map((arg, index) =>
    arg === "--check" && (argv[index + 1] ?? "--").startsWith("--") ? `--check=${BASELINE}` : arg,
  );
  const options = {
    quick: flag,
    alone: flag,
    only: text,
    rounds: text,
    seconds: text,
    json: text,
    check: text,
    minutes: text,
    kills: usually("20"),
    keys: usually("10000,100000,1000000"),
    nodes: usually("1,3,5"),
    values: usually("100,1024,65536"),
  };
  return parseArgs({ args, options }).values;
}

function list(text: string): number[] {
  return text.split(",").map(Number);
}

function isCount(number: number): boolean {
  return Number.isSafeInteger(number) && number >= 1;
}
