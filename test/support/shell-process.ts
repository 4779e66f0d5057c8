// A `runtime shell` as a process of its own, its lines typed one by one as a script's: what a person at another terminal sees.
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { ClusterProcess } from "./cluster-process.ts";
import { until } from "./cluster-process.ts";

const RUNTIME = fileURLToPath(new URL("../../runtime", import.meta.url));

const open = new Set<ShellProcess>();

/** Ends the shells of a test. For `afterEach`. */
export function closeShells(): void {
  for (const shell of open) shell.close();
}

export class ShellProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #said = "";

  /** @param addresses Where it connects. */
  constructor(cluster: ClusterProcess, addresses: readonly string[]) {
    const args = [RUNTIME, "shell", "--connect", addresses.join(",")];
    const env = { ...process.env, HOLDFAST_SKIP_BUILD: "1" };
    this.#child = spawn(process.execPath, args, { cwd: cluster.folder, env, stdio: ["pipe", "pipe", "pipe"] });
    open.add(this);
    const hear = (text: string): void => void (this.#said += text);
    this.#child.stdout.setEncoding("utf8").on("data", hear);
    this.#child.stderr.setEncoding("utf8").on("data", hear);
  }

  /** Types a line and waits until it has said this. @throws Error with everything it has said instead */
  async expectSaid(line: string, text: string): Promise<void> {
    const from = this.#said.length;
    this.#child.stdin.write(`${line}\n`);
    try {
      await until(text, () => Promise.resolve(this.#said.slice(from).includes(text) ? true : undefined));
    } catch {
      throw new Error(`"${line}" did not bring "${text}" but: ${this.#said.slice(from)}`);
    }
  }

  close(): void {
    open.delete(this);
    this.#child.kill("SIGKILL");
  }
}
