// Our two programs as real processes, for tests of the cluster: started through ./node_server and ./runtime as people
// start them, spoken to line by line. All of them are killed by `killNodes`, whatever the test did, and by the end
// of this process. dist/ is run as it is: `buildProgram` first.
import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect, type Socket } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

/** The folder of package.json: this file is also compiled into dist/. */
const ROOT = findRoot(fileURLToPath(new URL(".", import.meta.url)));
/** What a process says on standard error is kept up to here, from its beginning. */
const STDERR_CHARS_MAX = 1024 * 1024;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface NodeProcess {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  /** The first line on standard output. Rejects, with what was said, when the process ends before it. */
  readonly ready: Promise<{ readonly line: string; readonly port: number }>;
  readonly ended: Promise<Ended>;
  /** What it has said on standard error so far. */
  readonly said: () => string;
}

const running = new Set<NodeProcess>();
process.on("exit", () => {
  for (const { child } of running) child.kill("SIGKILL");
});

let isBuilt = false;

/** Brings dist/ up to date with the sources, once a process. @throws Error with what the compiler said */
export function buildProgram(): void {
  if (isBuilt) return;
  const script = path.join(ROOT, "test/support/run.mjs");
  const { status, stderr } = spawnSync(process.execPath, [script, "build"], { encoding: "utf8" });
  if (status !== 0) throw new Error(`the build failed: ${stderr}`);
  isBuilt = true;
}

/** Starts `./node_server` with these arguments in a directory. */
export function startNode(args: readonly string[], folder: string): NodeProcess {
  return startProgram("node_server", args, folder);
}

/** Starts one of the two commands in a directory. @param wrapper A command to run it under, such as strace. */
export function startProgram(
  program: "node_server" | "runtime",
  args: readonly string[],
  folder: string,
  wrapper: readonly string[] = [],
): NodeProcess {
  const [command = "", ...rest] = [...wrapper, process.execPath, path.join(ROOT, program), ...args];
  const env = { ...process.env, HOLDFAST_SKIP_BUILD: "1" };
  const child = spawn(command, rest, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (stderr.length < STDERR_CHARS_MAX) stderr += text;
  });
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, stdout, stderr }) as Ended);
  const ready = new Promise<{ line: string; port: number }>((resolve, reject) => {
    child.stdout.on("data", () => {
      const line = stdout.split("\n", 1)[0] ?? "";
      if (stdout.includes("\n")) resolve({ line, port: Number(/:(\d+) /.exec(line)?.[1]) });
    });
    child.on("close", () => reject(new Error(`${program} ended before it was ready: ${stderr}`)));
  });
  ready.catch(() => {}); // tests of refused starts look at `ended` only
  const started = { child, ready, ended, said: () => stderr };
  running.add(started);
  void ended.then(() => running.delete(started));
  return started;
}

/** Sends a signal and waits for the end. */
export async function killProcess({ child, ended }: NodeProcess, signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
  child.kill(signal);
  return await ended;
}

/** Kills every process that still runs and waits for its end. */
export async function killNodes(): Promise<void> {
  await Promise.all([...running].map((started) => killProcess(started)));
}

/** A connection to a node or coordinator, spoken to by raw lines. */
export class RawLink {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1" });
    // A reset ends the lines as a close does; `next` tells neither from the other, as no answer will come.
    this.#socket.on("error", () => this.#socket.destroy());
    this.#lines = createInterface({ input: this.#socket })[Symbol.asyncIterator]();
  }

  send(text: string | Uint8Array): void {
    this.#socket.write(text);
  }

  /** The next line as an object; undefined when the other end closed or reset the connection. */
  async next(): Promise<Record<string, unknown> | undefined> {
    try {
      const { value, done } = await this.#lines.next();
      return done === true ? undefined : (JSON.parse(value) as Record<string, unknown>);
    } catch (error) {
      if (isReset(error)) return undefined;
      throw error;
    }
  }

  /** Sends one request and takes the next line. */
  async ask(request: object): Promise<Record<string, unknown> | undefined> {
    this.send(`${JSON.stringify(request)}\n`);
    return await this.next();
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A process that dies with unread bytes in its socket resets the connection instead of closing it. */
function isReset(error: unknown): boolean {
  return ["ECONNRESET", "EPIPE"].includes((error as NodeJS.ErrnoException).code ?? "");
}

function findRoot(folder: string): string {
  if (existsSync(path.join(folder, "package.json"))) return folder;
  return findRoot(path.dirname(folder));
}
