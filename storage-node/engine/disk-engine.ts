// Disk engine: acknowledges from the log and applies to LMDB in bulk. LMDB copies pages on write, so small durable commits of
// random keys cost a hundred times their size; a batch of the log costs its own. This file joins the parts: a batch that became
// durable takes effect in the keyspace and the control state, and is then reported; when enough gathered, the log rolls to
// a new segment, the fresh generation is frozen exactly at that border, and a checkpoint writes it to the table.
// Any failure but lack of space ends the engine (N10): it reports `failed` once and nothing after it.
import type { Version } from "../../shared/version.ts";
import { cloneControlState, takeEffect } from "./control-state.ts";
import { Checkpoint, CheckpointStopped } from "./checkpoint.ts";
import { EngineCounters } from "./counters.ts";
import type {
  ControlState,
  Engine,
  EngineEvents,
  ListedEntry,
  LogRecord,
  RegisterName,
  SlotSummary,
} from "./engine.ts";
import { Log } from "./log.ts";
import type { DurableBatch } from "./log.ts";
import { type DiskEngineOptions, type EngineParts, openParts } from "./opening.ts";
import { BodyWalk } from "./record-codec.ts";
import { Segments } from "./segments.ts";
import { Space } from "./space.ts";
import type { TableMeta } from "./table-format.ts";

/** Opens a data directory, or makes one, and replays its log. @throws as `openParts` */
export async function openDiskEngine(options: DiskEngineOptions): Promise<DiskEngine> {
  return new DiskEngine(options, await openParts(options));
}

export class DiskEngine implements Engine {
  readonly recovered: ControlState;
  readonly tailCut: boolean;
  readonly counters = new EngineCounters();
  readonly #parts: EngineParts;
  readonly #events: EngineEvents;
  readonly #space: Space;
  readonly #segments: Segments;
  readonly #log: Log;
  readonly #checkpoint: Checkpoint;
  #position: number;
  #lastSegment: number;
  /** Bytes and records of the log since the last freeze. */
  #logBytes: number;
  #logRecords: number;
  /** A roll was asked for: the first batch of the new segment freezes what came before. */
  #rolling = false;
  #checkpointing: Promise<void> | undefined;
  #failed = false;
  #closing = false;

