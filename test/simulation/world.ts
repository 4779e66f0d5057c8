// World: storage nodes, coordinators and clients in one process, on a virtual clock, network and disk, all driven by one seed. The cores
// are the real ones. This file wires them together and asks questions of the whole; what goes wrong, and when, is decided elsewhere.
import { answersIn } from "../../shared/protocol/compact.ts";
import { asRequested } from "../support/compact-line.ts";
import type { Coordinator } from "../../coordinator/coordinator.ts";
import type { Upkeep } from "../../coordinator/leader.ts";
import { Timers } from "../../shared/timers.ts";
import { Network, type Connection, type Message } from "./network.ts";
import { Process } from "./process.ts";
import { seeded, type Random } from "./random.ts";
import { SimulatedCoordinator, type CoordinatorHost } from "./simulated-coordinator.ts";
import { SimulatedEtcd } from "./simulated-etcd.ts";
import { SimulatedNode, type DiskFaults } from "./simulated-node.ts";

export type { Message } from "./network.ts";
export { seeded } from "./random.ts";

const FIRST_COORDINATOR = "127.0.0.1:7401";
const ETCD_SEEDS = 1_000_000;

export interface WorldOptions {
  /** Rules switched off. */
  readonly without?: ReadonlySet<string>;
  /** What leaders do by themselves, and when. */
  readonly upkeep?: Partial<Upkeep>;
  /** Whether leaders keep what reads have found; they do where left out. */
  readonly readCache?: boolean;
  /** Whether the state is kept in an etcd, instead of by voters. */
  readonly etcd?: boolean;
  /** Told of what happens, for traces. */
  readonly trace?: (text: string) => void;
}

export class World {
  readonly timers = new Timers(0);
  readonly random: Random;
  readonly network: Network;
  readonly nodes = new Map<string, SimulatedNode>();
  readonly coordinators = new Map<string, SimulatedCoordinator>();
  readonly disks: DiskFaults = { syncMsMax: 2 };
  readonly etcd: SimulatedEtcd | undefined;
  /** Which owner leads, or led, an epoch. */
  readonly epochs = new Map<number, string>();
  readonly #options: WorldOptions;
  readonly #observer: Process;
  /** The connection over which `request` asks each coordinator. */
  readonly #asking = new Map<string, Asking>();

  constructor(seed: number, options: WorldOptions = {}) {
    this.random = seeded(seed);
    this.#options = options;
    this.network = new Network(this.timers, this.random);
    this.#observer = new Process("observer", this.timers);
    this.#observer.start();
    // With chances of its own: without it, a seed means what it meant before.
    if (options.etcd === true) this.etcd = new SimulatedEtcd(this.timers, seeded(seed + ETCD_SEEDS));
  }

  trace(text: string): void {
    this.#options.trace?.(`${this.timers.now.toFixed(1).padStart(9)}  ${text}`);
  }

  // Storage nodes.

  addNode(address: string): void {
    const process = new Process(address, this.timers);
    const node = new SimulatedNode(process, this.network, this.random, this.disks, this.#options.without ?? new Set());
    this.nodes.set(address, node);
    node.start();
  }

  startNode(address: string): void {
    this.trace(`node ${address} starts`);
    this.#node(address).start();
  }

  /** The process dies: some prefix of what was not synced survives. */
  crashNode(address: string): void {
    this.trace(`node ${address} dies`);
    this.#node(address).crash();
  }

  #node(address: string): SimulatedNode {
    const node = this.nodes.get(address);
    if (!node) throw new Error(`no node ${address}`);
    return node;
  }

  // Coordinators.

  /** The core of the first coordinator, while that lives. */
  get coordinator(): Coordinator | undefined {
    return this.coordinators.get(FIRST_COORDINATOR)?.core;
  }

