// A script on standard input: a command a line, `#` begins a comment line. It goes on after a failure, since the lines of a
// session typed into a pipe do not depend on each other, unless --stop-on-error says that they do.
import readline from "node:readline";
import type { Readable } from "node:stream";
import type { ExitStatus } from "../failure.ts";

/** The part of the runner that a script needs. */
export interface LineRunner {
  readonly exiting: boolean;
  runLine(line: string): Promise<ExitStatus>;
}

/** Runs every line. Resolves with the status of the first line that failed, 0 where none did. */
export async function runScript(
  input: Readable,
  runner: LineRunner,
  options: { readonly stopOnError: boolean },
): Promise<ExitStatus> {
  let first: ExitStatus = 0;
  const lines = readline.createInterface({ input, crlfDelay: Infinity, terminal: false });
  try {
    for await (const line of lines) {
      if (line.trimStart().startsWith("#")) continue;
      const status = await runner.runLine(line);
      if (first === 0) first = status;
      if (runner.exiting || (status !== 0 && options.stopOnError)) break;
    }
  } finally {
    lines.close();
  }
  return first;
}
