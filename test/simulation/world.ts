// World: storage nodes, a coordinator and clients in one process, on a virtual clock, network and disk, all driven by one seed. The
// cores are the real ones; messages are cloned through JSON as they would be on a wire. A connection keeps its order and its delay
// varies; a crash loses what was not synced and closes every connection of the process.
import {
  Coordinator,
  type ClusterFile,
  type CoordinatorEffect,
  type CoordinatorEvent,
} from "../../coordinator/coordinator.ts";
import type { LocalVoterFile } from "../../coordinator/election/local-voter.ts";
import { CHANNELS } from "../../coordinator/links/link.ts";
import type { Incarnation, OwnerId } from "../../shared/ids.ts";
import { VALUE_BYTES_MAX_DEFAULT } from "../../shared/limits.ts";
import { Timers } from "../../shared/timers.ts";
import { StorageNode, type NodeEffect } from "../../storage-node/core/node.ts";
import { MemoryDisk, MemoryEngine } from "../../storage-node/engine/memory-engine.ts";

export type Message = Readonly<Record<string, unknown>>;

interface SimulatedNode {
  readonly address: string;
  readonly disk: MemoryDisk;
  engine: MemoryEngine;
  core: StorageNode;
  up: boolean;
  /** Counts lives, so that what belongs to an earlier one is dropped. */
  life: number;
  syncing: boolean;
}

