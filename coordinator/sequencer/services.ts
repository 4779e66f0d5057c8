// What the sequencer offers to the operations that run in it.
import type { WriteOp } from "../../shared/protocol/node-messages.ts";
import type { SequencerContext } from "./context.ts";
import type { Issued } from "./drive.ts";
import type { EpochRounds } from "./epoch-rounds.ts";
import type { InDoubt } from "./in-doubt.ts";
import type { KeyLocks, KeyTask } from "./key-locks.ts";
import type { FlightFollower, PendingWrite, ReadOperation, ReadOutcome, Swept, WriteOutcome } from "./operation.ts";
import type { Entry, ReadCache } from "./read-cache.ts";
import type { ChainedRead } from "./reads-under-way.ts";

export interface SequencerServices {
  readonly context: SequencerContext;
  readonly locks: KeyLocks;
  readonly inDoubt: InDoubt;
  readonly readCache: ReadCache;
  readonly epochRounds: EpochRounds;
  /** Repairs by FIX so far. */
  fixes: number;
  /** Looks after the item every few milliseconds, until it says that it is done. */
  sweepLater(item: Swept): void;
  /** Whether a version of the key may be on its way, or is in doubt. */
  unsettled(key: string): boolean;
  /** A version is about to leave for its replicas. @returns what `installed` wants to know */
  issues(issued: Issued): Entry | undefined;
  /** A write quorum has it. */
  installed(issued: Issued, entry: Entry | undefined): void;
  /** Runs when the slot is released; at once where it is not held. */
  whenFree(slot: number, resume: () => void): void;
  /**
   * Begins what has the lock of a key together: blind writes, and reads that wait behind some.
   * @param before The write that they come behind, where a write quorum is known to have it.
   */
  take(tasks: readonly KeyTask[], before: WriteOp | undefined): void;
  /** Starts a read that takes no lock. */
  begin(read: ChainedRead): void;
  /** A blind write has its outcome. Once a write. */
  written(write: PendingWrite, outcome: WriteOutcome): void;
  /** A read has its outcome. Once a read. */
  wasRead(read: ChainedRead, outcome: ReadOutcome): void;
  /** Tells the follower when the blind write that is on its way to the key's replicas has landed. False where there is none. */
  follow(key: string, follower: FlightFollower): boolean;
  /** C6: mends disagreeing replicas, then answers the read. */
  fix(operation: ReadOperation, reply: (outcome: ReadOutcome) => void): void;
}
