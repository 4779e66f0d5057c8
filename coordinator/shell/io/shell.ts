// The shell put together: at a terminal, over a script on standard input, or for one command. It always talks to a coordinator
// through a session, also to the one in its own process, so what it shows is what every client sees.
import type { Readable, Writable } from "node:stream";
import picocolors from "picocolors";
import { complete, wantedAt } from "../complete.ts";
import type { LogTail } from "../command.ts";
import type { ExitStatus } from "../failure.ts";
import type { Style } from "../style.ts";
import { BANNER } from "../usage.ts";
import type { Vocabulary } from "../complete.ts";
import { openHistory } from "./history.ts";
import type { Connect } from "./link.ts";
import { Link } from "./link.ts";
import type { Progress } from "./progress.ts";
import { progressBar, progressLines } from "./progress.ts";
import { knownCommands, Runner } from "./runner.ts";
import { runScript } from "./script.ts";
import { Terminal } from "./terminal.ts";

export interface ShellOptions {
  /** Opens a session: to the address given, otherwise to the coordinator that commands should go to. */
  readonly connect: Connect;
  readonly input: Readable;
  readonly output: Writable;
  readonly errorOutput: Writable;
  /** Whether a person sits at `input`: prompt, banner, history, questions. */
  readonly isTerminal: boolean;
  /** Colours (the caller has looked at NO_COLOR and at whether the output is a terminal). */
  readonly color: boolean;
  /** Width where the output does not know its own; 80 by default. */
  readonly columns?: number;
  readonly json?: boolean;
  /** Scripts: stop at the first failure. */
  readonly stopOnError?: boolean;
  readonly historyFile?: string;
  /** Lines below the banner: data directory, console address. */
  readonly info?: readonly string[];
  /** Subscribes to what happens in the cluster (leader changes, a node down); returns the way to stop. */
  readonly notices?: (listener: (line: string) => void) => () => void;
  /** End of a log: of this coordinator without an id. Undefined where none is known. */
  readonly logsOf?: (id: string | undefined, lines: number) => Promise<LogTail | undefined>;
  /** A script has ended, not by `exit`: called, and waited for, before the shell ends. */
  readonly scriptEnded?: () => Promise<void>;
  /** Called once the last command is done, before the promise settles. */
  readonly onExit?: () => Promise<void> | void;
}

const COLUMNS_DEFAULT = 80;
const RECONNECT_EVERY_MS = 1_000;
/** Names that Tab offers are asked for again after this long, and waited for at most this long. */
const VOCABULARY_FRESH_MS = 5_000;
const VOCABULARY_WAIT_MS = 400;

/** Runs until `exit`, Ctrl-D or the end of the script. Resolves with the exit status: of the first failing line of a script. */
export async function runShell(options: ShellOptions): Promise<ExitStatus> {
  const status = options.isTerminal ? await runAtTerminal(options) : await runFromInput(options);
  await options.onExit?.();
  return status;
}

/** Runs one command. @param words As the login shell split them. */
export async function runOneShot(words: readonly string[], options: ShellOptions): Promise<ExitStatus> {
  const desk = openDesk(options, { interactive: false });
  try {
    return await desk.runner.runWords(words.map((text) => ({ text, quoted: false })));
  } finally {
    desk.close();
    await options.onExit?.();
  }
}

async function runFromInput(options: ShellOptions): Promise<ExitStatus> {
  const desk = openDesk(options, { interactive: false });
  try {
    const status = await runScript(options.input, desk.runner, { stopOnError: options.stopOnError ?? false });
    const stopped = desk.runner.exiting || (status !== 0 && options.stopOnError === true);
    if (!stopped) await options.scriptEnded?.();
    return status;
  } finally {
    desk.close();
  }
}

async function runAtTerminal(options: ShellOptions): Promise<ExitStatus> {
  const desk = openDesk(options, { interactive: true });
  const stopNotices = options.notices?.((line) => desk.notify(line));
  try {
    if (options.json !== true) desk.print([...BANNER, ...(options.info ?? []), ""].join("\n"));
    await desk.greet();
    const terminal = desk.terminal();
    while (!desk.runner.exiting) {
      const line = await terminal.prompt(desk.promptText());
      if (line === undefined) break;
      await desk.runner.runLine(line);
    }
    return 0;
  } finally {
    stopNotices?.();
    desk.close();
  }
}

/** What a shell works with: the connection, the runner, and the terminal where there is one. */
interface Desk {
  readonly runner: Runner;
  /** Opened when first needed: a single command that asks nothing leaves the terminal alone. */
  terminal(): Terminal;
  print(text: string): void;
  /** Prints a line about something that happened by itself. */
  notify(line: string): void;
  /** Connects, or says why not: the shell is of use even then. */
  greet(): Promise<void>;
  promptText(): string;
  close(): void;
}

