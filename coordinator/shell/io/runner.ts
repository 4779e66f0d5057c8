// Runs one command after another: words to command, command to coordinator, answer or failure to the user. The same runner
// serves the terminal, scripts and single commands; what differs between them comes in as RunnerEffects.
import type { SessionMessage } from "../../../shared/client/answers.ts";
import { isErrorCode, KvError } from "../../../shared/errors.ts";
import { formatAddress, parseAddress } from "../../../shared/io/address.ts";
import type { Level, StatusAnswer } from "../../../shared/protocol/client-messages.ts";
import { isWireValue } from "../../../shared/record.ts";
import type { WireValue } from "../../../shared/record.ts";
import { COMMANDS } from "../catalogue.ts";
import type { CommandSpec, Connection, Followed, LogTail, Reply, ShellContext } from "../command.ts";
import type { ExitStatus } from "../failure.ts";
import { describeFailure, InterruptedError, UsageError } from "../failure.ts";
import type { ParsedCommand } from "../parse.ts";
import { parseCommand } from "../parse.ts";
import type { Style } from "../style.ts";
import { nearest } from "../suggest.ts";
import { splitWords } from "../words.ts";
import type { Word } from "../words.ts";
import { DUMP_FILES } from "./dump-files.ts";
import { followOperation } from "./follow.ts";
import type { Link } from "./link.ts";
import type { Progress } from "./progress.ts";
import { NO_PROGRESS } from "./progress.ts";

export interface RunnerEffects {
  readonly link: Link;
  readonly style: Style;
  readonly columns: () => number;
  /** Every command answers in JSON. */
  readonly json: boolean;
  readonly interactive: boolean;
  /** Answers. */
  readonly print: (text: string) => void;
  /** Failures. */
  readonly printError: (text: string) => void;
  readonly progress: () => Progress;
  readonly clear: () => void;
  readonly logsOf: (id: string | undefined, lines: number) => Promise<LogTail | undefined>;
  readonly onInterrupt: (handler: () => void) => () => void;
  readonly ask: (question: string) => Promise<string | undefined>;
  readonly notify: (line: string) => void;
}

const COLUMNS_MIN = 40;
/** Between two lines on how far a long command is. */
const TELL_EVERY_MS = 2_000;

export class Runner {
  readonly #effects: RunnerEffects;
  #level: Level = "quorum";
  #exiting = false;

  constructor(effects: RunnerEffects) {
    this.#effects = effects;
  }

  /** Whether `exit` was typed, or nobody is left to read the answers. */
  get exiting(): boolean {
    return this.#exiting;
  }

  /** Runs nothing more after the command under way. */
  stop(): void {
    this.#exiting = true;
  }

  /** Runs a line; 0 for one without words. Never rejects. */
  async runLine(line: string): Promise<ExitStatus> {
    let words: readonly Word[];
    try {
      words = splitWords(line);
    } catch (error) {
      return this.#fail(error, undefined, this.#effects.json);
    }
    if (words.length === 0) return 0;
    return await this.runWords(words);
  }

  /** Runs one command. Never rejects. */
  async runWords(words: readonly Word[]): Promise<ExitStatus> {
    let json = this.#effects.json || words.some((word) => !word.quoted && word.text === "--json");
    let parsed: ParsedCommand;
    try {
      parsed = parseCommand(words, COMMANDS);
    } catch (error) {
      return this.#fail(error, undefined, json);
    }
    json = this.#effects.json || parsed.json;
    try {
      const reply = await this.#runWithInterrupt(parsed, json);
      this.#say(reply, json);
      return reply.status ?? 0;
    } catch (error) {
      const advice = await this.#adviceFor(error, parsed);
      return this.#fail(error, parsed, json, advice);
    }
  }

  /** Ctrl-C stops the waiting; what was sent stays sent. */
  async #runWithInterrupt(parsed: ParsedCommand, json: boolean): Promise<Reply> {
    let stopListening = (): void => undefined;
    const turn = { over: false };
    const interrupted = new Promise<never>((_resolve, reject) => {
      // Elsewhere Ctrl-C ends the process, as for every other program.
      if (!this.#effects.interactive) return;
      stopListening = this.#effects.onInterrupt(() => reject(new InterruptedError()));
    });
    try {
      const running = parsed.command.run(this.#context(json, turn), parsed.args);
      return await Promise.race([running, interrupted]);
    } finally {
      turn.over = true;
      stopListening();
    }
  }

  #say(reply: Reply, json: boolean): void {
    if (json) this.#effects.print(JSON.stringify(reply.json));
    else if (reply.lines.length > 0) this.#effects.print(reply.lines.join("\n"));
  }

