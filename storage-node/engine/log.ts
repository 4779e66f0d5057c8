// Log: group commit. Records are encoded as they are appended; a batch is everything appended since the last one began
// syncing. It is written once, durably, then handed over; the next one is already gathering and starts at once (rule 2). One
// write is in flight at a time, so that a whole batch behind a bad one can only mean damage. On a quick disk a small batch is waited
// for (disk-pace.ts); what comes meanwhile waits in the sockets, and is the next batch.
// Any failure but lack of space stops the log for good: after a failed sync nobody knows what the disk holds (rule 6).
import type { EngineCounters } from "./counters.ts";
import { DiskPace } from "./disk-pace.ts";
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
  readonly #pace = new DiskPace();
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
    while (this.#running || (this.#waits && !this.#stopped)) {
      this.#start();
      await this.#running;
    }
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
    try {
      if (this.#writesNow(batch)) return this.#scheduleRest();
    } catch (error) {
      return this.#fail(error as Error);
    }
    this.#running = this.#run(batch).catch((error: unknown) => {
      this.#running = undefined;
      this.#fail(error as Error);
    });
  }

  /** Whether anything is to be written that is not under way. */
  get #waits(): boolean {
    return this.#queue.length > 0 || this.#gathering.records.length > 0 || this.#rollWanted;
  }

  #scheduleRest(): void {
    if (this.#waits) this.#schedule();
  }

  #fail(error: Error): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#with.failed(error);
  }

  /** What is to be written next. */
  #next(): Batch | undefined {
    if (this.#queue.length === 0 && this.#waits) this.#cut();
    return this.#queue[0];
  }

  #take(): Batch | undefined {
    this.#next();
    return this.#queue.shift();
  }

  async #run(first: Batch): Promise<void> {
    let batch: Batch | undefined = first;
    let writing = this.#write(first);
    while (batch) {
      const durable = await writing;
      if (!durable || this.#stopped) break;
      const done: Batch = batch;
      const next = this.#next();
      // The disk works on the next batch while this one takes effect; one that is waited for comes after.
      batch = next && !this.#segmentNow(next) ? this.#take() : undefined;
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
    this.#scheduleRest();
  }

  #recycle(writer: RecordWriter): void {
    this.#unsyncedBytes -= writer.length - HEADER_BYTES;
    if (writer.buffer.length <= WRITER_KEPT_BYTES && this.#idleWriters.length < 2) this.#idleWriters.push(writer);
  }

  /**
   * Writes and reports a small batch while the disk is quick. Who stands still for long in it answers nobody, and counts as down; no
   * watchdog is needed. False: it is to be written in the background, whatever was written of it.
   * @throws what the disk, or taking effect, failed with
   */
  #writesNow(batch: Batch): boolean {
    const segment = this.#segmentNow(batch);
    if (!segment) return false;
    const startedAt = performance.now();
    try {
      segment.file.writeNow(this.#sealed(batch, segment), this.#offset);
    } catch (error) {
      if (isNoSpace(error)) return false;
      throw error;
    }
    const now = performance.now();
    this.#pace.took(now - startedAt, now);
    this.#with.durable(this.#written(batch, segment, now - startedAt));
    this.#recycle(batch.writer);
    return true;
  }

  /** Where a batch is written while the process waits; undefined where that happens in the background. */
  #segmentNow(batch: Batch): Segment | undefined {
    const segment = this.#segment;
    if (!segment || batch.writer.length > this.#with.limits.waitedForBytesMax) return undefined;
    return this.#fits(segment, batch) && this.#pace.quick(performance.now()) ? segment : undefined;
  }

  /** Undefined only when the engine closed while waiting for a segment. */
  async #write(batch: Batch): Promise<DurableBatch | undefined> {
    const current = this.#segment;
    // Begun before this returns, where nothing is in the way: what took effect meanwhile would have to end first.
    const segment = current && this.#fits(current, batch) ? current : await this.#nextSegment(batch);
    if (!segment) return undefined;
    const startedAt = performance.now();
    await this.#writeDurably(segment, this.#sealed(batch, segment));
    return this.#written(batch, segment, performance.now() - startedAt);
  }

  /** What is to be written of a batch: itself, and an end mark. */
  #sealed({ writer, records }: Batch, segment: Segment): Buffer {
    const end = writer.length;
    writer.reserve(HEADER_BYTES);
    const header = {
      segment: segment.number,
      number: this.#number + 1,
      position: this.#position,
      records: records.length,
    };
    sealBatch(writer.buffer, end, header);
    return writer.buffer.subarray(0, end + HEADER_BYTES);
  }

  #written({ writer, records }: Batch, segment: Segment, tookMs: number): DurableBatch {
    const bytes = writer.length;
    this.#with.counters?.synced({ records: records.length, bytes, tookMs });
    this.#number++;
    this.#offset += bytes;
    this.#position += records.length;
    return {
      records,
      payload: writer.buffer.subarray(HEADER_BYTES, bytes),
      position: this.#position,
      number: this.#number,
      segment: segment.number,
      bytes,
    };
  }

  /** Whether a batch belongs into the segment in use. */
  #fits(segment: Segment, { writer }: Batch): boolean {
    return !this.#rollWanted && this.#offset + writer.length + HEADER_BYTES <= segment.bytes;
  }

  async #nextSegment(batch: Batch): Promise<Segment | undefined> {
    const current = this.#segment;
    this.#rollWanted = false;
    const next = await this.#with.segments.take(batch.writer.length + HEADER_BYTES);
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
