// Main of `./runtime`: from the first word of the command line to the command that it names, and to the exit status.
import { setFlagsFromString } from "node:v8";
import { demo } from "./commands/demo.ts";
import { down, up } from "./commands/up.ts";
import { recover } from "./commands/recover.ts";
import { interactive, serve } from "./commands/serve.ts";
import { shellOptions } from "./commands/connect.ts";
import { type Flags, parseInvocation } from "./flags.ts";
import { exitStatusOf } from "./shell/failure.ts";
import { runOneShot, runShell } from "./shell/io/shell.ts";

/** @param argv Arguments of the process. Ends the process when the command is done. */
export async function main(argv: readonly string[]): Promise<void> {
  keepYoungObjectsYoung();
  const { flags, words } = parseInvocation(argv);
  try {
    process.exitCode = await run(flags, words);
  } catch (error) {
    process.stderr.write(`runtime: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = exitStatusOf(error, { writes: false }) === 2 ? 2 : 1;
  }
  process.exit();
}

/**
 * Where most of what an array literal makes has outlived a garbage collection, V8 makes the next ones in the old space at once. What
 * operations hold while they are under way is such. Everything that hangs on it then outlives its time as well, which V8 takes for
 * confirmation, until all that ever came waits for a major collection (seen: 900 bytes a put, a third of the CPU of a get).
 */
function keepYoungObjectsYoung(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
}

async function run(flags: Flags, words: readonly string[]): Promise<number> {
  const [command, ...rest] = words;
  if (command === undefined) return await interactive(flags);
  if (command === "recover") return await recover(flags, rest);
  if (rest.length === 0) {
    if (command === "up") return await up(flags);
    if (command === "down") return await down();
    if (command === "demo") return await demo();
    if (command === "serve") return await serve(flags);
    if (command === "shell") return await runShell(shellOptions(flags));
  }
  return await runOneShot(words, shellOptions(flags));
}
