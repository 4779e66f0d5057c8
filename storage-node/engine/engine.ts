// Engine: where a storage node keeps what it promised. One interface, one contract suite (test/contract/engine.ts), two
// implementations: memory (simulator, tests) and disk (log + LMDB).
//
// Durability contract. `append` puts records, in order, behind everything appended before, and returns a position. When the
// engine reports `durable(p)`, every record up to p survives the loss of the process and of power, and `read`, `list` and
// `summary` reflect exactly the records up to p — never a record that is not durable (N5). After a restart, `recovered` and
// the registers reflect a prefix of what was appended that contains everything reported durable.
import type { Digest } from "../../shared/digest.ts";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "../../shared/ids.ts";
import type { StoredRecord } from "../../shared/record.ts";
import type { Ballot, Stamp, Version } from "../../shared/version.ts";
import type { VoterRecord } from "../../shared/voter.ts";

/** What a node is for a slot. `incoming`: filling up, serves nothing yet. */
export type SlotRole = "none" | "member" | "incoming";

/** Who a data directory belongs to. Only `incarnation` is set while the node is blank (in no cluster). */
export interface Identity {
  readonly incarnation: Incarnation;
  readonly cluster?: ClusterId;
  readonly id?: NodeId;
  /** Hash seed of the cluster: key → slot. */
  readonly seed?: number;
}

/** A register takes a new record. */
export interface WriteRecord {
  readonly type: "write";
  readonly slot: number;
  readonly key: string;
  readonly record: StoredRecord;
  /** `Engine.place` of the register, where its writer has it: nobody has to look for it again then. */
  readonly place?: number;
}

/** Every durable change but the write of a register. */
export type ControlRecord =
  /** M3: keys that no sealed member holds leave an incoming slot. */
  | { readonly type: "remove"; readonly slot: number; readonly keys: readonly string[] }
  /** N9: tombstones with version ≤ upTo are forgotten. */
  | { readonly type: "purge"; readonly slot: number; readonly upTo: Version }
  /** New role of slots. `wipe`: their registers are gone from this record on. */
  | {
      readonly type: "role";
      readonly slots: readonly number[];
      readonly role: SlotRole;
      readonly stamp: Stamp;
      readonly wipe: boolean;
    }
  | { readonly type: "stamp"; readonly slots: readonly number[]; readonly stamp: Stamp }
  /** The incoming slots hold everything that the attempt at `stamp` reconciled. */
  | { readonly type: "copied"; readonly slots: readonly number[]; readonly stamp: Stamp }
  | { readonly type: "fence"; readonly group: 0; readonly epoch: number }
  | { readonly type: "identity"; readonly identity: Identity }
  | { readonly type: "promise"; readonly epoch: number; readonly owner: OwnerId }
  /** A voter keeps the state opaque: JSON text. */
  | { readonly type: "accept"; readonly ballot: Ballot; readonly state: string };

/** Which register. */
export interface RegisterName {
  readonly slot: number;
  readonly key: string;
}

/** One durable change. The order of records is the order in which they take effect. */
export type LogRecord = WriteRecord | ControlRecord;

/** Durable membership of one slot. */
export interface SlotState {
  role: SlotRole;
  /** Highest stamp accepted (N6). */
  stamp: Stamp;
  /** Stamp of the attempt that gave the role: copies and installs must name it (N7). Later stamps do not change it. */
  since: Stamp;
  copied: boolean;
  /** Tombstones up to this version were collected. */
  purged: Version;
}

/** Everything durable beside the registers. */
export interface ControlState {
  identity: Identity;
  fence: number;
  voter: VoterRecord | undefined;
  /** 4096 entries. */
  slots: SlotState[];
}

/** What a slot holds, at the last durable position. */
export interface SlotSummary {
  readonly digest: Digest;
  /** Live keys, tombstones not counted. */
  readonly keys: number;
  readonly tombstones: number;
  /** Key and value bytes of live keys, roughly. */
  readonly bytes: number;
}

/** To be looked at before the event loop turns. */
export interface ListedEntry {
  readonly key: string;
  readonly version: Version;
  readonly tombstone: boolean;
  /** Decoded whenever it is asked for. */
  readonly record: StoredRecord;
}

export interface Engine {
  /** Control state as found at opening. The caller keeps it up to date from then on. */
  readonly recovered: ControlState;
  /** True where the log's last batch was cut at opening: it may have been acknowledged and damaged since. */
  readonly tailCut: boolean;
  /**
   * Durable position: records ever made durable in this data directory. Goes on growing over restarts, so that a directory
   * restored from a backup shows as one whose position went back.
   */
  readonly position: number;
  /** Whether `accepts` refuses for lack of disk space (DISK_FULL) rather than because the engine is behind (OVERLOADED). */
  readonly diskFull: boolean;
  /** Durable contents of a register; undefined where nothing was ever written (or it was wiped, removed or collected). */
  read(slot: number, key: string, place?: number): StoredRecord | undefined;
  /**
   * The version of what `read` would return, for less: nothing else is decoded.
   * @param below Where it is known to be below that without a look at the table, nobody looks: undefined then, too.
   */
  version(slot: number, key: string, place?: number, below?: Version): Version | undefined;
  /**
   * Where registers are, for less than if each was looked for by itself: `read` and `version` take their places until the event loop turns,
   * before which nothing that is appended takes effect. Undefined where an engine has no use for it.
   */
  locate(registers: readonly RegisterName[]): readonly number[] | undefined;
  /** Where `version` came upon what it was asked for last, which is for `append` of that key alone. Negative where it did not. */
  readonly place: number;
  /** Up to `limit` durable entries of a slot with key > after, in code-unit-independent byte order of UTF-8, tombstones included. */
  list(slot: number, after: string | undefined, limit: number): ListedEntry[];
  /** Counts up what changed since it was asked last: some microseconds a register. */
  summary(slot: number): SlotSummary;
  /** `summary` as it was counted last, by whoever asked for it or by a checkpoint: at once. */
  lastSummary(slot: number): SlotSummary;
  /** Whether a slot may hold registers: at once, and certain where it says no. */
  mayHold(slot: number): boolean;
  /** Whether `bytes` more of user data would be taken; see `diskFull` for why not. Control records always are (a reserve). */
  accepts(bytes: number): boolean;
  /** Appends records and returns the position behind them. Never fails by itself: see `EngineEvents.failed`. */
  append(records: readonly LogRecord[]): number;
  /** Flushes what was appended, checkpoints what that takes, releases the directory. */
  close(): Promise<void>;
}

export interface EngineEvents {
  /** Everything up to `position` is durable and visible to reads. Positions only grow. */
  durable(position: number): void;
  /** N10: the engine can promise nothing any more; the process stops. */
  failed(error: Error): void;
}
