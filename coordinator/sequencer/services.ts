// What the sequencer offers to the operations that run in it.
import type { KvError } from "../../shared/errors.ts";
import type { SequencerContext } from "./context.ts";
import type { InDoubt } from "./in-doubt.ts";
import type { KeyLocks } from "./key-locks.ts";
import type { ReadOperation, ReadOutcome, Swept } from "./operation.ts";

/** Why a sequencer ended; `sent` tells whether the operation may have taken effect. */
export type EndReason = (sent: boolean) => KvError;

/** A sending that holds its key, until it is installed or taken away from it. */
export interface Sending {
  /** M2: the slots are about to be sealed. */
  interrupt(slots: ReadonlySet<number>): void;
  /** The epoch is over. */
  abandon(reason: EndReason): void;
}

export interface SequencerServices {
  readonly context: SequencerContext;
  readonly locks: KeyLocks;
  readonly inDoubt: InDoubt;
  /** Blind writes that were sent and hold their key. */
  readonly flights: Set<Sending>;
  /** Repairs by FIX so far. */
  fixes: number;
  /** Looks after the item every few milliseconds, until it says that it is done. */
  sweepLater(item: Swept): void;
  /** Runs when the slot is released; at once where it is not held. */
  whenFree(slot: number, resume: () => void): void;
  /** C6: mends disagreeing replicas, then answers the read. */
  fix(operation: ReadOperation, reply: (outcome: ReadOutcome) => void): void;
}
