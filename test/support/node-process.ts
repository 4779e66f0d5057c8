// Storage nodes as real processes, for tests of the cluster: started through ./node_server as people start them, on a
// free port, spoken to line by line. All of them are killed by `killNodes`, whatever the test did.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

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
}

const running = new Set<NodeProcess>();

/** Starts `./node_server` with these arguments in a directory. dist/ must be current. */
export function startNode(args: readonly string[], folder: string): NodeProcess {
  const command = [path.join(ROOT, "node_server"), ...args];
  const child = spawn(process.execPath, command, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, stdout, stderr }) as Ended);
  const ready = new Promise<{ line: string; port: number }>((resolve, reject) => {
    child.stdout.on("data", () => {
      const line = stdout.split("\n", 1)[0] ?? "";
      if (stdout.includes("\n")) resolve({ line, port: Number(/:(\d+) /.exec(line)?.[1]) });
    });
    child.on("close", () => reject(new Error(`node_server ended before it was ready: ${stderr}`)));
  });
  ready.catch(() => {}); // tests of refused starts look at `ended` only
  const node = { child, ready, ended };
  running.add(node);
  void ended.then(() => running.delete(node));
  return node;
}

/** Kills every node that still runs and waits for its end. */
export async function killNodes(): Promise<void> {
  const nodes = [...running];
  for (const { child } of nodes) child.kill("SIGKILL");
  await Promise.all(nodes.map((node) => node.ended));
}

/** A connection to a node, spoken to by raw lines. */
export class RawLink {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1" });
    this.#lines = createInterface({ input: this.#socket })[Symbol.asyncIterator]();
  }

  send(text: string): void {
    this.#socket.write(text);
  }

  /** The next line as an object; undefined when the other end closed the connection. */
  async next(): Promise<Record<string, unknown> | undefined> {
    const { value, done } = await this.#lines.next();
    return done === true ? undefined : (JSON.parse(value) as Record<string, unknown>);
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
