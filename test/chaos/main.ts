// `npm run chaos -- --seconds 60 --kills 10 [--seed n] [--only leader] [--history file]`: real processes under load and kills (chaos.ts).
// Prints what was done and what came of it. Status 0: nothing lost, every key linearizable; 1: not so; 2: usage.
import { closeSync, openSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Operation, serializeHistory } from "../simulation/history.ts";
import { closeClusters } from "../support/cluster-process.ts";
import { type ChaosOptions, isClean, runChaos, STRIKE_NAMES, summary } from "./chaos.ts";

const USAGE = `usage: npm run chaos -- [--seconds 60] [--kills 10] [--seed n] [--only strike] [--history file]
strikes: ${STRIKE_NAMES.join(", ")}
`;
const OPERATIONS_A_WRITE = 10_000;

interface Flags extends Omit<ChaosOptions, "tell"> {
  readonly history: string | undefined;
}

/** @param argv Arguments without the program's name. */
export async function main(argv: string[]): Promise<void> {
  const flags = parse(argv);
  if (flags === undefined) {
    process.stderr.write(USAGE);
    process.exitCode = 2;
    return;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.once(signal, () => void closeClusters().finally(() => process.exit(130)));
  const tell = (line: string): void => void process.stdout.write(`${line}\n`);
  tell(`chaos: seed ${flags.seed}, ${flags.seconds} s, ${flags.kills} kills`);
  const result = await runChaos({ ...flags, tell });
  if (flags.history !== undefined) writeHistory(flags.history, result.verdict.history);
  for (const line of summary(result)) tell(line);
  process.exitCode = isClean(result.verdict) ? 0 : 1;
}

/** Undefined for arguments that are not understood. */
function parse(argv: string[]): Flags | undefined {
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      args: argv,
      options: { seconds: text, kills: text, seed: text, only: text, history: text },
    });
    const { seconds = "60", kills = "10", seed = String(Date.now() % 2 ** 31), only, history } = values;
    if (only !== undefined && !STRIKE_NAMES.includes(only)) return undefined;
    const numbers = { seconds: Number(seconds), kills: Number(kills), seed: Number(seed) };
    const fine = Object.values(numbers).every((number) => Number.isSafeInteger(number) && number >= 0);
    return fine && numbers.seconds > 0 ? { ...numbers, only, history } : undefined;
  } catch {
    return undefined; // parseArgs names an unknown flag in a stack trace; the usage line says what there is
  }
}

/** In pieces: a long history is larger than one string may be. */
function writeHistory(file: string, history: readonly Operation[]): void {
  const handle = openSync(file, "w");
  for (let from = 0; from < history.length; from += OPERATIONS_A_WRITE)
    writeSync(handle, serializeHistory(history.slice(from, from + OPERATIONS_A_WRITE)));
  closeSync(handle);
}
