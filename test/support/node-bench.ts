// A storage node's pure core on an engine in memory, for tests of single rules. Nothing becomes durable by itself: a test says
// `sync()`, so it sees what is answered before and after. A crash is a new node on the same disk. No connections, no clock.
import { assert } from "../../shared/assert.ts";
import type { Incarnation } from "../../shared/ids.ts";
import { slotOf } from "../../shared/slot.ts";
import type { Stamp, Version } from "../../shared/version.ts";
import { StorageNode, type NodeEffect } from "../../storage-node/core/node.ts";
import { MemoryDisk, MemoryEngine } from "../../storage-node/engine/memory-engine.ts";

export type Message = Readonly<Record<string, unknown>>;

/** Who the node on the bench is. */
export const CLUSTER = "c0000000-0000-4000-8000-000000000001";
export const INCARNATION = "a0000000-0000-4000-8000-000000000001" as Incarnation;
export const NODE_A = { cluster: CLUSTER, node: "A", incarnation: INCARNATION };
export const SEED = 7;

/** The key that tests use where any will do, and its slot. */
export const KEY = "apple";
export const SLOT = slotOf(KEY, SEED);
/** Stamp of the cluster's first membership. */
export const FIRST: Stamp = [1, 1];

export const OK = { status: "ok" };

export class NodeBench {
  readonly disk = new MemoryDisk(INCARNATION);
  #engine!: MemoryEngine;
  #node!: StorageNode;
  #id = 0;
  #answers: Message[] = [];

  /** A blank node. */
  constructor() {
    this.#open();
  }

  /** Node A of the cluster, at epoch 1, without slots. */
  static adopted(): NodeBench {
    const bench = new NodeBench();
    bench.send({ op: "adopt", ...NODE_A, seed: SEED, epoch: 1 });
    bench.sync();
    return bench;
  }

  /** Node A, serving `SLOT`, or others, since `FIRST`. */
  static member(slots: readonly number[] = [SLOT]): NodeBench {
    const bench = NodeBench.adopted();
    bench.ask([{ op: "install", slots, stamp: FIRST, committed: FIRST, first: true }]);
    return bench;
  }

  /** Sends one message under a fresh id. Returns the answers that left at once. */
  send(message: Message): Message[] {
    this.#carryOut(this.#node.handle({ type: "lines", peer: 1, lines: [{ id: ++this.#id, ...message }] }));
    return this.#taken();
  }

  /** Sends a batch line at an epoch. Returns the answers that left at once. */
  line(ops: readonly Message[], epoch = 1): Message[] {
    return this.send({ op: "batch", ...NODE_A, group: 0, epoch, ops });
  }

  /** Makes durable what was appended so far. Returns the answers that this released, in order. */
  sync(): Message[] {
    this.#engine.sync();
    return this.#taken();
  }

  /** Sends a message and syncs until it is answered: for steps whose moment is not what is tested. */
  settle(message: Message): Message {
    const answers = this.send(message);
    while (this.#engine.unsynced > 0) answers.push(...this.sync());
    const [answer] = answers;
    assert(answer !== undefined && answers.length === 1, "one line has one answer");
    return answer;
  }

  /** Results of a batch line, once it is answered; the answer itself where the whole line was refused. */
  ask(ops: readonly Message[], epoch = 1): readonly Message[] {
    const answer = this.settle({ op: "batch", ...NODE_A, group: 0, epoch, ops });
    return answer["status"] === "ok" ? (answer["results"] as Message[]) : [answer];
  }

  /** Loses the process and all that was appended behind the first `kept` records; starts it again on its disk. */
  crash(kept = 0): void {
    this.#engine.syncPartly(kept);
    this.#answers = [];
    this.#open();
  }

  #open(): void {
    const durable = (position: number): void => this.#carryOut(this.#node.handle({ type: "durable", position }));
    const failed = (error: Error): never => {
      throw error;
    };
    this.#engine = new MemoryEngine(this.disk, { durable, failed });
    this.#node = new StorageNode(this.#engine);
  }

  #carryOut(effects: readonly NodeEffect[]): void {
    for (const effect of effects) {
      assert(effect.type === "answer", "the bench has no other nodes to call");
      this.#answers.push(effect.message as Message);
    }
  }

  #taken(): Message[] {
    const answers = this.#answers;
    this.#answers = [];
    return answers;
  }
}

// Operations on KEY, or on SLOT.

export function read(stamp: Stamp = FIRST): Message {
  return { op: "read", slot: SLOT, stamp, key: KEY };
}

export function write(version: Version, value: string | null = "value", stamp: Stamp = FIRST): Message {
  return { op: "write", slot: SLOT, stamp, key: KEY, version, value };
}

export function copy(version: Version, stamp: Stamp): Message {
  return { ...write(version, "copy", stamp), op: "copy" };
}

/** One step of a re-seating for SLOT. */
export function step(op: "seal" | "incoming" | "copied" | "drop", stamp: Stamp): Message {
  return { op, slots: [SLOT], stamp };
}

export function install(stamp: Stamp, committed: Stamp = stamp): Message {
  return { op: "install", slots: [SLOT], stamp, committed };
}

/** What a step answers for SLOT when it refuses. */
export function refused(code: string): Message {
  return { status: "ok", refused: [[SLOT, code]] };
}
