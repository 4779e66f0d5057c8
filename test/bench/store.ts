// Store: a system under measurement, started by the benchmark on free loopback ports with temporary directories.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Target } from "./driver.ts";
import type { Roles } from "./load-process.ts";

export interface Store {
  readonly name: string;
  /** Exact version and the flags that matter, for the report. */
  readonly version: string;
  /** For the load process; null where only tools of its own can load it. */
  readonly target: Target | null;
  /** Base of its HTTP API; null without one. */
  readonly http: string | null;
  readonly roles: Roles;
  /** Ends its processes and removes its directory. */
  stop(): Promise<void>;
}

/** A folder of its own and the processes of a peer in it; all end with `stop`, or with this process. */
export class PeerProcesses {
  readonly folder: string;
  readonly #children: ChildProcess[] = [];

  constructor(name: string) {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), `holdfast-bench-${name}-`));
    process.on("exit", () => this.#kill());
  }

  /** Starts one. What it says is thrown away. @returns its process id */
  start(command: string, args: readonly string[]): number {
    const child = spawn(command, args, { cwd: this.folder, stdio: "ignore" });
    child.on("error", () => {}); // a program that is not there is found out by `versionOf` before
    this.#children.push(child);
    return child.pid ?? 0;
  }

  async stop(): Promise<void> {
    const running = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const ended = running.map((child) => once(child, "exit"));
    this.#kill();
    await Promise.all(ended);
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  #kill(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }
}

/** First line of what a program says of its version; undefined where it is not installed. */
export function versionOf(command: string, flag: string): string | undefined {
  const { status, stdout, stderr } = spawnSync(command, [flag], { encoding: "utf8" });
  if (status === null) return undefined;
  return (stdout || stderr).split("\n", 1)[0]?.trim();
}
