// A cluster for tests of the shell: answers in the shapes of the wire reference, from a map, with topology operations that
// a test lets go on step by step. No rule of the real protocol is modelled here.
import { KvError } from "../../../shared/errors.ts";
import type { SessionMessage } from "../../../shared/client/answers.ts";
import type { ClusterId, Incarnation, NodeId } from "../../../shared/ids.ts";
import { SLOTS } from "../../../shared/limits.ts";
import type {
  NodeStatus,
  OperationStatus,
  PlanAnswer,
  ProgressAnswer,
  RingAnswer,
  StatusAnswer,
  TopologyChange,
} from "../../../shared/protocol/client-messages.ts";
import type { WireValue } from "../../../shared/record.ts";
import type { OnProgress, ShellSession } from "../../../coordinator/shell/io/link.ts";

/** Time that each topology operation claims to have taken. */
const ELAPSED_MS = 2_000;

export class FakeCluster {
  readonly values = new Map<string, WireValue>();
  readonly nodes: NodeStatus[] = [];
  /** Every message that arrived, in order. */
  readonly received: SessionMessage[] = [];
  rf = 3;
  /** Answers instead of the cluster, where it gives one. */
  override: ((message: SessionMessage) => Promise<unknown> | undefined) | undefined;
  /** Topology operations wait for this before each progress line. */
  pace: () => Promise<void> = () => Promise.resolve();
  progressLines = 0;
  operations: OperationStatus[] = [];
  readonly #cancelled = new Set<string>();
  #version = 0;
  #operation = 0;

  /** A session to it, as `connect` gives one. */
  session(address = "127.0.0.1:7401"): ShellSession & { lose(reason: string): void } {
    let tellClosed: (reason: string) => void = () => undefined;
    const state = { open: true };
    const closed = new Promise<string>((resolve) => (tellClosed = resolve));
    const node = this.nodes.find((candidate) => candidate.address === address);
    const lose = (reason: string): void => {
      state.open = false;
      tellClosed(reason);
    };
    return {
      address,
      hello: { role: node ? "standby" : "leader", leader: "127.0.0.1:7401", valueBytesMax: 1024 },
      isNode: node !== undefined,
      get open() {
        return state.open;
      },
      closed,
      call: async (message, onProgress) => {
        if (!state.open) throw new KvError("NO_LEADER", `the session with ${address} is over`);
        this.received.push(message);
        return await (this.override?.(message) ?? this.#answer(message, onProgress, node));
      },
      close: () => {
        lose("closed by this side");
        return Promise.resolve();
      },
      lose,
    };
  }

  addNode(id: string, address: string, facts: Partial<NodeStatus> = {}): void {
    this.nodes.push({
      id: id as NodeId,
      address,
      incarnation: "i" as Incarnation,
      weight: 1,
      state: "up",
      voter: true,
      slots: SLOTS,
      share: 0,
      keys: this.values.size,
      bytes: 2048,
      lastHeardMs: 120,
      eventLoopDelayMs: 1.2,
      missed: 0,
      unchecked: 0,
      behindMs: null,
      ...facts,
    });
  }

  status(): StatusAnswer {
    const nodes = this.#nodesNow();
    return {
      id: 1,
      status: "ok",
      role: nodes.length === 0 ? "new" : "leader",
      cluster: "7d3c" as ClusterId,
      epoch: 3,
      ballot: "3.17",
      leader: { address: "127.0.0.1:7401", sinceMs: 125_000 },
      standbys: [],
      voters: nodes.map(({ id, address }) => ({ id, address, answers: true })),
      rf: this.rf,
      copies: Math.min(this.rf, nodes.length),
      underReplicatedSlots: 0,
      nodes,
      operations: this.operations,
    };
  }

  ring(): RingAnswer {
    const members = this.nodes.map(({ id, address, incarnation, weight }) => ({ id, address, incarnation, weight }));
    const copies = Math.min(this.rf, members.length);
    const slots = Array.from({ length: SLOTS }, (_, slot) =>
      Array.from({ length: copies }, (_copy, copy) => (Math.floor(slot / 128) + copy) % members.length),
    );
    const cluster = "7d3c" as ClusterId;
    return { id: 1, status: "ok", cluster, seed: 1, ballot: "3.17", epoch: 3, rf: this.rf, members, slots };
  }

  #nodesNow(): NodeStatus[] {
    return this.nodes.map((node) => ({
      ...node,
      share: 1 / this.nodes.length,
      keys: node.state === "down" ? null : this.values.size,
    }));
  }