  /** Use `openDiskEngine`. */
  constructor(options: DiskEngineOptions, parts: EngineParts) {
    const { files, limits, recovered, table, keyspace, accounts, ceilings } = parts;
    const { directory } = options;
    this.#parts = parts;
    this.#events = options.events;
    this.recovered = cloneControlState(parts.control);
    this.tailCut = recovered.tailCut;
    this.#position = recovered.position;
    this.#lastSegment = recovered.segment;
    this.#logBytes = recovered.bytes;
    this.#logRecords = recovered.records;
    const log = options.log ?? ((): void => undefined);
    const failed = (error: Error): void => this.#fail(error);
    this.#space = new Space({ files, directory, freeBytesMin: limits.freeBytesMin, retryMs: limits.spaceRetryMs, log });
    const space = this.#space;
    this.#segments = new Segments({
      files,
      directory,
      limits,
      space,
      next: recovered.segment + 1,
      used: recovered.used,
      failed,
    });
    this.#log = new Log({
      segments: this.#segments,
      space,
      limits,
      number: recovered.batch,
      position: recovered.position,
      counters: this.counters,
      durable: (batch) => this.#durable(batch),
      failed,
    });
    const committed = options.tableCommitted;
    this.#checkpoint = new Checkpoint({
      table,
      keyspace,
      accounts,
      ceilings,
      space,
      limits,
      gathered: () => this.#gathered,
      now: () => performance.now(),
      ...(committed ? { committed } : {}),
    });
  }

  get position(): number {
    return this.#position;
  }

  get diskFull(): boolean {
    return this.#space.full;
  }

  read(slot: number, key: string, place?: number): ReturnType<Engine["read"]> {
    try {
      return this.#parts.keyspace.read(slot, key, place);
    } catch (error) {
      return this.#broken(error as Error);
    }
  }

  version(slot: number, key: string, place?: number, below?: Version): Version | undefined {
    try {
      return this.#parts.keyspace.version(slot, key, place, below);
    } catch (error) {
      return this.#broken(error as Error);
    }
  }

  locate(registers: readonly RegisterName[]): readonly number[] {
    return this.#parts.keyspace.locate(registers);
  }

  get place(): number {
    return this.#parts.keyspace.place;
  }

  list(slot: number, after: string | undefined, limit: number): ListedEntry[] {
    return this.#looked(() => this.#parts.keyspace.list(slot, after, limit));
  }

  summary(slot: number): SlotSummary {
    return this.#looked(() => this.#parts.keyspace.summary(slot));
  }

  lastSummary(slot: number): SlotSummary {
    return this.#parts.keyspace.lastSummary(slot);
  }

  mayHold(slot: number): boolean {
    return this.#parts.keyspace.mayHold(slot);
  }

  accepts(bytes: number): boolean {
    const { keyspace, limits } = this.#parts;
    if (this.#failed || this.#space.full) return false;
    // While a checkpoint runs, a second generation may grow as large as the first; a little more bridges the roll.
    return keyspace.freshBytes + this.#log.unsyncedBytes + bytes <= limits.freshBytesMax * 1.25;
  }

  append(records: readonly LogRecord[]): number {
    return this.#log.append(records);
  }

  /** Runs a checkpoint of everything appended so far; resolves when the table has it and the log before it is gone. */
  async checkpoint(): Promise<void> {
    const position = this.#log.appended;
    while (this.#alive && this.#position < position) await this.#log.settled();
    await this.#checkpointing;
    this.#roll();
    while (this.#alive && this.#rolling) await this.#log.settled();
    await this.#checkpointing;
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await this.#log.close();
    const lost = this.#log.appended - this.#position;
    await this.#release();
    if (lost > 0) throw new Error(`closed with ${lost} records not durable: the log had failed`);
  }

  /** Drops everything at once, as a crash would, and releases the directory. For tests. */
  async crash(): Promise<void> {
    this.#closing = true;
    this.#log.abandon();
    await this.#release();
  }

  async #release(): Promise<void> {
    this.#space.close();
    this.#checkpoint.stop();
    await this.#segments.close();
    await this.#checkpointing;
    await this.#parts.table.close();
    await this.#parts.lock.release();
  }

  #durable(batch: DurableBatch): void {
    if (this.#failed) return;
    const { keyspace, control } = this.#parts;
    if (this.#rolling && batch.segment > this.#lastSegment) this.#freeze(batch);
    this.#lastSegment = batch.segment;
    this.#logBytes += batch.bytes;
    this.#logRecords += batch.records.length;
    keyspace.approach(batch.records);
    const bodies = new BodyWalk(batch.payload);
    for (const record of batch.records) {
      bodies.next();
      if (record.type === "write") keyspace.write(record.slot, record.key, bodies, record.place);
      else takeEffect(keyspace, control, record);
    }
    this.#position = batch.position;
    if (batch.records.length > 0) this.#events.durable(batch.position);
    this.#considerCheckpoint();
  }

  get #alive(): boolean {
    return !this.#failed && !this.#closing;
  }

  /** How much of what makes a checkpoint due there is: 1 and more, it is. */
  get #gathered(): number {
    const { keyspace, limits } = this.#parts;
    const logged = Math.max(this.#logBytes / limits.logBytesMax, this.#logRecords / limits.logRecordsMax);
    return Math.max(keyspace.freshBytes / limits.freshBytesMax, logged);
  }

  #considerCheckpoint(): void {
    if (this.#gathered >= 1 && !this.#checkpointing) this.#roll();
  }

  #roll(): void {
    if (this.#rolling || !this.#alive) return;
    this.#rolling = true;
    this.#log.roll();
  }

  /** Everything applied so far lies in segments before that of `batch`. */
  #freeze(batch: DurableBatch): void {
    const { keyspace, control } = this.#parts;
    this.#rolling = false;
    this.#logBytes = 0;
    this.#logRecords = 0;
    const meta = {
      control: cloneControlState(control),
      applied: batch.segment - 1,
      batch: batch.number - 1,
      position: this.#position,
    };
    keyspace.freeze();
    this.#checkpointing = this.#runCheckpoint(meta).catch((error: unknown) => {
      this.#checkpointing = undefined;
      if (!(error instanceof CheckpointStopped)) this.#fail(error as Error);
    });
  }

  async #runCheckpoint(meta: TableMeta): Promise<void> {
    const { keyspace } = this.#parts;
    const { frozen } = keyspace;
    if (!frozen) return;
    const startedAt = performance.now();
    await this.#checkpoint.run(frozen, meta);
    this.counters.checkpoints.record(performance.now() - startedAt);
    keyspace.thaw();
    await this.#segments.release(meta.applied);
    await this.#space.check();
    this.#checkpointing = undefined;
    this.#considerCheckpoint();
  }

  #looked<Found>(look: () => Found): Found {
    try {
      return look();
    } catch (error) {
      return this.#broken(error as Error);
    }
  }

  /** A table that cannot be read. */
  #broken(error: Error): never {
    this.#fail(error);
    throw error;
  }

  #fail(error: Error): void {
    if (this.#failed || this.#closing) return;
    this.#failed = true;
    this.#log.abandon();
    this.#events.failed(error);
  }
}
