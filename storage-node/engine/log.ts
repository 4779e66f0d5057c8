// Log: group commit. Records are encoded as they are appended; a batch is everything appended since the last one began
// syncing. It is written once, durably, then handed over; the next one is already gathering and starts at once (rule 2). One
// write is in flight at a time, so that a whole batch behind a bad one can only mean damage.
// Any failure but lack of space stops the log for good: after a failed sync nobody knows what the disk holds (rule 6).
import type { EngineCounters } from "./counters.ts";
import { setImmediate as turn } from "node:timers/promises";
import type { LogRecord } from "./engine.ts";
import type { EngineLimits } from "./engine-limits.ts";
import { isNoSpace } from "./file-layer.ts";
import { HEADER_BYTES, sealBatch } from "./log-format.ts";
import { RecordWriter, writeRecord } from "./record-codec.ts";
import type { Segment, Segments } from "./segments.ts";
import type { Space } from "./space.ts";
import { guard } from "./watchdog.ts";

/** What became durable together. */
export interface DurableBatch {
  readonly records: readonly LogRecord[];
  /** The same records, encoded. Only to be read while `durable` runs. */
  readonly payload: Buffer;
  /** Position behind its records. */
  readonly position: number;
  readonly number: number;
  readonly segment: number;
  readonly bytes: number;
}

export interface LogOptions {
  readonly segments: Segments;
  readonly space: Space;
  readonly limits: EngineLimits;
  /** Number of the last durable batch. */
  readonly number: number;
  /** Durable records before this process. */
  readonly position: number;
  readonly counters?: EngineCounters;
  /** Called in order. */
  readonly durable: (batch: DurableBatch) => void;
  /** Called at most once; nothing becomes durable afterwards. */
  readonly failed: (error: Error) => void;
}

/** Records gathering for one write. */
interface Batch {
  readonly writer: RecordWriter;
  readonly records: LogRecord[];
}

const WRITER_BYTES = 64 * 1024;
/** Writers larger than this are not kept for the next batch. */
const WRITER_KEPT_BYTES = 8 * 1024 * 1024;

export class Log {
  readonly #with: LogOptions;
  readonly #queue: Batch[] = [];
  readonly #idleWriters: RecordWriter[] = [];
  #gathering: Batch;
  #appended: number;
  #position: number;
  #number: number;
  #segment: Segment | undefined;
  #offset = 0;
  #rollWanted = false;
  #scheduled = false;
  #running: Promise<void> | undefined;
  #stopped = false;
  #unsyncedBytes = 0;

  constructor(options: LogOptions) {
    this.#with = options;
    this.#appended = options.position;
    this.#position = options.position;
    this.#number = options.number;
    this.#gathering = this.#newBatch();
  }

  /** Bytes appended and not durable yet. */
  get unsyncedBytes(): number {
    return this.#unsyncedBytes + this.#gathering.writer.length - HEADER_BYTES;
  }

  /** Position behind everything appended. */
  get appended(): number {
    return this.#appended;
  }

  append(records: readonly LogRecord[]): number {
    for (const record of records) {
      const { writer, records: gathered } = this.#gathering;
      writeRecord(writer, record);
      gathered.push(record);
      if (writer.length >= this.#with.limits.batchBytesMax) this.#cut();
    }
    this.#appended += records.length;
    this.#schedule();
    return this.#appended;
  }

  /** Lets the next batch start a new segment, and makes one even where nothing was appended. */
  roll(): void {
    this.#rollWanted = true;
    this.#schedule();
  }

  /** Waits until everything appended is durable, or the log failed. Nothing is written afterwards. */
  async close(): Promise<void> {
    for (this.#start(); this.#running; this.#start()) await this.#running;
    this.#stopped = true;
    await this.#segment?.file.close();
  }

  /** Resolves when the batches under way have settled, or at the next turn. */
  async settled(): Promise<void> {
    await this.#running;
    await turn();
  }

  /** Gives everything up, as a crash does. */
  abandon(): void {
    this.#stopped = true;
  }

  #newBatch(): Batch {
    const writer = this.#idleWriters.pop() ?? new RecordWriter(WRITER_BYTES);
    writer.length = HEADER_BYTES;
    return { writer, records: [] };
  }

  #cut(): void {
    this.#unsyncedBytes += this.#gathering.writer.length - HEADER_BYTES;
    this.#queue.push(this.#gathering);
    this.#gathering = this.#newBatch();
  }

