// `runtime up`: storage nodes, a coordinator and a shell from one command, all of which end together. Once more in the same directory
// it is a shell on what runs; `--detach` leaves it running without one; `runtime down` ends it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { openSession, type Session } from "../../shared/client/session.ts";
import { KvError } from "../../shared/errors.ts";
import { openLog } from "../../shared/io/log.ts";
import type { NodeStatus } from "../../shared/protocol/client-messages.ts";
import { type Flags, UP_CLUSTER_FILE, UP_DIRECTORY } from "../flags.ts";
import { readClusterFile } from "../files.ts";
import { findRunning, Place, type Running, stopRunning } from "../running.ts";
import { type UpNode, UpNodes } from "../up.ts";
import { runShell } from "../shell/io/shell.ts";
import { logFileOf, shellOptions } from "./connect.ts";
import { Notices } from "./notices.ts";
import { decidedSoon, listeningLine, preloadHttp, restLine, type Started, startCoordinator } from "./start.ts";

const RETRY_MS = 100;
const RETRIES_MAX = 50;
const ADD_TIMEOUT_MS = 10_000;
const DECISION_MS_MAX = 3_000;

/** Resolves with the exit status when everything has ended. */
export async function up(given: Flags): Promise<number> {
  const flags = { ...given, clusterFile: UP_CLUSTER_FILE };
  const running = await findRunning(UP_DIRECTORY);
  if (running) return given.detach ? sayRunning(running, "Running already") : await attach(flags, running);
  if (given.detach) return await detach();
  return await new Up(flags).run();
}

/** `runtime down`. Nothing running is what was asked for. */
export async function down(): Promise<number> {
  const stopped = await stopRunning(UP_DIRECTORY);
  const what = stopped === undefined ? `Nothing runs in ${UP_DIRECTORY}.` : `Stopped: ${partsText(stopped)}.`;
  process.stdout.write(`${what}\n`);
  return 0;
}

function partsText({ address, nodes }: Running): string {
  const names = nodes.map((node) => `${node.id} (${node.address})`).join(", ");
  return address === "" ? "a cluster that was just starting" : `coordinator ${address}, nodes ${names}`;
}

async function attach(flags: Flags, running: Running): Promise<number> {
  return await runShell({
    ...shellOptions(flags, [running.address]),
    info: [`Another shell on the cluster that runs here: ${partsText(running)}. It goes on when you leave.`],
  });
}

/** Starts the same command in a session of its own, and waits until it is ready. */
async function detach(): Promise<number> {
  const args = process.argv.slice(1).filter((word) => word !== "--detach");
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe", "ipc"], detached: true });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
  const gone = once(child, "close").then(() => undefined);
  const ready = once(child, "message");
  // Whatever ends this command before the cluster is ready ends the cluster too.
  const stop = (): void => void child.kill("SIGTERM");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, stop);
  const message = await Promise.race([ready, gone]);
  if (message === undefined) throw new KvError("NODE_UNREACHABLE", said.trim() || "it ended before it was ready");
  process.stderr.write(said);
  return sayRunning(message[0] as Running, "Running in the background");
}