  startCoordinator(address = FIRST_COORDINATOR): void {
    this.trace(`coordinator ${address} starts`);
    const known = this.coordinators.get(address);
    const coordinator = known ?? new SimulatedCoordinator(new Process(address, this.timers), this.#host());
    // Files are shared in the sense that a newcomer is given a copy of the cluster file.
    coordinator.clusterFile ??= [...this.coordinators.values()].find(({ clusterFile }) => clusterFile)?.clusterFile;
    this.coordinators.set(address, coordinator);
    coordinator.start();
  }

  crashCoordinator(address = FIRST_COORDINATOR): void {
    this.trace(`coordinator ${address} dies`);
    this.coordinators.get(address)?.crash();
  }

  /** The coordinator that leads the highest epoch, as far as it knows. */
  get leader(): SimulatedCoordinator | undefined {
    // One that was deposed may not know it yet: whoever asks both believes the higher epoch.
    return [...this.coordinators.values()]
      .filter(({ process, core }) => process.up && !process.paused && core?.role === "leader")
      .sort((one, other) => (other.core?.epoch ?? 0) - (one.core?.epoch ?? 0))[0];
  }

  #host(): CoordinatorHost {
    return {
      timers: this.timers,
      network: this.network,
      random: this.random,
      without: this.#options.without ?? new Set(),
      upkeep: this.#options.upkeep ?? {},
      readCache: this.#options.readCache ?? true,
      etcd: this.etcd,
      role: (coordinator, role) => {
        const { core, process } = coordinator;
        this.trace(`coordinator ${process.name}: ${role}${core?.epoch === undefined ? "" : ` of epoch ${core.epoch}`}`);
        if (role === "leader") this.#leads(coordinator);
      },
      notice: (coordinator, text) => this.trace(`coordinator ${coordinator.process.name}: ${text}`),
    };
  }

  /** No two owners share an epoch. */
  #leads({ owner, process, core }: SimulatedCoordinator): void {
    const epoch = core?.epoch;
    if (epoch === undefined) return;
    const known = this.epochs.get(epoch);
    if (known !== undefined && known !== owner)
      throw new Error(`C1: ${process.name} leads epoch ${epoch}, as another owner did`);
    this.epochs.set(epoch, owner);
  }

  // Questions.

  /** Sends a request to a coordinator; the last line of its answer arrives in `done`, or `undefined` where the connection is lost. */
  request(message: Message, done: (answer: Message) => void, address = FIRST_COORDINATOR): void {
    const known = this.#asking.get(address);
    const asking = known?.usable === true ? known : new Asking(this.network, this.#observer, address);
    this.#asking.set(address, asking);
    asking.ask(message, done);
  }

  /** Runs the clock until the request is answered. */
  ask(message: Message, limitMs = 60_000, address = FIRST_COORDINATOR): Message {
    let answer: Message | undefined;
    this.request(
      message,
      (found) => {
        answer = found;
      },
      address,
    );
    this.runUntil(() => answer !== undefined, limitMs);
    return answer as unknown as Message;
  }

  /** Runs the clock until the condition holds; throws when `limitMs` pass first. */
  runUntil(condition: () => boolean, limitMs = 60_000): void {
    const limit = this.timers.now + limitMs;
    while (!condition()) {
      const next = this.timers.nextAt;
      if (next === undefined || next > limit) throw new Error(`the condition did not come true within ${limitMs} ms`);
      this.timers.advance(next);
    }
  }

  /** Runs the clock for a while. */
  runFor(durationMs: number): void {
    const until = this.timers.now + durationMs;
    for (let next = this.timers.nextAt; next !== undefined && next <= until; next = this.timers.nextAt)
      this.timers.advance(next);
    this.timers.advance(until);
  }
}

/** One connection of an observer to a coordinator, its questions matched with their answers by number. */
export class Asking {
  readonly #process: Process;
  readonly #open = new Map<number, (answer: Message) => void>();
  readonly #unsent: Message[] = [];
  #connection: Connection | undefined;
  #ids = 0;
  usable = true;

  constructor(network: Network, process: Process, address: string) {
    this.#process = process;
    network.connect(process, address, {
      up: (connection) => {
        this.#connection = connection;
        for (const message of this.#unsent) connection.send(process, message);
      },
      line: (_connection, message) => this.#line(message),
      down: () => this.#lost(),
    });
  }

  /** @param compact Whether the coordinator was told that compact lines are known here. */
  ask(message: Message, done: (answer: Message) => void, compact = false): void {
    const id = ++this.#ids;
    const line = compact ? asRequested({ ...message, id }) : { ...message, id };
    this.#open.set(id, done);
    if (this.#connection) this.#connection.send(this.#process, line);
    else this.#unsent.push(line);
  }

  /** Whether anything can have been sent. */
  get connected(): boolean {
    return this.#connection !== undefined;
  }

  close(): void {
    this.usable = false;
    this.#connection?.break();
  }

  #line(line: Message): void {
    for (const message of line["id"] === undefined ? answersIn(line) : [line]) this.#answered(message);
  }

  #answered(message: Message): void {
    if (message["done"] === false) return;
    const id = Number(message["id"]);
    const done = this.#open.get(id);
    this.#open.delete(id);
    done?.(message);
  }

  #lost(): void {
    this.usable = false;
    const open = [...this.#open.values()];
    this.#open.clear();
    const code = this.#connection ? "LOST" : "NO_LEADER";
    for (const done of open) done({ status: "error", code, message: "the connection was lost" });
  }
}