function openDesk(options: ShellOptions, mode: { readonly interactive: boolean }): Desk {
  const { output, errorOutput } = options;
  const style = styleOf(options.color);
  const atTerminal = options.isTerminal && (mode.interactive || isTty(output));
  let closed = false;
  let opened: Terminal | undefined;
  let shownProgress: Progress | undefined;
  const terminal = (): Terminal => (opened ??= newTerminal(options, () => runner, link));
  const print = (text: string): void => {
    shownProgress?.hide();
    if (opened === undefined) output.write(`${text}\n`);
    else opened.print(text);
  };
  const printError = mode.interactive ? print : (text: string): void => void errorOutput.write(`${text}\n`);
  const notify = (line: string): void => {
    if (!closed) printError(mode.interactive ? style.dim(`* ${line}`) : line);
  };
  const link = new Link({
    connect: options.connect,
    notify,
    ...(mode.interactive ? { retryMs: RECONNECT_EVERY_MS } : {}),
  });
  const runner: Runner = new Runner({
    link,
    style,
    columns: () => columnsOf(output) ?? options.columns ?? COLUMNS_DEFAULT,
    json: options.json ?? false,
    interactive: mode.interactive,
    print,
    printError,
    progress: () => (shownProgress = progressFor(output, errorOutput)),
    clear: () => void (isTty(output) && output.write("\u001b[2J\u001b[3J\u001b[H")),
    logsOf: (id, lines) => options.logsOf?.(id, lines) ?? Promise.resolve(undefined),
    onInterrupt: (handler) => (atTerminal ? terminal().onInterrupt(handler) : () => undefined),
    ask: (question) => (atTerminal ? terminal().ask(question) : Promise.resolve(undefined)),
    notify,
  });
  // Whoever read the answers is gone (`| head`): no failure, but nothing more to do.
  output.on("error", () => runner.stop());
  return {
    runner,
    terminal,
    print,
    notify,
    greet: async () => {
      await link.open().catch((error: unknown) => {
        notify(`${error instanceof Error ? error.message : String(error)}; commands try again`);
      });
    },
    promptText: () => {
      const { kind, name } = link.connection;
      return kind === "leader" ? "> " : `${name}> `;
    },
    close: () => {
      closed = true;
      shownProgress?.hide();
      opened?.close();
      link.close();
    },
  };
}

function newTerminal(options: ShellOptions, runner: () => Runner, link: Link): Terminal {
  const vocabulary = cachedVocabulary(runner, link);
  return new Terminal({
    input: options.input,
    output: options.output,
    history: openHistory(options.historyFile),
    exitHint: "(Ctrl-C again, Ctrl-D or exit leaves)",
    complete: async (line) => complete(line, await vocabulary(line)),
  });
}

/** Names for Tab, asked for only where the word at the cursor wants some, and never waited for long. */
function cachedVocabulary(runner: () => Runner, link: Link): (line: string) => Promise<Vocabulary> {
  let known: Vocabulary = { commands: knownCommands(), nodes: [], operations: [] };
  let freshUntilMs = 0;
  const refresh = async (): Promise<void> => {
    const nodes = await runner().nodeIds();
    const ops = (await link.call({ op: "ops" })) as { readonly operations: readonly { readonly operation: string }[] };
    known = { ...known, nodes, operations: ops.operations.map(({ operation }) => operation) };
    freshUntilMs = performance.now() + VOCABULARY_FRESH_MS;
  };
  return async (line) => {
    const wanted = wantedAt(line, known.commands);
    const asks = wanted === "node" || wanted === "target" || wanted === "operation";
    if (asks && performance.now() >= freshUntilMs) {
      // A cluster that does not answer leaves Tab with the names it knew.
      await Promise.race([refresh().catch(() => undefined), elapsed(VOCABULARY_WAIT_MS)]);
    }
    return known;
  };
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

function progressFor(output: Writable, errorOutput: Writable): Progress {
  if (isTty(output)) return progressBar(output);
  return progressLines(
    (line) => void errorOutput.write(`${line}\n`),
    () => performance.now(),
  );
}

function styleOf(color: boolean): Style {
  return picocolors.createColors(color);
}

function isTty(stream: Writable): boolean {
  return (stream as { readonly isTTY?: boolean }).isTTY === true;
}

function columnsOf(stream: Writable): number | undefined {
  return (stream as { readonly columns?: number }).columns;
}
