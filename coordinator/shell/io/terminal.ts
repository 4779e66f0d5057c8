// The person at the terminal: a line editor with history and Tab, lines printed above what is being typed, yes-or-no questions,
// Ctrl-C. The terminal stays in raw mode while a command runs, so that Ctrl-C reaches the shell only, not the processes that
// `up` started; what is typed meanwhile is kept, unseen, for the next prompt.
import readline from "node:readline";
import { Writable } from "node:stream";
import { callbackify } from "node:util";
import type { History } from "./history.ts";
import { HISTORY_LINES_MAX } from "./history.ts";

export interface TerminalOptions {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly history: History;
  /** Candidates and the word they replace. */
  readonly complete: (line: string) => Promise<readonly [candidates: string[], word: string]>;
  /** Said at the first Ctrl-C on an empty line; the second one in a row leaves. */
  readonly exitHint: string;
}

type Mode = "busy" | "prompt" | "question";

/** Lines typed ahead of a running command, at most: a paste. */
const TYPED_AHEAD_MAX = 10_000;

export class Terminal {
  readonly #options: TerminalOptions;
  readonly #rl: readline.Interface;
  readonly #typedAhead: string[] = [];
  readonly #interrupts: (() => void)[] = [];
  #mode: Mode = "busy";
  #answer: ((line: string | undefined) => void) | undefined;
  #closed = false;
  #emptyInterrupts = 0;

  constructor(options: TerminalOptions) {
    this.#options = options;
    this.#rl = readline.createInterface({
      input: options.input,
      output: this.#mutedOutput(),
      terminal: true,
      history: [...options.history.lines],
      historySize: HISTORY_LINES_MAX,
      removeHistoryDuplicates: true,
      completer: callbackify(async (line: string): Promise<[string[], string]> => {
        // Tab offers nothing where the cluster cannot be asked.
        const [candidates, word] = await options.complete(line).catch(() => [[], ""] as const);
        return [[...candidates], word];
      }),
    });
    this.#rl.on("line", (line) => this.#onLine(line));
    this.#rl.on("SIGINT", () => this.#onInterrupt());
    this.#rl.on("close", () => this.#onClose());
    this.#rl.on("history", (history) => {
      if (this.#mode === "question") history.shift();
    });
  }

  /** The next line typed; undefined at the end of input (Ctrl-D). */
  async prompt(text: string): Promise<string | undefined> {
    const ahead = this.#typedAhead.shift();
    if (ahead !== undefined) {
      this.#options.output.write(`${text}${ahead}\n`);
      this.#options.history.add(ahead);
      return ahead;
    }
    const line = await this.#read("prompt", text);
    this.#emptyInterrupts = 0;
    if (line !== undefined) this.#options.history.add(line);
    return line;
  }

  /** The answer to a question; undefined on Ctrl-C or at the end of input. */
  async ask(question: string): Promise<string | undefined> {
    this.#clearInput();
    return await this.#read("question", question);
  }

  /** Prints lines: above the line being typed, where one is. */
  print(text: string): void {
    const { output } = this.#options;
    if (this.#mode === "busy" || this.#closed) {
      output.write(`${text}\n`);
      return;
    }
    const { rows } = this.#rl.getCursorPos();
    readline.moveCursor(output, 0, -rows);
    readline.cursorTo(output, 0);
    readline.clearScreenDown(output);
    // readline moves up again by the rows it believes to be above its cursor.
    output.write(`${text}\n${"\n".repeat(rows)}`);
    this.#rl.prompt(true);
  }

  /** Calls back on Ctrl-C while a command runs; the newest handler only. Returns the way to take it back. */
  onInterrupt(handler: () => void): () => void {
    this.#interrupts.push(handler);
    return () => {
      const at = this.#interrupts.lastIndexOf(handler);
      if (at >= 0) this.#interrupts.splice(at, 1);
    };
  }

  /** Whether the input has ended. */
  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#rl.close();
  }

  #read(mode: "prompt" | "question", text: string): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#answer = resolve;
      this.#mode = mode;
      this.#rl.setPrompt(text);
      this.#rl.prompt(true);
    });
  }

  #settle(line: string | undefined): void {
    const answer = this.#answer;
    this.#answer = undefined;
    this.#mode = "busy";
    answer?.(line);
  }

  #onLine(line: string): void {
    if (this.#mode !== "busy") this.#settle(line);
    else if (this.#typedAhead.length < TYPED_AHEAD_MAX) this.#typedAhead.push(line);
  }

  #onInterrupt(): void {
    switch (this.#mode) {
      case "busy":
        this.#typedAhead.length = 0;
        this.#interrupts.at(-1)?.();
        return;
      case "question":
        this.#options.output.write("^C\n");
        this.#clearInput();
        this.#settle(undefined);
        return;
      case "prompt":
        this.#interruptPrompt();
    }
  }

  /** Clears the line, as a login shell does; on an empty one says how to leave, and leaves the second time. */
  #interruptPrompt(): void {
    this.#emptyInterrupts = this.#rl.line === "" ? this.#emptyInterrupts + 1 : 0;
    if (this.#emptyInterrupts >= 2) {
      this.#options.output.write("^C");
      return this.#rl.close();
    }
    const hint = this.#emptyInterrupts === 1 ? `${this.#options.exitHint}\n` : "";
    this.#options.output.write(`^C\n${hint}`);
    this.#clearInput();
    this.#rl.prompt(true);
  }

  /** Empties the line editor without a trace on the screen. */
  #clearInput(): void {
    const mode = this.#mode;
    this.#mode = "busy";
    this.#rl.write(null, { ctrl: true, name: "e" });
    this.#rl.write(null, { ctrl: true, name: "u" });
    this.#mode = mode;
  }

  #onClose(): void {
    this.#closed = true;
    if (this.#mode === "prompt") this.#options.output.write("\n");
    this.#settle(undefined);
  }

  /** What readline writes to: the terminal, except while a command runs. */
  #mutedOutput(): NodeJS.WritableStream {
    const { output } = this.#options;
    const muted = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (this.#mode !== "busy") output.write(chunk);
        done();
      },
    });
    // readline wraps lines by the width of its output and hears of changes from it.
    Object.defineProperty(muted, "columns", { get: () => (output as { columns?: number }).columns ?? 80 });
    output.on("resize", () => muted.emit("resize"));
    return muted;
  }
}
