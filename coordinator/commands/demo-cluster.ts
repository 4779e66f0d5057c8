// Cluster of `runtime demo`: storage nodes and coordinators as processes of their own, in a directory that is removed at the end. They are
// what ./node_server and ./runtime serve start, so that killing them shows what killing the real ones does. A node keeps its port and its
// directory, so that it can come back.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { KvError } from "../../shared/errors.ts";

/** dist/coordinator/commands/demo-cluster.js → the commands at the top. */
const TOP = fileURLToPath(new URL("../../../", import.meta.url));
const READY_MS_MAX = 20_000;
const STDERR_CHARS_MAX = 4_096;

export interface DemoProcess {
  /** A node's id; `first` or `second` for a coordinator. */
  readonly name: string;
  readonly address: string;
  readonly child: ChildProcess;
}

export class DemoCluster {
  readonly directory = mkdtempSync(path.join(os.tmpdir(), "holdfast-demo-"));
  readonly #running = new Set<ChildProcess>();
  #ended = false;

  constructor() {
    // However this process ends, short of SIGKILL, nothing stays behind.
    process.once("exit", () => this.end());
  }

  async startNode(id: string, port: number): Promise<DemoProcess> {
    return await this.#start("node_server", id, [String(port), "--id", id, "--data-dir", id, "--with-parent"]);
  }

  /** @param join Where the cluster is found; empty for the first coordinator, which makes it. */
  async startCoordinator(name: string, join: readonly string[]): Promise<DemoProcess> {
    const where = join.flatMap((address) => ["--join", address]);
    return await this.#start("runtime", name, ["serve", "--no-http", "--cluster-file", `${name}.json`, ...where]);
  }

  /** SIGKILL: nothing is flushed, nothing is said. */
  async kill({ child }: DemoProcess): Promise<void> {
    const gone = once(child, "close");
    child.kill("SIGKILL");
    await gone;
  }

  /** Kills what runs and removes the directory; once more does nothing. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const child of this.#running) child.kill("SIGKILL");
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }

  async #start(program: "node_server" | "runtime", name: string, args: readonly string[]): Promise<DemoProcess> {
    if (this.#ended) throw new KvError("CANCELLED", "the demo has ended");
    const child = spawn(process.execPath, [path.join(TOP, program), ...args], {
      cwd: this.directory,
      stdio: ["pipe", "pipe", "pipe"],
      detached: true, // a group of its own: Ctrl-C at the terminal is for this process
      // A token is for clusters that are kept: this one asks for none.
      env: { ...process.env, HOLDFAST_SKIP_BUILD: "1", HOLDFAST_TOKEN: undefined },
    });
    this.#running.add(child);
    child.once("close", () => this.#running.delete(child));
    child.stdin.on("error", () => {}); // it is only held open, never written to
    const line = await readyLine(child, name);
    const [, address = ""] = /listening on (\S+)/.exec(line) ?? [];
    return { name, address, child };
  }
}

/** The first line on standard output. @throws KvError with what was said instead */
async function readyLine(child: ChildProcess, name: string): Promise<string> {
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-STDERR_CHARS_MAX)));
  const lines = child.stdout ? createInterface({ input: child.stdout }) : undefined;
  const timeout = AbortSignal.timeout(READY_MS_MAX);
  const ready = lines && once(lines, "line", { signal: timeout }).then(([line]) => String(line));
  const gone = once(child, "close", { signal: timeout }).then(() => undefined);
  const line = await Promise.race([ready, gone]).catch(() => undefined);
  gone.catch(() => {}); // it lives: the wait for its end is over
  ready?.catch(() => {});
  if (line === undefined) throw new KvError("NODE_UNREACHABLE", `${name} did not start: ${said.trim()}`);
  return line;
}
