// A cluster of real processes in a temporary directory: storage nodes and one or more `runtime serve`, each on a port that
// stays its own, so that any of them can be killed and started again. Ports lie below the range from which the system takes
// those of outgoing connections: a dead node's port must not be taken before the node is back; and test files that run at
// the same time have a part of that range each. Coordinators are found by
// their names, `first`, `second`, …; whoever leads is asked, and `leader` says who that is.
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
import type { CoordinatorRole } from "../../shared/protocol/client-messages.ts";
import { buildProgram, type Ended, killProcess, type NodeProcess, startProgram } from "./node-process.ts";

const PORT_MIN = 20_000;
/** Ports of one worker of vitest, of which eight at most start real processes. */
const PORTS = 1_500;
const WORKER = (Number(process.env["VITEST_POOL_ID"] ?? 1) - 1) % 8;
const POLL_MS = 20;
const NODE_IDS = ["A", "B", "C", "D", "E", "F", "G"];
const COORDINATORS = ["first", "second", "third"];
const FIRST = "first";
const WAIT_MS_MAX = 60_000;
const CALL_TIMEOUT_MS = 30_000;
/** Copying rests while clients are served, the longer the slower the machine is. */
const REBALANCED_MS_MAX = 240_000;
/** A coordinator that does not say hello in this time is passed over when the leader is looked for: it may stand still. */
const HELLO_TIMEOUT_MS = 500;

type Request = Parameters<Session["call"]>[0];

export interface ClusterOptions {
  /** Storage nodes to start and add: A, B, C, … Default 3. */
  readonly nodes?: number;
  /** Copies wanted; as the program's default where absent. */
  readonly rf?: number;
  /** Coordinators to start: one leads, the others stand by. Default 1. */
  readonly coordinators?: number;
  /** Whether all coordinators run from one cluster file; otherwise each has its own, and joins. */
  readonly oneClusterFile?: boolean;
  /** `--state` of the coordinators. */
  readonly state?: string;
  /** Port for REST of the first coordinator; without it none serves REST. */
  readonly http?: number;
}

interface Member {
  readonly port: number;
  process: NodeProcess;
}

const open = new Set<ClusterProcess>();

/** Kills whatever the clusters of a test still run, and removes their directories. @param but The one that tests of a file share */
export async function closeClusters(but?: ClusterProcess): Promise<void> {
  await Promise.all([...open].filter((cluster) => cluster !== but).map((cluster) => cluster.close()));
}

export class ClusterProcess {
  /** Holds the data of all processes; removed by `close`. */
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-cluster-"));
  readonly #nodes = new Map<string, Member>();
  readonly #coordinators = new Map<string, Member>();
  readonly #oneClusterFile: boolean;
  readonly #state: readonly string[];
  readonly #http: readonly string[];

  private constructor({ oneClusterFile = false, state, http }: ClusterOptions) {
    this.#oneClusterFile = oneClusterFile;
    this.#http = http === undefined ? ["--no-http"] : ["--http", String(http)];
    this.#state = state === undefined ? [] : ["--state", state];
  }

  /** Starts the processes and adds the nodes. Closed by `closeClusters`. */
  static async start(options: ClusterOptions = {}): Promise<ClusterProcess> {
    buildProgram();
    const cluster = new ClusterProcess(options);
    open.add(cluster);
    const ids = NODE_IDS.slice(0, options.nodes ?? 3);
    await Promise.all([cluster.startCoordinator(), ...ids.map((id) => cluster.startNode(id))]);
    for (const id of ids) await cluster.addNode(id);
    if (options.rf !== undefined) await cluster.setReplica(options.rf);
    for (const name of COORDINATORS.slice(1, options.coordinators ?? 1)) await cluster.startCoordinator(name);
    await cluster.standbys((options.coordinators ?? 1) - 1);
    return cluster;
  }

  /** Address of the first coordinator. */
  get address(): string {
    return this.addressOfCoordinator(FIRST);
  }

  /** Addresses of all coordinators. */
  get addresses(): string[] {
    return this.coordinatorNames.map((name) => this.addressOfCoordinator(name));
  }

