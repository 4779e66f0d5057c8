// A storage node in the simulator: the real core over a disk in memory, its lines and syncs on the virtual clock. The disk is checked:
// a register or fence that goes back is a violation at once (N2, N4).
import { assert } from "../../shared/assert.ts";
import type { Incarnation } from "../../shared/ids.ts";
import { compare, format } from "../../shared/version.ts";
import { StorageNode, type NodeEffect, type NodeEvent } from "../../storage-node/core/node.ts";
import { slotState } from "../../storage-node/engine/control-state.ts";
import type { LogRecord } from "../../storage-node/engine/engine.ts";
import { MemoryDisk, MemoryEngine } from "../../storage-node/engine/memory-engine.ts";
import type { Connection, Message, Network } from "./network.ts";
import type { Process } from "./process.ts";
import { uuid, type Random } from "./random.ts";

/** How long a pull waits for the node that it copies from, as the real edge does. */
const CALL_TIMEOUT_MS = 3_000;

/** A disk that refuses to go back. */
class CheckedDisk extends MemoryDisk {
  override apply(record: LogRecord): void {
    if (record.type === "write") {
      const old = this.register(record.slot, record.key);
      const fine = !old || compare(record.record.version, old.version) > 0;
      assert(
        fine,
        `N4: ${record.key} at ${format(record.record.version)} does not follow ${old ? format(old.version) : ""}`,
      );
    }
    if (record.type === "write" && record.record.value !== null) {
      const { purged } = slotState(this.control, record.slot);
      const fine = compare(record.record.version, purged) > 0;
      assert(
        fine,
        `N9: ${record.key} at ${format(record.record.version)} came back after a purge up to ${format(purged)}`,
      );
    }
    if (record.type === "fence") assert(record.epoch > this.control.fence, "N2: a fence only rises");
    super.apply(record);
  }
}

export interface DiskFaults {
  /** Usual time of a sync: 0.1 ms up to this. */
  syncMsMax: number;
}

export class SimulatedNode {
  readonly process: Process;
  disk: MemoryDisk;
  readonly disks: DiskFaults;
  /** Until when the disk finishes nothing, by the clock of the world. */
  stalledUntil = 0;
  readonly #network: Network;
  readonly #random: Random;
  /** Rules switched off. */
  readonly #without: ReadonlySet<string>;
  readonly #connections = new Map<number, Connection>();
  #engine: MemoryEngine | undefined;
  #core: StorageNode | undefined;
  #syncing = false;

  constructor(process: Process, network: Network, random: Random, disks: DiskFaults, without: ReadonlySet<string>) {
    this.#without = without;
    this.process = process;
    this.#network = network;
    this.#random = random;
    this.disks = disks;
    this.disk = new CheckedDisk(uuid(random) as Incarnation);
    network.listen(process, {
      line: (connection, message) => this.#line(connection, message),
      down: ({ id }) => {
        this.#connections.delete(id);
        this.#happened({ type: "gone", peer: id });
      },
    });
  }

  start(): void {
    this.process.start();
    this.#connections.clear();
    this.#syncing = false;
    this.#engine = new MemoryEngine(this.disk, {
      durable: (position) => this.#happened({ type: "durable", position }),
      failed: (error) => {
        throw error;
      },
    });
    this.#core = new StorageNode(this.#engine, this.#without);
  }

  /** SIGKILL: some prefix of what was not synced survives. */
  crash(): void {
    if (!this.process.up) return;
    this.#engine?.syncPartly(Math.floor(this.#random() * (this.#engine.unsynced + 1)));
    this.process.die();
    this.#network.breakAll(this.process);
  }

  /** The disk is lost; what starts next is another incarnation. */
  wipe(): void {
    this.disk = new CheckedDisk(uuid(this.#random) as Incarnation);
  }

  #line(connection: Connection, message: Message): void {
    this.#connections.set(connection.id, connection);
    this.#happened({ type: "lines", peer: connection.id, lines: [message] });
  }

  #happened(event: NodeEvent): void {
    this.#effects(this.#core?.handle(event, this.process.now) ?? []);
  }

  #effects(effects: readonly NodeEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "answer") this.#connections.get(effect.peer)?.send(this.process, effect.message);
      else this.#call(effect);
    }
    this.#syncLater();
  }

  #call({ call, address, request }: Extract<NodeEffect, { type: "call" }>): void {
    let settled = false;
    const { life } = this.process;
    const settle = (answer: Message | null): void => {
      if (settled || this.process.life !== life) return;
      settled = true;
      this.#happened({ type: "answer", call, answer });
    };
    this.#network.connect(this.process, address, {
      up: (connection) => connection.send(this.process, { id: 1, ...request }),
      line: (connection, message) => {
        settle(message);
        connection.break();
      },
      down: () => settle(null),
    });
    this.process.after(CALL_TIMEOUT_MS, () => settle(null));
  }

  #syncLater(): void {
    const engine = this.#engine;
    if (this.#syncing || !engine || engine.unsynced === 0) return;
    this.#syncing = true;
    this.process.after(0.1 + this.#random() * this.disks.syncMsMax, () => this.#synced(engine));
  }

  #synced(engine: MemoryEngine): void {
    const stalledMs = this.stalledUntil - this.process.now;
    if (stalledMs > 0) return this.process.after(stalledMs, () => this.#synced(engine));
    this.#syncing = false;
    engine.sync();
    this.#syncLater();
  }
}