function sayRunning(running: Running, how: string): number {
  const lines = [
    `${how}: ${partsText(running)}.`,
    `Data in ${UP_DIRECTORY}. A shell: ./runtime up. To stop: ./runtime down.`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  return 0;
}

/** One run of `up`, from the first child to the last. */
class Up {
  readonly #flags: Flags;
  readonly #notices = new Notices();
  readonly #log = openLog({ name: "runtime", file: logFileOf(UP_DIRECTORY, "coordinator") });
  readonly #nodes: UpNodes;
  #place: Place | undefined;
  #started: Started | undefined;
  #ended: Promise<void> | undefined;

  constructor(flags: Flags) {
    this.#flags = flags;
    this.#nodes = new UpNodes({
      directory: UP_DIRECTORY,
      logFile: (id) => logFileOf(UP_DIRECTORY, id),
      extraArguments: flags.securityArguments,
      died: (text) => {
        this.#log.error(text);
        this.#notices.tell(text);
      },
    });
  }

  async run(): Promise<number> {
    const leave = (): void => void this.#end().then(() => process.exit(0));
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, leave);
    this.#place = await Place.take(UP_DIRECTORY, leave);
    if (!this.#place) throw new KvError("NODE_UNREACHABLE", `another ./runtime up is starting in ${UP_DIRECTORY}`);
    try {
      return await this.#serve();
    } finally {
      await this.#end();
    }
  }

  async #serve(): Promise<number> {
    readClusterFile(this.#flags.clusterFile); // refused before anything is started
    const starting = this.#nodes.start(this.#flags.nodes);
    preloadHttp(this.#flags);
    const nodes = await starting;
    const started = await this.#startCoordinator(nodes);
    const { server } = started;
    const present = await this.#addMissing(server.listening, nodes);
    const running = { address: server.listening, nodes: present.map(({ id, address }) => ({ id, address })) };
    this.#place?.describe(running);
    process.send?.(running);
    if (process.connected) process.disconnect();
    return await runShell({
      ...shellOptions(this.#flags, [server.listening]),
      info: [
        `Nodes: ${present.map(({ id, address }) => `${id} (${address})`).join(", ")}. Data in ${UP_DIRECTORY}.`,
        ...restLine(started),
        ...(server.role === "leader" ? [] : started.lines()),
      ],
      notices: this.#notices.subscribe,
      scriptEnded: () => this.#serveOn(started),
    });
  }

  async #startCoordinator(nodes: readonly UpNode[]): Promise<Started> {
    const { clusterFile } = this.#flags;
    const known = readClusterFile(clusterFile) !== undefined;
    const started = await startCoordinator({
      flags: { ...this.#flags, join: known ? nodes.map(({ address }) => address) : [] },
      log: this.#log,
      tell: this.#notices.tell,
      startCommand: (id) => this.#nodes.startCommand(id),
    });
    this.#started = started;
    this.#nodes.coordinator = started.server.listening;
    await decidedSoon(started.server, DECISION_MS_MAX);
    return started;
  }

  /** Without a terminal, at the end of the input: serves until a signal. */
  async #serveOn(started: Started): Promise<void> {
    process.stdout.write(`${listeningLine(started)}\n`);
    await new Promise(() => {}); // a signal ends the process
  }

  /** Adds nodes that no cluster has yet; those that were removed from it stay out. Returns the ones that take part. */
  async #addMissing(coordinator: string, nodes: readonly UpNode[]): Promise<readonly UpNode[]> {
    const removed = new Set<UpNode>();
    for (const node of nodes) {
      if (await this.#isMember(coordinator, node)) continue;
      const blank = await this.#withSession(node.address, ({ hello }) => Promise.resolve(hello.cluster === null));
      if (blank) await this.#addNode(coordinator, node);
      else removed.add(node);
    }
    for (const { id } of removed) {
      this.#log.warn({ id }, "the node was removed from the cluster: stopped");
      await this.#nodes.stop(id);
    }
    return nodes.filter((node) => !removed.has(node));
  }

  /** Where no leader can be had the shell says so; then all count. */
  async #isMember(coordinator: string, { id }: UpNode): Promise<boolean> {
    if (this.#started?.server.role === "new") return false;
    const members = await this.#withSession(coordinator, async (session) => {
      const { nodes } = (await session.call({ op: "nodes" })) as unknown as { readonly nodes: readonly NodeStatus[] };
      return nodes.map((node) => node.id);
    }).catch(() => undefined);
    return members === undefined || members.includes(id);
  }

  #end(): Promise<void> {
    return (this.#ended ??= this.#endOnce());
  }

  async #endOnce(): Promise<void> {
    await this.#started?.stop();
    await this.#nodes.stop();
    this.#log.info("stopped");
    this.#place?.release();
  }

  async #addNode(coordinator: string, { id, address }: UpNode): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#withSession(coordinator, (session) => session.call({ op: "addnode", node: id, address }));
        return;
      } catch (error) {
        const code = error instanceof KvError ? error.code : undefined;
        if (code === "NODE_EXISTS") return;
        if (code !== "NO_LEADER" || attempt >= RETRIES_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  async #withSession<Result>(address: string, use: (session: Session) => Promise<Result>): Promise<Result> {
    const { credentials } = this.#flags.security;
    const session = await openSession(address, { timeoutMs: ADD_TIMEOUT_MS, credentials });
    try {
      return await use(session);
    } finally {
      await session.close();
    }
  }
}