  #fail(error: unknown, parsed: ParsedCommand | undefined, json: boolean, advice?: string): ExitStatus {
    const { style, print, printError } = this.#effects;
    const failure = describeFailure(error, {
      command: parsed?.command.name ?? "command",
      writes: parsed?.command.writes ?? false,
      lookWith: parsed?.command.lookWith?.(parsed.args),
      advice,
    });
    if (json) print(JSON.stringify(failure.json));
    else printError(failure.status === 4 ? style.yellow(failure.line) : style.red(failure.line));
    return failure.status;
  }

  /** "Did you mean" for node ids, which only the cluster knows. */
  async #adviceFor(error: unknown, parsed: ParsedCommand): Promise<string | undefined> {
    if (!(error instanceof KvError) || error.code !== "NO_SUCH_NODE") return undefined;
    const typed = Object.values(parsed.args.nested?.args.words ?? parsed.args.words)[0] ?? "";
    const near = nearest(typed, await this.nodeIds().catch(() => []));
    return near === undefined || near === typed ? undefined : `did you mean ${near}?`;
  }

  /** Ids of the cluster's nodes. Rejects where no coordinator answers. */
  async nodeIds(): Promise<readonly string[]> {
    return (await this.#status()).nodes.map((node) => node.id);
  }

  async #status(): Promise<StatusAnswer> {
    return (await this.#effects.link.call({ op: "status" })) as StatusAnswer;
  }

  #context(json: boolean, turn: { readonly over: boolean }): ShellContext {
    const effects = this.#effects;
    const { link } = effects;
    const print = (lines: readonly string[]): void => {
      if (!json && !turn.over && lines.length > 0) effects.print(lines.join("\n"));
    };
    const level = (): Level => this.#level;
    const told = { atMs: performance.now() };
    return {
      commands: COMMANDS,
      style: effects.style,
      columns: Math.max(COLUMNS_MIN, effects.columns()),
      json,
      interactive: effects.interactive,
      get level() {
        return level();
      },
      get connection() {
        return link.connection;
      },
      valueBytesMax: link.valueBytesMax,
      get over() {
        return turn.over;
      },
      files: DUMP_FILES,
      progress: (text) => {
        if (json || turn.over || performance.now() - told.atMs < TELL_EVERY_MS) return;
        told.atMs = performance.now();
        effects.notify(text);
      },
      setLevel: (next) => {
        this.#level = next;
      },
      // The session's answers are typed by operation; so are the commands'.
      call: async (message) => (await link.call(message as SessionMessage)) as never,
      follow: (change, { started }) => this.#follow({ change, started, json, print }),
      readNode: async (key) => nodeRead(await link.readNode(key).catch(absentAsNull)),
      switchTo: (target) => this.#switchTo(target),
      address: typedAddress,
      logs: effects.logsOf,
      print,
      clear: effects.clear,
      exit: () => {
        this.#exiting = true;
      },
    };
  }

  async #follow(options: {
    readonly change: Parameters<ShellContext["follow"]>[0];
    readonly started: readonly string[];
    readonly json: boolean;
    readonly print: (lines: readonly string[]) => void;
  }): Promise<Followed> {
    const effects = this.#effects;
    return await followOperation(options.change, options.started, {
      style: effects.style,
      progress: options.json ? NO_PROGRESS : effects.progress(),
      print: options.print,
      call: (message, onProgress) => effects.link.call(message, onProgress),
      // With --json there is nobody to ask.
      onInterrupt: options.json && !effects.interactive ? () => () => undefined : effects.onInterrupt,
      ask: effects.ask,
      endedLater: effects.notify,
    });
  }

  async #switchTo(target: string | undefined): Promise<Connection> {
    const { link } = this.#effects;
    if (target === undefined) {
      await link.switchToCoordinator(undefined);
      return link.connection;
    }
    const nodes = await this.#status().then(({ nodes: known }) => known, noNodes);
    const node = nodes.find(({ id, address }) => id === target || address === target);
    if (node !== undefined) await link.switchToNode(node.id, node.address);
    else if (/^\d+$|:\d+$/.test(target)) await this.#switchToAddress(typedAddress(target), nodes);
    else throw new KvError("NO_SUCH_NODE", `no node ${target}, and no host:port either`);
    return link.connection;
  }

  async #switchToAddress(address: string, nodes: StatusAnswer["nodes"]): Promise<void> {
    const node = nodes.find((candidate) => candidate.address === address);
    if (node !== undefined) await this.#effects.link.switchToNode(node.id, node.address);
    else await this.#effects.link.switchToCoordinator(address);
  }
}

/** Without a coordinator no node is known by its id, but another coordinator can still be switched to. */
function noNodes(): StatusAnswer["nodes"] {
  return [];
}

/** Commands by name, for completion. */
export function knownCommands(): readonly CommandSpec[] {
  return COMMANDS;
}

function typedAddress(text: string): string {
  try {
    return formatAddress(parseAddress(text));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function absentAsNull(error: unknown): null {
  if (error instanceof KvError && error.code === "NOT_FOUND") return null;
  throw error;
}

/** A node's answer to a plain read: foreign input, so it is checked. */
function nodeRead(answer: unknown): { readonly value: WireValue; readonly version: string } | null {
  if (typeof answer !== "object" || answer === null) return null;
  const { value, version, status, code } = answer as Readonly<Record<string, unknown>>;
  if (status === "error" && isErrorCode(code) && code !== "NOT_FOUND") throw new KvError(code, String(code));
  if (!isWireValue(value)) return null;
  return { value, version: Array.isArray(version) ? version.join(".") : "" };
}
