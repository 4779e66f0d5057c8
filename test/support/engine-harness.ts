// Harnesses of the two engines for the contract suite and for the disk engine's own tests.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Incarnation } from "../../shared/ids.ts";
import { openDiskEngine } from "../../storage-node/engine/disk-engine.ts";
import type { DiskEngine } from "../../storage-node/engine/disk-engine.ts";
import type { DiskEngineOptions } from "../../storage-node/engine/opening.ts";
import type { Engine, EngineEvents } from "../../storage-node/engine/engine.ts";
import { MemoryDisk, MemoryEngine } from "../../storage-node/engine/memory-engine.ts";
import type { EngineHarness } from "../contract/engine.ts";

/** Collects what an engine reports, and lets tests wait for it. */
export class Reports {
  readonly positions: number[] = [];
  readonly failures: Error[] = [];
  readonly #waiting: (() => void)[] = [];

  get durable(): number {
    return this.positions.at(-1) ?? 0;
  }

  readonly events: EngineEvents = {
    durable: (position) => {
      this.positions.push(position);
      this.#wake();
    },
    failed: (error) => {
      this.failures.push(error);
      this.#wake();
    },
  };

  /** Resolves when a position is durable. Rejects when the engine failed first. */
  async settled(position: number): Promise<void> {
    while (this.durable < position) {
      if (this.failures[0]) throw this.failures[0];
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Resolves when the engine reported its failure. */
  async failure(): Promise<Error> {
    for (;;) {
      if (this.failures[0]) return this.failures[0];
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** A directory of its own under the system's temporary one. */
export function temporaryDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), "holdfast-engine-"));
}

/** Removes a directory and everything in it. */
export async function removeDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

/** Small bounds, so that tests roll segments and cut transactions. */
export const SMALL_LIMITS = {
  segmentBytesFirst: 16 * 1024,
  segmentBytesMax: 64 * 1024,
  batchBytesMax: 8 * 1024,
  logBytesMax: 256 * 1024,
  freshBytesMax: 128 * 1024,
  chunkOperations: 16,
  freeBytesMin: 0,
  mapBytes: 2 ** 32,
} as const;

export class MemoryHarness implements EngineHarness {
  readonly #disk = new MemoryDisk("i-1" as Incarnation);
  readonly #reports = new Reports();
  #engine = new MemoryEngine(this.#disk, this.#reports.events);

  get engine(): Engine {
    return this.#engine;
  }

  get durable(): number {
    return this.#reports.durable;
  }

  get reports(): readonly number[] {
    return this.#reports.positions;
  }

  async settled(position: number): Promise<void> {
    this.#engine.sync();
    await this.#reports.settled(position);
  }

  compact(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  crash(): Promise<void> {
    this.#engine.syncPartly(Math.floor(this.#engine.unsynced / 2));
    return Promise.resolve();
  }

  reopen(): Promise<void> {
    this.#engine = new MemoryEngine(this.#disk, this.#reports.events);
    return Promise.resolve();
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }
}

export class DiskHarness implements EngineHarness {
  readonly directory: string;
  readonly reported = new Reports();
  readonly messages: string[] = [];
  readonly #options: Partial<DiskEngineOptions>;
  #engine: DiskEngine | undefined;

  private constructor(directory: string, options: Partial<DiskEngineOptions>) {
    this.directory = directory;
    this.#options = options;
  }

  /** Opens an engine on a directory of its own, or on `options.directory`. */
  static async open(options: Partial<DiskEngineOptions> = {}): Promise<DiskHarness> {
    const harness = new DiskHarness(options.directory ?? (await temporaryDirectory()), options);
    await harness.reopen();
    return harness;
  }

  get engine(): DiskEngine {
    if (!this.#engine) throw new Error("the engine is not open");
    return this.#engine;
  }

  get durable(): number {
    return this.reported.durable;
  }

  get reports(): readonly number[] {
    return this.reported.positions;
  }

  settled(position: number): Promise<void> {
    return this.reported.settled(position);
  }

  compact(): Promise<void> {
    return this.engine.checkpoint();
  }

  async close(): Promise<void> {
    await this.#engine?.close();
    this.#engine = undefined;
  }

  async crash(): Promise<void> {
    await this.#engine?.crash();
    this.#engine = undefined;
  }

  async reopen(): Promise<void> {
    this.#engine = await openDiskEngine({
      limits: SMALL_LIMITS,
      ...this.#options,
      directory: this.directory,
      events: this.reported.events,
      log: (message) => this.messages.push(message),
    });
  }

  async dispose(): Promise<void> {
    await this.crash();
    await removeDirectory(this.directory);
  }
}