  /** Starts at the end of this turn of the event loop, so that everything appended in it shares a batch. */
  #schedule(): void {
    if (this.#scheduled || this.#running || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#start();
    });
  }

  #start(): void {
    if (this.#running || this.#stopped) return;
    const batch = this.#take();
    if (!batch) return;
    this.#running = this.#run(batch).catch((error: unknown) => {
      this.#running = undefined;
      if (this.#stopped) return;
      this.#stopped = true;
      this.#with.failed(error as Error);
    });
  }

  #take(): Batch | undefined {
    if (this.#queue.length === 0 && (this.#gathering.records.length > 0 || this.#rollWanted)) this.#cut();
    return this.#queue.shift();
  }

  async #run(first: Batch): Promise<void> {
    let batch: Batch | undefined = first;
    let writing = this.#write(first);
    while (batch) {
      const durable = await writing;
      if (!durable || this.#stopped) break;
      const done: Batch = batch;
      batch = this.#take();
      // The disk works on the next batch while this one takes effect.
      if (batch) writing = this.#write(batch);
      try {
        this.#with.durable(durable);
        this.#recycle(done.writer);
      } catch (error) {
        // The write under way must not be left without an owner.
        writing.catch(() => undefined);
        throw error;
      }
    }
    this.#running = undefined;
    if (this.#queue.length > 0 || this.#gathering.records.length > 0 || this.#rollWanted) this.#schedule();
  }

  #recycle(writer: RecordWriter): void {
    this.#unsyncedBytes -= writer.length - HEADER_BYTES;
    if (writer.buffer.length <= WRITER_KEPT_BYTES && this.#idleWriters.length < 2) this.#idleWriters.push(writer);
  }

  /** Undefined only when the engine closed while waiting for a segment. */
  async #write({ writer, records }: Batch): Promise<DurableBatch | undefined> {
    const end = writer.length;
    writer.reserve(HEADER_BYTES);
    const segment = await this.#place(end + HEADER_BYTES);
    if (!segment) return undefined;
    const position = this.#position;
    const number = ++this.#number;
    sealBatch(writer.buffer, end, { segment: segment.number, number, position, records: records.length });
    const startedAt = performance.now();
    await this.#writeDurably(segment, writer.buffer.subarray(0, end + HEADER_BYTES));
    const tookMs = performance.now() - startedAt;
    this.#with.counters?.synced({ records: records.length, bytes: end, tookMs });
    this.#offset += end;
    this.#position = position + records.length;
    return {
      records,
      payload: writer.buffer.subarray(HEADER_BYTES, end),
      position: this.#position,
      number,
      segment: segment.number,
      bytes: end,
    };
  }

  async #place(bytes: number): Promise<Segment | undefined> {
    const current = this.#segment;
    if (current && !this.#rollWanted && this.#offset + bytes <= current.bytes) return current;
    this.#rollWanted = false;
    const next = await this.#with.segments.take(bytes);
    await current?.file.close();
    this.#segment = next;
    this.#offset = 0;
    return next;
  }

  /** A prepared segment does not run out of space, except on file systems that copy on write: then it is waited out. */
  async #writeDurably(segment: Segment, bytes: Buffer): Promise<void> {
    const { space, limits } = this.#with;
    while (!this.#stopped) {
      try {
        await guard("a write of the log", segment.file.write(bytes, this.#offset), limits.stuckMs);
        return;
      } catch (error) {
        if (!isNoSpace(error)) throw error;
        space.exhausted("log");
        await space.retryLater();
      }
    }
  }
}
