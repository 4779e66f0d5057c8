// Testing: a cluster inside one process, for the tests of applications: `import { startCluster } from "holdfast/testing"`. Real storage nodes
// and real coordinators, on free ports of loopback, with their data in a temporary directory that goes with the cluster; nothing is mocked,
// so what an application sees of failures here is what it will see.
//
//   await using cluster = await startCluster({ nodes: 3 });
//   const kv = await cluster.connect();
//
// The one file that has both halves of the system, besides tests: it decides nothing and only starts and stops.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { KvClient } from "../shared/client/client.ts";
import { connect } from "../shared/client/connect.ts";
import type { ConnectOptions } from "../shared/client/options.ts";
import { openSession } from "../shared/client/session.ts";
import { KvError } from "../shared/errors.ts";
import type { NodeId } from "../shared/ids.ts";
import { formatAddress } from "../shared/io/address.ts";
import { VALUE_BYTES_MAX_DEFAULT } from "../shared/limits.ts";
import { NodeServer } from "../storage-node/server.ts";
import { CoordinatorServer } from "./server.ts";

export interface ClusterOptions {
  /** Storage nodes, with the ids A, B, C, … 1–26, default 1: the quickest to start. */
  readonly nodes?: number;
  /** The first leads, the others are standbys. 1–5, default 1. */
  readonly coordinators?: number;
  /** Copies of each value. Default: 3, or as many as there are nodes while there are fewer. */
  readonly replicas?: number;
  /** Largest value taken, in bytes. Default 1 MiB. */
  readonly valueBytesMax?: number;
}

const NODES_MAX = 26;
const COORDINATORS_MAX = 5;
const ADD_TIMEOUT_MS = 20_000;

/**
 * Starts a cluster and waits until it takes writes. Close it when done: it keeps the process alive.
 * @throws KvError BAD_REQUEST for numbers beyond the limits
 */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const { nodes = 1, coordinators = 1 } = options;
  checkCount("nodes", nodes, NODES_MAX);
  checkCount("coordinators", coordinators, COORDINATORS_MAX);
  const cluster = new TestCluster(options.valueBytesMax ?? VALUE_BYTES_MAX_DEFAULT);
  try {
    await cluster.startCoordinator();
    for (let index = 0; index < nodes; index++) await cluster.addNode(String.fromCharCode(65 + index));
    if (options.replicas !== undefined) await cluster.setReplicas(options.replicas);
    for (let index = 1; index < coordinators; index++) await cluster.startCoordinator();
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

/** A cluster that runs in this process. Made by `startCluster`. */
export class TestCluster implements AsyncDisposable {
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), "holdfast-testing-"));
  readonly #valueBytesMax: number;
  readonly #nodes = new Map<string, { server: NodeServer | undefined; readonly port: number }>();
  readonly #coordinators: CoordinatorServer[] = [];
  readonly #clients = new Set<KvClient>();
  #closing: Promise<void> | undefined;

  /** Use `startCluster`. */
  constructor(valueBytesMax: number) {
    this.#valueBytesMax = valueBytesMax;
  }

  /** `host:port` of every coordinator that runs, for `connect`; the leader is found through any of them. */
  get addresses(): string[] {
    return this.#coordinators.map(({ address }) => address);
  }

  /** Ids of the nodes, stopped ones included. */
  get nodeIds(): string[] {
    return [...this.#nodes.keys()];
  }

  /** A client of its own; closed with the cluster, if not before. */
  async connect(options: ConnectOptions = {}): Promise<KvClient> {
    const client = await connect(this.addresses, options);
    this.#clients.add(client);
    return client;
  }

  /** Starts another node and adds it; resolves when its part of the data is there. */
  async addNode(id: string): Promise<void> {
    if (this.#nodes.has(id)) throw new KvError("NODE_EXISTS", `there is a node ${id} already`);
    const server = await this.#serveNode(id, 0);
    this.#nodes.set(id, { server, port: server.address.port });
    await this.#change({ op: "addnode", node: id as NodeId, address: formatAddress(server.address) });
  }

  /** Ends a node, as an upgrade or a reboot would: its data stays, the others go on. */
  async stopNode(id: string): Promise<void> {
    const node = this.#node(id);
    const { server } = node;
    node.server = undefined;
    await server?.stop();
  }

  /** Starts a stopped node again, where it was and with what it had. It catches up by itself. */
  async startNode(id: string): Promise<void> {
    const node = this.#node(id);
    node.server ??= await this.#serveNode(id, node.port);
  }

  async setReplicas(count: number): Promise<void> {
    await this.#change({ op: "setreplica", rf: count });
  }

  /** Starts another coordinator: a standby, where one leads. */
  async startCoordinator(): Promise<void> {
    const server = new CoordinatorServer({
      host: "127.0.0.1",
      port: 0,
      clusterFile: path.join(this.#folder, "cluster.json"), // shared: by it the next one finds the cluster
      join: [],
      valueBytesMax: this.#valueBytesMax,
      role: () => {},
      notice: () => {},
      failed: fail,
    });
    await server.start();
    this.#coordinators.push(server);
    await server.decided;
  }

  /** Ends the coordinator that leads; a standby, where there is one, takes over. */
  async stopLeader(): Promise<void> {
    const index = this.#coordinators.findIndex(({ role }) => role === "leader");
    if (index === -1) throw new KvError("NO_LEADER", "no coordinator leads at the moment");
    const [leader] = this.#coordinators.splice(index, 1);
    await leader?.stop();
  }

  /** Ends everything and removes the data. */
  async close(): Promise<void> {
    await (this.#closing ??= this.#closeAll());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #closeAll(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.close()));
    // Standbys first: nobody takes over what is about to end.
    for (const coordinator of this.#coordinators.splice(0).reverse()) await coordinator.stop();
    await Promise.all([...this.#nodes.keys()].map((id) => this.stopNode(id)));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #node(id: string): { server: NodeServer | undefined; readonly port: number } {
    const node = this.#nodes.get(id);
    if (!node) throw new KvError("NO_SUCH_NODE", `there is no node ${id}; there are ${this.nodeIds.join(", ")}`);
    return node;
  }

  async #serveNode(id: string, port: number): Promise<NodeServer> {
    const dataDirectory = path.join(this.#folder, id);
    return await NodeServer.start({ host: "127.0.0.1", port, dataDirectory, log: () => {}, failed: fail });
  }

  async #change(change: Change): Promise<void> {
    const address = this.addresses[0] ?? "";
    const session = await openSession(address, { timeoutMs: ADD_TIMEOUT_MS });
    try {
      await session.call(change);
    } finally {
      await session.close();
    }
  }
}

type Change =
  | { readonly op: "addnode"; readonly node: NodeId; readonly address: string }
  | { readonly op: "setreplica"; readonly rf: number };

function checkCount(what: string, count: number, max: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= max) return;
  throw new KvError("BAD_REQUEST", `${what} is a whole number from 1 to ${max}, this is ${count}`);
}

/** A node or coordinator that cannot go on would end its process: here, the test fails by an uncaught error. */
function fail(error: Error): void {
  throw error;
}