  async #answer(
    message: SessionMessage,
    onProgress: OnProgress | undefined,
    node: NodeStatus | undefined,
  ): Promise<unknown> {
    if (node !== undefined && message.op !== "read") throw new KvError("NOT_LEADER", "a node does not lead");
    const ok = { id: 1, status: "ok" };
    switch (message.op) {
      case "put":
        this.values.set(message.key, message.value);
        return { ...ok, version: `3.${++this.#version}`, replicas: this.#replicas() };
      case "get":
        if (!this.values.has(message.key)) throw new KvError("NOT_FOUND", "no value");
        return { ...ok, value: this.values.get(message.key), version: "3.1" };
      case "read":
        return { ...ok, value: this.values.get(message.key) ?? null, version: [3, 1] };
      case "delete":
        return { ...ok, version: `3.${++this.#version}`, found: this.values.delete(message.key) };
      case "status":
        return this.status();
      case "ring":
        return this.ring();
      case "stats":
        return this.#stats();
      case "scan":
        return this.#scan(message);
      case "ops":
        return { ...ok, operations: this.operations };
      case "metrics":
        return { ...ok, operations: [], epoch: 1, inFlight: 0, queued: 0, shed: 0, inDoubt: 0, fixes: 0 };
      case "where":
        return { ...ok, key: message.key, slot: 17, replicas: [] };
      case "repair":
        return { ...ok, done: true, slotsTotal: 0, slotsCompared: 0, slotsDifferent: 0, keysMended: 0, slotsLeft: 0 };
      case "plan":
        return this.#plan();
      case "addnode":
      case "removenode":
      case "setreplica":
        return await this.#change(message, onProgress);
      case "cancel":
        this.#cancelled.add(message.operation);
        return ok;
      case "follow":
      case "hello":
      case "join":
      case "nodes":
      case "ping":
        return ok;
      case "stepdown":
        return { ...ok, leader: "127.0.0.1:7402" };
    }
  }

  #replicas(): readonly { readonly id: NodeId; readonly status: string }[] {
    return this.nodes.slice(0, this.rf).map(({ id, state }) => ({ id, status: state === "up" ? "ok" : "pending" }));
  }

  #stats(): object {
    const nodes = this.nodes.length;
    const distinctKeys = this.values.size;
    const totalKeys = distinctKeys * Math.min(this.rf, nodes);
    return { id: 1, status: "ok", nodes, totalKeys, averageKeys: totalKeys / Math.max(1, nodes), distinctKeys };
  }

  #scan(message: { readonly prefix?: string; readonly limit?: number; readonly cursor?: string }): object {
    const all = [...this.values.keys()].filter((key) => key.startsWith(message.prefix ?? ""));
    const from = Number(message.cursor ?? "0");
    const keys = all.slice(from, from + (message.limit ?? 100));
    const next = from + keys.length;
    return { id: 1, status: "ok", keys, ...(next < all.length ? { cursor: String(next) } : {}) };
  }

  #plan(): PlanAnswer {
    return {
      id: 1,
      status: "ok",
      command: "addnode D 127.0.0.1:5004",
      slots: 1024,
      keys: 50_000,
      bytes: 5_000_000,
      copiesBefore: 3,
      copiesAfter: 3,
      nodes: [],
      notes: [],
    };
  }

  async #change(change: TopologyChange, onProgress: OnProgress | undefined): Promise<ProgressAnswer> {
    const operation = String(++this.#operation);
    const keys = change.op === "addnode" && this.nodes.length === 0 ? 0 : this.values.size;
    const at = (step: number): ProgressAnswer => ({
      id: 1,
      status: "ok",
      operation,
      kind: change.op,
      command: change.op,
      phase: step < this.progressLines ? "moving" : "done",
      slotsMoved: Math.round((SLOTS * step) / Math.max(1, this.progressLines)),
      slotsTotal: SLOTS,
      keysMoved: Math.round((keys * step) / Math.max(1, this.progressLines)),
      keysTotal: keys,
      bytesMoved: 0,
      elapsedMs: ELAPSED_MS,
      freezeMs: { p50: 3, p99: 9.25, max: 20 },
      done: step >= this.progressLines,
    });
    for (let step = 0; step < this.progressLines; step++) {
      onProgress?.(at(step));
      await this.pace();
      if (this.#cancelled.has(operation))
        throw new KvError("CANCELLED", `${change.op}; slots already moved stay moved`);
    }
    this.#carryOut(change);
    return at(this.progressLines);
  }

  #carryOut(change: TopologyChange): void {
    if (change.op === "addnode") this.addNode(change.node, change.address);
    else if (change.op === "setreplica") this.rf = change.rf;
    else {
      const at = this.nodes.findIndex(({ id }) => id === change.node);
      if (at < 0) throw new KvError("NO_SUCH_NODE", `no node ${change.node}`);
      this.nodes.splice(at, 1);
    }
  }
}
