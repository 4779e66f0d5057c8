// Segments: the files of the log. The next one is always prepared in the background (written through once, so that appending
// to it changes no file metadata), which is also where running out of space is met. Files whose records are in the table
// are reused under the next number, or deleted. Names: `log-0000000007`; a file being prepared: `preparing-0000000007`.
import { join } from "node:path";
import { assert } from "../../shared/assert.ts";
import type { EngineLimits } from "./engine-limits.ts";
import { isNoSpace } from "./file-layer.ts";
import type { DurableFile, FileLayer } from "./file-layer.ts";
import { emptySegment, HEADER_BYTES } from "./log-format.ts";
import type { Space } from "./space.ts";
import { guard } from "./watchdog.ts";

/** Zeros written at a time while a segment is prepared: short, since the log's own writes wait behind them. */
const ZEROS = Buffer.alloc(512 * 1024);

class ClosedError extends Error {}

/** A segment open for appending. */
export interface Segment {
  readonly number: number;
  readonly bytes: number;
  readonly file: DurableFile;
}

/** A segment file that is not open. */
export interface SegmentFile {
  readonly number: number;
  readonly bytes: number;
}

export function segmentName(number: number): string {
  return `log-${String(number).padStart(10, "0")}`;
}

/** Number of a segment from its file name; undefined for any other name. */
export function segmentNumber(name: string): number | undefined {
  const match = /^log-(\d{10})$/.exec(name);
  return match ? Number(match[1]) : undefined;
}

export function isPreparing(name: string): boolean {
  return name.startsWith("preparing-");
}

export interface SegmentsOptions {
  readonly files: FileLayer;
  readonly directory: string;
  readonly limits: EngineLimits;
  readonly space: Space;
  /** Number of the next segment. */
  readonly next: number;
  /** Segments on disk whose records are not yet in the table. */
  readonly used: readonly SegmentFile[];
  readonly failed: (error: Error) => void;
}

export class Segments {
  readonly #with: SegmentsOptions;
  /** Full or current segments, oldest first. */
  readonly #used: SegmentFile[];
  /** Applied segments that wait to be used again. */
  readonly #spare: SegmentFile[] = [];
  #next: number;
  #bytes: number;
  #prepared: Promise<Segment | undefined>;
  #wanted = 0;
  #closed = false;

  constructor(options: SegmentsOptions) {
    this.#with = options;
    this.#used = [...options.used];
    this.#next = options.next;
    this.#bytes = options.limits.segmentBytesFirst;
    this.#prepared = this.#prepare();
  }

  /** Bytes of log that are not in the table yet. */
  get usedBytes(): number {
    return this.#used.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** The next segment, with room for at least `bytes`. Undefined only when the engine closed meanwhile. */
  async take(bytes: number): Promise<Segment | undefined> {
    this.#wanted = bytes;
    let segment = await this.#prepared;
    if (segment && segment.bytes < bytes) {
      // Its number is taken: a segment without batches is no gap.
      await segment.file.close();
      this.#used.push({ number: segment.number, bytes: segment.bytes });
      this.#bytes = Math.max(this.#bytes, bytes);
      this.#next = segment.number + 1;
      segment = await this.#prepare();
    }
    this.#wanted = 0;
    if (!segment) return undefined;
    this.#used.push({ number: segment.number, bytes: segment.bytes });
    this.#next = segment.number + 1;
    this.#bytes = Math.min(this.#bytes * 4, this.#with.limits.segmentBytesMax);
    this.#prepared = this.#prepare();
    return segment;
  }

  /** The records of segments up to this number are in the table: their files are free. */
  async release(applied: number): Promise<void> {
    while (this.#used[0] && this.#used[0].number <= applied) {
      const file = this.#used.shift();
      if (file) await this.#free(file);
    }
    await this.#with.files.syncDirectory(this.#with.directory);
  }

  async #free(file: SegmentFile): Promise<void> {
    const { limits, space } = this.#with;
    const kept = this.#spare.reduce((sum, { bytes }) => sum + bytes, 0);
    const useful = file.bytes === limits.segmentBytesMax && kept + file.bytes <= limits.logBytesMax && !space.full;
    if (useful) this.#spare.push(file);
    else await this.#remove(file);
  }

  async #remove(file: SegmentFile): Promise<void> {
    await this.#with.files.remove(join(this.#with.directory, segmentName(file.number)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    const segment = await this.#prepared;
    await segment?.file.close();
  }

  /** Prepares the next segment; waits while there is no space. Any other failure is reported, and never settles. */
  async #prepare(): Promise<Segment | undefined> {
    const { space } = this.#with;
    while (!this.#closed) {
      try {
        const segment = (await this.#reuse()) ?? (await this.#create());
        if (segment) {
          space.found("log");
          await space.check();
          return segment;
        }
      } catch (error) {
        if (error instanceof ClosedError) return undefined;
        if (!isNoSpace(error)) {
          this.#with.failed(error as Error);
          return undefined;
        }
      }
      space.exhausted("log");
      await this.#makeRoom();
      await space.retryLater();
    }
    return undefined;
  }

  /** Space that only waits to be used again is given back. */
  async #makeRoom(): Promise<void> {
    const { files, directory } = this.#with;
    await files.remove(join(directory, `preparing-${segmentName(this.#next)}`));
    for (let file = this.#spare.pop(); file; file = this.#spare.pop()) await this.#remove(file);
  }

  async #reuse(): Promise<Segment | undefined> {
    const { files, directory } = this.#with;
    const index = this.#spare.findIndex(({ bytes }) => bytes >= Math.max(this.#bytes, this.#wanted));
    const spare = index < 0 ? undefined : this.#spare.splice(index, 1)[0];
    if (!spare) return undefined;
    const file = await files.open(join(directory, segmentName(spare.number)), { create: false });
    await this.#write(file, emptySegment(this.#next), 0);
    await this.#publish(segmentName(spare.number));
    return { number: this.#next, bytes: spare.bytes, file };
  }

  /** Undefined where only the reserve is left and nobody waits for the segment. */
  async #create(): Promise<Segment | undefined> {
    const { files, directory, space } = this.#with;
    const bytes = Math.max(this.#bytes, this.#wanted);
    if (this.#wanted === 0 && !(await space.fits(bytes))) return undefined;
    const name = `preparing-${segmentName(this.#next)}`;
    const file = await files.open(join(directory, name), { create: true });
    try {
      await this.#writeZeros(file, bytes);
      if (this.#closed) throw new ClosedError("the engine is closing");
      await this.#write(file, emptySegment(this.#next), 0);
      await this.#publish(name);
    } catch (error) {
      await file.close();
      throw error;
    }
    return { number: this.#next, bytes, file };
  }

  async #publish(name: string): Promise<void> {
    const { files, directory, limits } = this.#with;
    const renamed = files.rename(join(directory, name), join(directory, segmentName(this.#next)));
    await guard("a rename in the log", renamed, limits.stuckMs);
    await guard("a sync of the log's directory", files.syncDirectory(directory), limits.stuckMs);
  }

  async #writeZeros(file: DurableFile, bytes: number): Promise<void> {
    assert(bytes >= HEADER_BYTES, "a segment holds at least its end mark");
    for (let offset = 0; offset < bytes && !this.#closed; offset += ZEROS.length) {
      await this.#write(file, ZEROS.subarray(0, Math.min(ZEROS.length, bytes - offset)), offset);
    }
  }

  #write(file: DurableFile, bytes: Buffer, offset: number): Promise<void> {
    return guard("preparing a segment of the log", file.write(bytes, offset), this.#with.limits.stuckMs);
  }
}
