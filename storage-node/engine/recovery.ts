// Recovery: replays the segments behind the last checkpoint, batch after batch, checking that none is missing (rule 5).
// Batches are numbered without gaps over all segments, which tells damage from an ordinary end:
//  - what is bad with a whole later batch behind it, in its segment or in a later one, is corruption: stop;
//  - what is bad at the very end may be torn, or acknowledged and damaged since: cut it, and say so (`tailCut`);
//  - a cut made by an earlier recovery is followed by a segment that goes on with the number that was cut: no gap.
import { join } from "node:path";
import type { FileLayer } from "./file-layer.ts";
import { laterBatch, readBatch } from "./log-format.ts";
import type { BatchHeader } from "./log-format.ts";
import { readRecords } from "./record-codec.ts";
import type { RecordSink } from "./record-codec.ts";
import { isPreparing, segmentName, segmentNumber } from "./segments.ts";
import type { SegmentFile } from "./segments.ts";

/** The data directory cannot be trusted: start over with an empty one. */
export class DamagedLogError extends Error {}

export interface Recovered {
  /** Number of the last whole batch. */
  readonly batch: number;
  /** Records up to there. */
  readonly position: number;
  /** Highest segment number on disk. */
  readonly segment: number;
  /** Segments that were replayed. */
  readonly used: readonly SegmentFile[];
  /** Bytes of batches replayed, and the records in them. */
  readonly bytes: number;
  readonly records: number;
  readonly tailCut: boolean;
}

export interface RecoveryOptions {
  readonly files: FileLayer;
  readonly directory: string;
  /** What the table already holds. */
  readonly from: { readonly applied: number; readonly batch: number; readonly position: number };
  /** Takes every record, in order. */
  readonly sink: RecordSink;
  readonly log: (message: string) => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** A replay that takes longer says how far it is. */
const SAY_EVERY_MS = 1_000;

/** @throws DamagedLogError naming what is wrong and what to do. */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { files, directory, from, now } = options;
  const replay = new Replay(options);
  const used: SegmentFile[] = [];
  const numbers = await segmentNumbers(options);
  const behind = numbers.filter((number) => number > from.applied);
  for (const number of numbers) if (number <= from.applied) await files.remove(join(directory, segmentName(number)));
  let saidAt = now();
  for (const number of behind) {
    const bytes = await files.read(join(directory, segmentName(number)));
    replay.segment(number, bytes);
    used.push({ number, bytes: bytes.length });
    if (now() - saidAt < SAY_EVERY_MS) continue;
    saidAt = now();
    options.log(`replaying the log: ${used.length} of ${behind.length} segments, ${replay.records} records`);
  }
  return {
    batch: replay.batch,
    position: replay.position,
    segment: Math.max(from.applied, ...numbers),
    used,
    bytes: replay.bytes,
    records: replay.records,
    tailCut: replay.damaged,
  };
}

/** Numbers of the segments on disk, in order. Half-prepared ones are removed. */
async function segmentNumbers({ files, directory }: RecoveryOptions): Promise<number[]> {
  const names = await files.names(directory);
  for (const name of names.filter(isPreparing)) await files.remove(join(directory, name));
  return names
    .map(segmentNumber)
    .filter((number) => number !== undefined)
    .sort((a, b) => a - b);
}

class Replay {
  readonly #options: RecoveryOptions;
  batch: number;
  position: number;
  bytes = 0;
  /** Some segment ended in damage that no gap shows to be corruption. */
  damaged = false;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.batch = options.from.batch;
    this.position = options.from.position;
  }

  get records(): number {
    return this.position - this.#options.from.position;
  }

  segment(number: number, bytes: Buffer): void {
    let offset = 0;
    for (;;) {
      const found = readBatch(bytes, offset, number);
      if (found.kind === "end") return;
      if (found.kind === "bad") return this.#bad(number, bytes, offset);
      this.#take(found.header, found.payload);
      offset = found.next;
    }
  }

  #take(header: BatchHeader, payload: Buffer): void {
    if (header.number !== this.batch + 1 || header.position !== this.position) {
      throw this.#corrupt(
        `batch ${this.batch + 1} is missing or damaged, batch ${header.number} follows in ${segmentName(header.segment)}`,
      );
    }
    readRecords(payload, this.#options.sink);
    this.batch = header.number;
    this.position += header.records;
    this.bytes += payload.length;
  }

  #bad(segment: number, bytes: Buffer, offset: number): void {
    if (laterBatch(bytes, offset, { segment, number: this.batch + 1 })) {
      throw this.#corrupt(`${segmentName(segment)} is damaged at byte ${offset}, with whole batches behind the damage`);
    }
    this.damaged = true;
    this.#options.log(
      `the log ends in damage (${segmentName(segment)}, byte ${offset}): cut there. Nothing behind it was acknowledged, or it was damaged since: the leader compares this node's slots`,
    );
  }

  #corrupt(what: string): DamagedLogError {
    return new DamagedLogError(
      `the log in ${this.#options.directory} is corrupt: ${what}. Acknowledged writes may be missing, so this node does not start. ` +
        "Move the directory away and start the node with an empty one: the other copies restore it",
    );
  }
}
