// Operation: one request of a client on one key, from admission to its single answer, with its deadline. The three outcomes (C8):
// ok, a definite failure, or unknown; a deadline that passes after something was sent is unknown.
import { KvError } from "../../shared/errors.ts";
import type { Level, ReplicaReport } from "../../shared/protocol/client-messages.ts";
import type { WriteOp } from "../../shared/protocol/node-messages.ts";
import type { WireValue } from "../../shared/record.ts";
import type { Version } from "../../shared/version.ts";

/** A connection of a client, by the number that the edge gave it. */
export type ClientNumber = number;

/** A write as the sequencer sees it. */
export interface WriteOperation {
  readonly type: "write";
  readonly client: ClientNumber;
  /** The client's number for its request, for whoever answers it. */
  readonly id: number;
  readonly key: string;
  readonly slot: number;
  /** Null: delete. */
  readonly value: WireValue | null;
  readonly level: Level;
  /** Only if the current origin is this one; `absent`: only if there is no value. */
  readonly condition: Version | "absent" | undefined;
  /** Deletes: say whether there was a value, and write nothing where there was none. */
  readonly wantsFound: boolean;
  /** Empty where the client gave none. */
  readonly operation: string;
  readonly firstEpoch: number | undefined;
  /** Say what each replica answered, up to 200 ms after the acknowledgement. */
  readonly report: boolean;
  /** Milliseconds of the core's clock. */
  readonly deadline: number;
  readonly startedAt: number;
}

export interface ReadOperation {
  readonly type: "read";
  readonly client: ClientNumber;
  /** As in a write. */
  readonly id: number;
  readonly key: string;
  readonly slot: number;
  readonly level: Level;
  readonly deadline: number;
  readonly startedAt: number;
}

export type WriteOutcome =
  | {
      readonly type: "written";
      readonly version: Version;
      readonly found?: boolean;
      readonly replicas?: readonly ReplicaReport[];
    }
  | { readonly type: "error"; readonly error: KvError };

export type ReadOutcome =
  | { readonly type: "value"; readonly value: WireValue | null; readonly origin: Version; readonly stale: boolean }
  | { readonly type: "error"; readonly error: KvError };

/** Whom to tell. It is given the operation, too, so that one function serves all: a closure each would be one more object in flight. */
export type Reply<Operation, Outcome> = (outcome: Outcome, operation: Operation) => void;

/** A write on its way to an outcome. */
export interface PendingWrite {
  readonly operation: WriteOperation;
  readonly reply: Reply<WriteOperation, WriteOutcome>;
  /** Its entry in what is remembered (C8), where that is known. */
  readonly remembered?: number;
}

/** A read on its way to an outcome. */
export interface PendingRead {
  readonly operation: ReadOperation;
  readonly reply: Reply<ReadOperation, ReadOutcome>;
}

/** Why a sequencer ended; `sent` tells whether the operation may have taken effect. */
export type EndReason = (sent: boolean) => KvError;

/** Waits for what becomes of a blind write that is on its way. */
export interface FlightFollower {
  /** It gave the key back. @param installed What a write quorum has of it; undefined where that is not known. */
  landed(installed: WriteOp | undefined): void;
}

/** Whatever has to be looked at every few milliseconds while it lasts: deadlines, resending, hedging. */
export interface Swept {
  /** @returns whether it still needs sweeping */
  sweep(now: number): boolean;
  /** M2: the slots are about to be sealed. */
  interrupt?(slots: ReadonlySet<number>): void;
  /** The epoch is over. */
  abandon?(reason: EndReason): void;
}

export function tooFewReplicas(reachable: number, needed: number): KvError {
  return new KvError(
    "NO_QUORUM",
    `${reachable} of the replicas answer, ${needed} are needed; nothing was written: see "nodes" for what is down`,
  );
}

/** How far a write has come. */
interface Progress {
  readonly oks: number;
  /** By a write quorum. */
  readonly installed: boolean;
  readonly refusedByAll: boolean;
  /** Codes of what each replica answered instead. */
  readonly refusals: readonly string[];
}

/** What a write comes to that fewer replicas have stored than `needed` when its time is over, or all have refused it. */
export function shortOf(needed: number, { oks, installed, refusedByAll, refusals }: Progress): KvError {
  if (refusedByAll) return refused(needed, [...new Set(refusals)]);
  const stored = `stored on ${oks} of`;
  if (installed) return new KvError("PARTIAL", `${stored} ${needed} replicas, a quorum; level all was asked for`);
  const text = `${stored} the ${needed} replicas needed when the time was over: it may or may not have happened`;
  return new KvError("TIMEOUT", text);
}

function refused(needed: number, codes: readonly string[]): KvError {
  if (codes.every((code) => code === "NODE_UNREACHABLE")) return tooFewReplicas(0, needed);
  const code = codes.includes("DISK_FULL") ? "DISK_FULL" : "NO_QUORUM";
  return new KvError(code, `refused by every replica (${codes.join(", ")}); nothing was stored`);
}
