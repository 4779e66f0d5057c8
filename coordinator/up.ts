// Up: the storage nodes of `runtime up`. Child processes on free ports from 5001, their data in directories by node id, so that a second
// `up` continues whatever the ports. They end with this process however it ends: each reads a pipe that only this process holds the other
// end of (--with-parent). One that dies is announced with the command that starts it again.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { KvError } from "../shared/errors.ts";
import type { NodeId } from "../shared/ids.ts";

const FIRST_PORT = 5001;
const NODES_DEFAULT = 3;
const STOP_MS_MAX = 8_000;
/** A node that was killed with its parent may hold its directory for a moment still. */
const START_MS_MAX = 10_000;
const RETRY_MS = 100;
/** What node_server says of a directory that another process has open. */
const IN_USE = "another process uses the data directory";
/** And of a port that was free a moment ago. */
const PORT_TAKEN = "is already in use";
/** dist/coordinator/up.js → the command at the top. */
const NODE_SERVER = fileURLToPath(new URL("../../node_server", import.meta.url));

export interface UpNode {
  readonly id: NodeId;
  readonly address: string;
  readonly port: number;
  readonly child: ChildProcess;
}

export interface UpOptions {
  /** Where the data lives, a directory for each node in it. */
  readonly directory: string;
  readonly logFile: (id: NodeId) => string;
  /** Flags that every node is started with. */
  readonly extraArguments: readonly string[];
  /** A node died by itself. */
  readonly died: (text: string) => void;
}

export class UpNodes {
  readonly #options: UpOptions;
  readonly #children = new Map<NodeId, ChildProcess>();
  readonly #ports = new Map<NodeId, number>();
  /** Of the coordinator, for nodes that are started again by hand. */
  coordinator = "";
  #stopping = false;

  constructor(options: UpOptions) {
    this.#options = options;
  }

  /**
   * Starts nodes A, B, C, … and waits until each is ready. On a failure the others run on: `stop` ends them.
   * @param count Undefined: all that have data, or three.
   * @throws KvError when one cannot start
   */
  async start(count: number | undefined): Promise<UpNode[]> {
    const ids = nodeNames(this.#options.directory, count);
    const ports = await freePorts(FIRST_PORT, ids.length);
    return await Promise.all(ids.map((id, index) => this.#start(id, ports[index] as number)));
  }

  /** How a node is started again by hand, from this directory. */
  startCommand(id: string): string | undefined {
    const port = this.#ports.get(id as NodeId);
    if (port === undefined) return undefined;
    const here = path.relative("", NODE_SERVER);
    const command = here.startsWith("..") ? NODE_SERVER : `./${here}`;
    const join = this.coordinator === "" ? [] : ["--join", this.coordinator];
    const where = ["--id", id, "--data-dir", path.join(this.#options.directory, id)];
    const words = [command, String(port), ...where, ...join, ...this.#options.extraArguments];
    return words.map((word) => (/^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
  }

  /** SIGTERM, and SIGKILL for whoever does not end in time: nothing acknowledged is lost either way. */
  async stop(id?: NodeId): Promise<void> {
    if (id === undefined) this.#stopping = true;
    const chosen = id === undefined ? [...this.#children.keys()] : [id];
    await Promise.all(chosen.map((one) => this.#stopOne(one)));
  }

  async #stopOne(id: NodeId): Promise<void> {
    const child = this.#children.get(id);
    this.#children.delete(id); // its end is no death
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    await gone;
    clearTimeout(timer);
  }

  async #start(id: NodeId, wanted: number): Promise<UpNode> {
    let port = wanted;
    for (const since = performance.now(); ;) {
      if (this.#stopping) throw new KvError("CANCELLED", "stopped while starting");
      const child = this.#spawn(id, port);
      const refusal = await readyOrRefusal(child);
      if (refusal === undefined) {
        this.#ports.set(id, port);
        child.once("exit", (code, signal) => this.#died(id, child, String(signal ?? `status ${code}`)));
        return { id, address: `127.0.0.1:${port}`, port, child };
      }
      this.#children.delete(id);
      const taken = refusal.includes(PORT_TAKEN);
      if (!(taken || refusal.includes(IN_USE)) || performance.now() - since > START_MS_MAX)
        throw new KvError("NODE_UNREACHABLE", `node ${id} did not start: ${refusal}`);
      // Past the ports of the other nodes, which may not listen yet.
      if (taken) port = (await freePorts(port + this.#children.size + 1, 1))[0] ?? port;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  #spawn(id: NodeId, port: number): ChildProcess {
    const { directory, logFile, extraArguments } = this.#options;
    const where = ["--data-dir", path.join(directory, id), "--log-file", logFile(id), ...extraArguments];
    const child = spawn(process.execPath, [NODE_SERVER, String(port), "--id", id, ...where, "--with-parent"], {
      stdio: ["pipe", "pipe", "pipe"],
      detached: true, // a group of its own: Ctrl-C at the terminal is for the shell
      env: { ...process.env, HOLDFAST_SKIP_BUILD: "1" }, // this process has just looked at that
    });
    child.stdin?.on("error", () => {}); // it is only held open, never written to
    this.#children.set(id, child);
    return child;
  }

  #died(id: NodeId, child: ChildProcess, why: string): void {
    if (this.#children.get(id) !== child) return;
    this.#children.delete(id);
    this.#options.died(`Node ${id} died (${why}). Start it again with: ${this.startCommand(id) ?? ""}`);
  }
}

/** Undefined once the node is ready; otherwise what it said on standard error when it ended. */
async function readyOrRefusal(child: ChildProcess): Promise<string | undefined> {
  const { stdout, stderr } = child;
  if (!stdout || !stderr) return "it has no output";
  let said = "";
  stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-4_096)));
  const ready = once(createInterface({ input: stdout }), "line").then(() => undefined);
  const gone = once(child, "close").then(() => said.trim().replace(/^node_server: /, "") || "it ended without a word");
  return await Promise.race([ready, gone]);
}

/** A, B, …, Z, N27, N28, … and whatever else has data. */
export function nodeNames(directory: string, count: number | undefined): NodeId[] {
  const used = existsSync(directory)
    ? readdirSync(directory).filter((name) => existsSync(path.join(directory, name, "format.json")))
    : [];
  const wanted = count ?? (used.length > 0 ? 0 : NODES_DEFAULT);
  const names = Array.from({ length: wanted }, (_, index) =>
    index < 26 ? String.fromCharCode(65 + index) : `N${index + 1}`,
  );
  return [...new Set([...names, ...used])].sort() as NodeId[];
}

/** Ports where nobody listens at the moment. */
export async function freePorts(first: number, count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = first; ports.length < count; port++) {
    if (port > 65_535) throw new KvError("NODE_UNREACHABLE", `too few free ports from ${first} on`);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  probe.listen(port, "127.0.0.1");
  try {
    await once(probe, "listening");
  } catch {
    return false;
  }
  probe.close();
  await once(probe, "close");
  return true;
}