/** xorshift32: good enough to choose faults, and the same everywhere. */
export function seeded(seed: number): () => number {
  let state = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

const CONNECT_MS = 1;

export class World {
  readonly timers = new Timers(0);
  readonly random: () => number;
  readonly nodes = new Map<string, SimulatedNode>();
  coordinator: Coordinator | undefined;
  readonly #answers = new Map<number, (message: Message) => void>();
  #clusterFile: ClusterFile | undefined;
  #voterFile: LocalVoterFile | undefined;
  /** Addresses that the coordinator keeps links to, with the time until which a channel is busy. */
  #dialled = new Map<string, Map<string, number>>();
  #lives = 0;
  #ids = 0;
  #wake: number | undefined;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  #uuid(): string {
    const digits = Array.from({ length: 32 }, () => Math.floor(this.random() * 16).toString(16)).join("");
    return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`;
  }

  // Storage nodes.

  addNode(address: string): void {
    const disk = new MemoryDisk(this.#uuid() as Incarnation);
    const node = { address, disk, up: false, life: 0, syncing: false } as unknown as SimulatedNode;
    this.nodes.set(address, node);
    this.startNode(address);
  }

  startNode(address: string): void {
    const node = this.#node(address);
    node.life++;
    const { life } = node;
    node.engine = new MemoryEngine(node.disk, {
      durable: (position) => {
        if (node.life === life) this.#nodeEffects(node, node.core.handle({ type: "durable", position }));
      },
      failed: (error) => {
        throw error;
      },
    });
    node.core = new StorageNode(node.engine);
    node.up = true;
    node.syncing = false;
    this.#dialAgain(address);
  }

  /** The process dies: some prefix of what was not synced survives. */
  crashNode(address: string): void {
    const node = this.#node(address);
    node.engine.syncPartly(Math.floor(this.random() * 4));
    node.up = false;
    node.life++;
    for (const channel of CHANNELS) this.#toCoordinator({ type: "linkDown", address, channel });
    this.#dialAgain(address);
  }

  #node(address: string): SimulatedNode {
    const node = this.nodes.get(address);
    if (!node) throw new Error(`no node ${address}`);
    return node;
  }

  #nodeEffects(node: SimulatedNode, effects: readonly NodeEffect[]): void {
    const { life } = node;
    for (const effect of effects) {
      if (effect.type === "answer") this.#deliverAnswer(node, effect.peer, effect.message);
      else this.#callNode(node, life, effect);
    }
    this.#syncLater(node);
  }

  #deliverAnswer(node: SimulatedNode, peer: number, message: object): void {
    const channel = CHANNELS[peer - 1];
    if (!channel) {
      this.#answers.get(peer)?.(clone(message));
      this.#answers.delete(peer);
      return;
    }
    const lines = [clone(message)];
    const { life } = node;
    const lead = this.#lives;
    this.#send(`${node.address} ${channel} back`, () => {
      if (node.life === life && lead === this.#lives)
        this.#toCoordinator({ type: "linkLines", address: node.address, lines });
    });
  }

  #callNode(node: SimulatedNode, life: number, effect: Extract<NodeEffect, { type: "call" }>): void {
    const answer = (message: Message | null): void => {
      if (node.life === life)
        this.#nodeEffects(node, node.core.handle({ type: "answer", call: effect.call, answer: message }));
    };
    const source = this.nodes.get(effect.address);
    if (!source?.up) return answer(null);
    const peer = 1000 + ++this.#ids;
    this.#answers.set(peer, (message) => void this.timers.after(1 + this.random(), () => answer(message)));
    this.timers.after(1 + this.random(), () => {
      if (!source.up) return answer(null);
      const line = { id: 1, ...clone(effect.request) };
      this.#nodeEffects(source, source.core.handle({ type: "lines", peer, lines: [line] }));
    });
  }

  #syncLater(node: SimulatedNode): void {
    if (node.syncing || node.engine.unsynced === 0) return;
    node.syncing = true;
    const { life } = node;
    this.timers.after(0.2 + this.random() * 2, () => {
      if (node.life !== life) return;
      node.syncing = false;
      node.engine.sync();
      this.#syncLater(node);
    });
  }

  /** In order on one connection, each message with a delay of its own. */
  #send(connection: string, deliver: () => void): void {
    const busy = this.#busy.get(connection) ?? 0;
    const at = Math.max(busy, this.timers.now + 0.2 + this.random() * 3);
    this.#busy.set(connection, at);
    this.timers.after(at - this.timers.now, deliver);
  }

  readonly #busy = new Map<string, number>();

  // The coordinator.

  startCoordinator(): void {
    const life = ++this.#lives;
    this.#dialled = new Map();
    this.coordinator = new Coordinator(
      {
        owner: this.#uuid() as OwnerId,
        address: "127.0.0.1:7401",
        clusterFile: this.#clusterFile,
        join: [],
        voterFile: this.#voterFile,
        seat: `coordinator:${this.#uuid()}`,
        valueBytesMax: VALUE_BYTES_MAX_DEFAULT,
        uuid: () => this.#uuid(),
        random: this.random,
      },
      this.timers.now,
    );
    if (life === this.#lives) this.#toCoordinator({ type: "start" });
  }

  crashCoordinator(): void {
    this.#lives++;
    this.coordinator = undefined;
  }

  #toCoordinator(event: CoordinatorEvent): void {
    const { coordinator } = this;
    if (!coordinator) return;
    const life = this.#lives;
    for (const effect of coordinator.handle([event], this.timers.now)) this.#coordinatorEffect(life, effect);
    const { wakeAt } = coordinator;
    if (wakeAt === undefined || (this.#wake !== undefined && this.#wake <= wakeAt && this.#wake > this.timers.now))
      return;
    this.#wake = wakeAt;
    this.timers.after(wakeAt - this.timers.now, () => {
      if (life !== this.#lives) return;
      this.#wake = undefined;
      this.#toCoordinator({ type: "tick" });
    });
  }

  #coordinatorEffect(life: number, effect: CoordinatorEffect): void {
    switch (effect.type) {
      case "dial":
        this.#dialled.set(effect.address, new Map());
        return this.#dialAgain(effect.address);
      case "hangUp":
        this.#dialled.delete(effect.address);
        return;
      case "send":
        return this.#sendToNode(life, effect);
      case "answer":
        this.#answers.get(effect.client)?.(clone(effect.message));
        return;
      case "saveVoter":
        this.#voterFile = effect.file;
        this.timers.after(1, () => {
          if (life === this.#lives) this.#toCoordinator({ type: "voterSaved", token: effect.token });
        });
        return;
      case "saveCluster":
        this.#clusterFile = effect.file;
        return;
      case "role":
      case "notice":
        return;
    }
  }

  #dialAgain(address: string): void {
    if (!this.#dialled.has(address)) return;
    const life = this.#lives;
    this.timers.after(CONNECT_MS, () => {
      const node = this.nodes.get(address);
      if (life !== this.#lives || !node?.up || !this.#dialled.has(address)) return;
      for (const channel of CHANNELS) this.#toCoordinator({ type: "linkUp", address, channel });
    });
  }

  #sendToNode(life: number, { address, channel, message }: Extract<CoordinatorEffect, { type: "send" }>): void {
    const node = this.nodes.get(address);
    if (!node) return;
    const sentTo = node.life;
    const line = clone(message);
    this.#send(`${address} ${channel}`, () => {
      if (!node.up || node.life !== sentTo || life !== this.#lives) return;
      const peer = CHANNELS.indexOf(channel) + 1;
      this.#nodeEffects(node, node.core.handle({ type: "lines", peer, lines: [line] }));
    });
  }

  // Clients.

  /** Sends a request to the coordinator; the last line of its answer arrives in `done`. */
  request(message: Readonly<Record<string, unknown>>, done: (answer: Message) => void): void {
    const client = 1000 + ++this.#ids;
    this.#answers.set(client, (answer) => {
      if (answer["done"] === false) return;
      this.#answers.delete(client);
      done(answer);
    });
    this.#toCoordinator({ type: "lines", client, lines: [{ id: 1, ...message }] });
  }

  /** Runs the clock until the request is answered. */
  ask(message: Readonly<Record<string, unknown>>, limitMs = 60_000): Message {
    let answer: Message | undefined;
    this.request(message, (found) => {
      answer = found;
    });
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
}

function clone(message: object): Message {
  return JSON.parse(JSON.stringify(message)) as Message;
}
