// A cluster of real processes in a temporary directory: storage nodes and one `runtime serve`, each on a port that stays
// its own, so that any of them can be killed and started again. Ports lie below the range from which the system takes
// those of outgoing connections: a dead node's port must not be taken before the node is back.
//
// Decides nothing about load or verdicts: see load.ts.
import { once } from "node:events";
import fs from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { AnswerTo } from "../../shared/client/answers.ts";
import { openSession, type Session } from "../../shared/client/session.ts";
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import { buildProgram, type Ended, killProcess, type NodeProcess, startProgram } from "./node-process.ts";

const PORT_MIN = 20_000;
const PORT_MAX = 32_000;
const POLL_MS = 20;
const NODE_IDS = ["A", "B", "C", "D", "E", "F", "G"];
const WAIT_MS_MAX = 20_000;
const CALL_TIMEOUT_MS = 10_000;

type Request = Parameters<Session["call"]>[0];

export interface ClusterOptions {
  /** Storage nodes to start and add: A, B, C, … Default 3. */
  readonly nodes?: number;
  /** Copies wanted; as the program's default where absent. */
  readonly rf?: number;
}

interface Member {
  readonly port: number;
  process: NodeProcess;
}

const open = new Set<ClusterProcess>();

/** Kills whatever the clusters of a test still run, and removes their directories. For `afterEach`. */
export async function closeClusters(): Promise<void> {
  await Promise.all([...open].map((cluster) => cluster.close()));
}

export class ClusterProcess {
  /** Holds the data of all processes; removed by `close`. */
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-cluster-"));
  readonly #nodes = new Map<string, Member>();
  #coordinator: Member | undefined;

  /** Starts the processes and adds the nodes. Closed by `closeClusters`. */
  static async start(options: ClusterOptions = {}): Promise<ClusterProcess> {
    buildProgram();
    const cluster = new ClusterProcess();
    open.add(cluster);
    const ids = NODE_IDS.slice(0, options.nodes ?? 3);
    await Promise.all([cluster.startCoordinator(), ...ids.map((id) => cluster.startNode(id))]);
    for (const id of ids) await cluster.addNode(id);
    if (options.rf !== undefined) await cluster.call({ op: "setreplica", rf: options.rf });
    return cluster;
  }

  /** Address of the coordinator. */
  get address(): string {
    return `127.0.0.1:${this.#coordinatorMember.port}`;
  }

  get coordinator(): NodeProcess {
    return this.#coordinatorMember.process;
  }

  get nodeIds(): string[] {
    return [...this.#nodes.keys()];
  }

  addressOf(id: string): string {
    return `127.0.0.1:${this.#member(id).port}`;
  }

  node(id: string): NodeProcess {
    return this.#member(id).process;
  }

  dataOf(id: string): string {
    return path.join(this.folder, id);
  }

  /**
   * Starts a node's process, also one that was killed: same port, same directory. Does not add it to the cluster.
   * @param wrapper A command to run it under, such as strace.
   */
  async startNode(id: string, wrapper: readonly string[] = []): Promise<void> {
    const port = this.#nodes.get(id)?.port ?? (await freePort());
    const process = startProgram("node_server", [String(port), "--data-dir", id, "--id", id], this.folder, wrapper);
    this.#nodes.set(id, { port, process });
    await process.ready;
  }

  /** Starts the coordinator, also after it was killed. */
  async startCoordinator(): Promise<void> {
    const port = this.#coordinator?.port ?? (await freePort());
    const args = ["serve", "--no-http", "--port", String(port), "--cluster-file", "cluster.json"];
    const process = startProgram("runtime", args, this.folder);
    this.#coordinator = { port, process };
    await process.ready;
  }

  async addNode(id: string): Promise<void> {
    await this.call({ op: "addnode", node: id as NodeId, address: this.addressOf(id) });
  }

  async removeNode(id: string): Promise<void> {
    await this.call({ op: "removenode", node: id as NodeId });
  }

  async kill(id: string, signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    return await killProcess(this.node(id), signal);
  }

  async killCoordinator(signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    return await killProcess(this.coordinator, signal);
  }

  /** All processes at once, as when the power goes. */
  async killAll(): Promise<void> {
    const processes = [this.coordinator, ...[...this.#nodes.values()].map(({ process }) => process)];
    for (const { child } of processes) child.kill("SIGKILL");
    await Promise.all(processes.map(({ ended }) => ended));
  }

  /** All processes that `killAll` ended. */
  async startAll(): Promise<void> {
    await Promise.all([this.startCoordinator(), ...this.nodeIds.map((id) => this.startNode(id))]);
  }

  /**
   * Asks the coordinator, once it leads. @throws KvError as it answered
   * @param onProgress Takes the lines of a topology operation before its last.
   */
  async call<Message extends Request>(
    message: Message,
    onProgress?: (progress: AnswerTo<Message["op"]>) => void,
  ): Promise<AnswerTo<Message["op"]>> {
    return await until(`an answer to ${message.op}`, async () => {
      const session = await openSession(this.address, { timeoutMs: CALL_TIMEOUT_MS }).catch(notYet);
      if (session === undefined) return undefined;
      try {
        return await session.call(message, onProgress);
      } catch (error) {
        return notYet(error);
      } finally {
        await session.close();
      }
    });
  }

  /** Waits until the coordinator leads and sees every node of these up. */
  async healthy(ids: readonly string[] = this.nodeIds): Promise<void> {
    await until(`nodes ${ids.join(", ")} up`, async () => {
      const { nodes } = await this.call({ op: "status" });
      const up = nodes.filter(({ state }) => state === "up").map(({ id }) => String(id));
      return ids.every((id) => up.includes(id)) ? true : undefined;
    });
  }

  /** Ends everything, whatever state it is in. */
  async close(): Promise<void> {
    open.delete(this);
    const processes = [...this.#nodes.values(), ...(this.#coordinator ? [this.#coordinator] : [])];
    await Promise.all(processes.map(({ process }) => killProcess(process)));
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  get #coordinatorMember(): Member {
    if (this.#coordinator === undefined) throw new Error("the coordinator was not started");
    return this.#coordinator;
  }

  #member(id: string): Member {
    const member = this.#nodes.get(id);
    if (member === undefined) throw new Error(`no node ${id} was started`);
    return member;
  }
}

/** Polls until the probe gives something. @throws Error naming what was waited for, and the probe's own errors */
export async function until<T>(what: string, probe: () => Promise<T | undefined>, limitMs = WAIT_MS_MAX): Promise<T> {
  const endsAt = performance.now() + limitMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > endsAt) throw new Error(`waited ${limitMs} ms for ${what}`);
    await sleep(POLL_MS);
  }
}

/** No leader yet is a reason to ask again; anything else is an answer. */
function notYet(error: unknown): undefined {
  const code = error instanceof KvError ? error.code : undefined;
  if (code === "NO_LEADER" || code === "NODE_UNREACHABLE") return undefined;
  throw error;
}

/** A port nobody listens on, below the range of outgoing connections. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_MIN + Math.floor(Math.random() * (PORT_MAX - PORT_MIN));
    const probe = createServer().listen(port, "127.0.0.1");
    const free = await once(probe, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}
