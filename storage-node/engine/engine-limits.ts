// Bounds of the disk engine, with their units. Tests hand in smaller ones; nothing else does.
import { assert } from "../../shared/assert.ts";
import { WRITE_STUCK_MS } from "../../shared/limits.ts";

const MIB = 1024 * 1024;

export interface EngineLimits {
  /** Distinct fresh bytes that start a checkpoint. While one runs, as much again may gather; beyond, user data is refused. */
  readonly freshBytesMax: number;
  /** Log bytes that start a checkpoint, however few keys they overwrite: what recovery has to read. */
  readonly logBytesMax: number;
  /** The same in records: what recovery has to apply, at about 1.6 µs each. */
  readonly logRecordsMax: number;
  /** Size of the first segment of a process: small, for a quick start. Each next one is four times as large. */
  readonly segmentBytesFirst: number;
  readonly segmentBytesMax: number;
  /** Records beyond this go into the next batch (a single larger record is a batch of its own). */
  readonly batchBytesMax: number;
  /** Batches up to this are waited for while the disk is quick (disk-pace.ts); 0: none is. */
  readonly waitedForBytesMax: number;
  /** LMDB operations in one transaction of a checkpoint. */
  readonly chunkOperations: number;
  /** Bytes of records in one transaction of a checkpoint. */
  readonly chunkBytes: number;
  /** Free disk space that user data never takes: what fences, votes and checkpoints need. */
  readonly freeBytesMin: number;
  /** How often a full disk is looked at again. */
  readonly spaceRetryMs: number;
  /** Address space of the table: an upper bound of its size, not memory. */
  readonly mapBytes: number;
  /** N10: a write unsettled for this much running time is a failure. */
  readonly stuckMs: number;
}

export const ENGINE_LIMITS: EngineLimits = {
  freshBytesMax: 128 * MIB,
  logBytesMax: 512 * MIB,
  logRecordsMax: 2_000_000,
  segmentBytesFirst: MIB,
  segmentBytesMax: 64 * MIB,
  batchBytesMax: 4 * MIB,
  waitedForBytesMax: 256 * 1024,
  chunkOperations: 2000,
  chunkBytes: 8 * MIB,
  freeBytesMin: 128 * MIB,
  spaceRetryMs: 1000,
  mapBytes: 2 ** 40,
  stuckMs: WRITE_STUCK_MS,
};

assert(ENGINE_LIMITS.segmentBytesMax <= ENGINE_LIMITS.logBytesMax, "a checkpoint's log holds at least one segment");
assert(ENGINE_LIMITS.batchBytesMax < ENGINE_LIMITS.segmentBytesMax, "an ordinary batch fits in a segment");