  /** The first coordinator. */
  get coordinator(): NodeProcess {
    return this.coordinatorOf(FIRST);
  }

  get coordinatorNames(): string[] {
    return [...this.#coordinators.keys()];
  }

  coordinatorOf(name: string): NodeProcess {
    return this.#coordinator(name).process;
  }

  addressOfCoordinator(name: string): string {
    return `127.0.0.1:${this.#coordinator(name).port}`;
  }

  clusterFileOf(name: string): string {
    return path.join(this.folder, this.#clusterFile(name));
  }

  /** Takes the cluster file of a coordinator that is not running away, and its voter record. */
  forgetCluster(name: string): void {
    for (const suffix of ["", ".voter"]) fs.rmSync(`${this.clusterFileOf(name)}${suffix}`, { force: true });
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

  /** Starts a coordinator, also one that was killed: same port, same cluster file. All but the first join any node. */
  async startCoordinator(name = FIRST, join: readonly string[] = this.#joinedBy(name)): Promise<void> {
    const port = this.#coordinators.get(name)?.port ?? (await freePort());
    const where = join.flatMap((address) => ["--join", address]);
    const args = [
      "serve",
      ...(name === FIRST ? this.#http : ["--no-http"]),
      "--port",
      String(port),
      "--cluster-file",
      this.#clusterFile(name),
      ...where,
      ...this.#state,
    ];
    const process = startProgram("runtime", args, this.folder);
    this.#coordinators.set(name, { port, process });
    await process.ready;
  }

  async addNode(id: string): Promise<void> {
    const asked = { node: id as NodeId, address: this.addressOf(id) };
    // A node that is there already may join again, but not be added again.
    await this.#change({ op: "addnode", ...asked }, { op: "join", ...asked });
  }

  async removeNode(id: string): Promise<void> {
    await this.#change({ op: "removenode", node: id as NodeId });
  }

  async setReplica(rf: number): Promise<void> {
    await this.#change({ op: "setreplica", rf }, { op: "setreplica", rf });
  }

  /**
   * Where its leader ended meanwhile, as may happen on a busy machine, the next one goes on with it.
   * @param again Asked afterwards, where asking twice does no harm: the leader may have ended before it knew of the change.
   */
  async #change(message: Request, again?: Request): Promise<void> {
    try {
      await this.call(message);
    } catch (error) {
      if (!(error instanceof KvError) || error.code !== "LOST") throw error;
      await this.operationsEnded();
      if (again) await this.call(again);
    }
  }

  /** Waits until no topology operation runs or waits. */
  async operationsEnded(): Promise<void> {
    const ended = async (): Promise<true | undefined> => {
      const { operations } = await this.call({ op: "ops" });
      return operations.every(({ phase }) => phase === "done") ? true : undefined;
    };
    await until("the topology operations to end", ended, REBALANCED_MS_MAX);
  }

  async kill(id: string, signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    return await killProcess(this.node(id), signal);
  }

  async killCoordinator(name = FIRST, signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    return await killProcess(this.coordinatorOf(name), signal);
  }

  /** The name of the coordinator that says that it leads; of two that do, the one of the higher epoch. */
  async leader(): Promise<string> {
    return await until("a leader", () => this.#leaderNow());
  }

  async #leaderNow(): Promise<string | undefined> {
    const told = await Promise.all(this.coordinatorNames.map((name) => this.#saysOfItself(name)));
    const leading = told.filter(({ role }) => role === "leader").sort((a, b) => b.epoch - a.epoch);
    return leading[0]?.name;
  }

  /** What a coordinator takes itself for; `silent` where it does not answer. */
  async roleOf(name: string): Promise<CoordinatorRole | "silent"> {
    return (await this.#saysOfItself(name, CALL_TIMEOUT_MS)).role;
  }

  async #saysOfItself(
    name: string,
    timeoutMs = HELLO_TIMEOUT_MS,
  ): Promise<{ name: string; role: CoordinatorRole | "silent"; epoch: number }> {
    const session = await openSession(this.addressOfCoordinator(name), { timeoutMs }).catch(notYet);
    if (session === undefined) return { name, role: "silent", epoch: 0 };
    const { role, epoch } = session.hello;
    await session.close();
    return { name, role, epoch };
  }

  /** Waits until so many standbys follow the leader. */
  async standbys(count: number): Promise<void> {
    if (count === 0) return;
    await until(`${count} standbys`, async () => {
      const { standbys } = await this.call({ op: "status" });
      return standbys.length === count ? true : undefined;
    });
  }

  /** All processes at once, as when the power goes. */
  async killAll(): Promise<void> {
    const processes = [...this.#coordinators.values(), ...this.#nodes.values()].map(({ process }) => process);
    for (const { child } of processes) child.kill("SIGKILL");
    await Promise.all(processes.map(({ ended }) => ended));
  }

  /** All processes that `killAll` ended. */
  async startAll(): Promise<void> {
    await Promise.all([
      ...this.coordinatorNames.map((name) => this.startCoordinator(name)),
      ...this.nodeIds.map((id) => this.startNode(id)),
    ]);
  }

  /**
   * Asks the coordinator that leads, once one does. @throws KvError as it answered
   * @param onProgress Takes the lines of a topology operation before its last.
   */
  async call<Message extends Request>(
    message: Message,
    onProgress?: (progress: AnswerTo<Message["op"]>) => void,
  ): Promise<AnswerTo<Message["op"]>> {
    return await until(`an answer to ${message.op}`, async () => {
      const name = this.#coordinators.size === 1 ? FIRST : ((await this.#leaderNow()) ?? FIRST);
      const address = this.addressOfCoordinator(name);
      const session = await openSession(address, { timeoutMs: CALL_TIMEOUT_MS }).catch(notYet);
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

  /** For tests that share a cluster: everything runs, nobody stands still, the first coordinator leads, as `start` left it. */
  async restore(): Promise<void> {
    for (const { process } of [...this.#nodes.values(), ...this.#coordinators.values()]) process.child.kill("SIGCONT");
    const dead = (members: Map<string, Member>): string[] =>
      [...members.keys()].filter((id) => hasEnded(members.get(id)));
    await Promise.all([
      ...dead(this.#nodes).map((id) => this.startNode(id)),
      ...dead(this.#coordinators).map((name) => this.startCoordinator(name)),
    ]);
    await this.healthy();
    await this.standbys(this.#coordinators.size - 1);
    if ((await this.leader()) === FIRST) return;
    await this.call({ op: "stepdown" });
    await until("the first to lead", async () => ((await this.leader()) === FIRST ? true : undefined));
    await this.standbys(this.#coordinators.size - 1);
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
    const processes = [...this.#nodes.values(), ...this.#coordinators.values()];
    await Promise.all(processes.map(({ process }) => killProcess(process)));
    fs.rmSync(this.folder, { recursive: true, force: true });
  }

  #joinedBy(name: string): string[] {
    return name === FIRST || this.#state.length > 0 ? [] : this.nodeIds.map((id) => this.addressOf(id));
  }

  #clusterFile(name: string): string {
    return name === FIRST || this.#oneClusterFile ? "cluster.json" : `cluster-${name}.json`;
  }

  #coordinator(name: string): Member {
    const member = this.#coordinators.get(name);
    if (member === undefined) throw new Error(`no coordinator ${name} was started`);
    return member;
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

function hasEnded(member: Member | undefined): boolean {
  const { child } = member?.process ?? {};
  return child !== undefined && (child.exitCode !== null || child.signalCode !== null);
}

/** No leader yet is a reason to ask again; anything else is an answer. */
function notYet(error: unknown): undefined {
  const code = error instanceof KvError ? error.code : undefined;
  if (code === "NO_LEADER" || code === "NOT_LEADER" || code === "NODE_UNREACHABLE") return undefined;
  throw error;
}

/** Ports that were handed out: who has one may not listen yet, or be about to come back to it. */
const taken = new Set<number>();

/** A port nobody listens on, below the range of outgoing connections, and another one each time. */
export async function freePort(): Promise<number> {
  for (;;) {
    if (taken.size === PORTS) taken.clear();
    const port = PORT_MIN + WORKER * PORTS + Math.floor(Math.random() * PORTS);
    if (taken.has(port)) continue;
    taken.add(port);
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
