// What a coordinator (or another node, or a person with `nc`) says to a storage node: the wire reference of the node port.
// One JSON object a line; every request has an `id` that its answer repeats. Data operations travel in `batch` lines, which
// name the exact node they are for (N1) and the leader's epoch (N2); each operation names its slot and stamp (N6).
import type { ErrorCode } from "../errors.ts";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "../ids.ts";
import type { WireValue } from "../record.ts";
import type { Ballot, Stamp, Version } from "../version.ts";

/** Read one register of a member. */
export interface ReadOp {
  readonly op: "read";
  readonly slot: number;
  readonly stamp: Stamp;
  readonly key: string;
  /** The version is enough: another replica was asked for the value. A node that does not know this answers in full. */
  readonly brief?: boolean;
}

/** Store one register: `write` on a member, `copy` on a node that is incoming at that stamp (N7). */
export interface WriteOp {
  readonly op: "write" | "copy";
  readonly slot: number;
  readonly stamp: Stamp;
  readonly key: string;
  readonly version: Version;
  /** Left out where it equals `version`. */
  readonly origin?: Version;
  /** Null: a tombstone. */
  readonly value: WireValue | null;
  readonly operation?: string;
}

/** Steps of a re-seating, for many slots at one stamp (M1–M5). */
export interface SlotsOp {
  readonly op: "seal" | "incoming" | "copied" | "drop";
  readonly slots: readonly number[];
  readonly stamp: Stamp;
}

/** M5. `committed` is the stamp in the cluster state; `stamp` the leader's current one, at least (its epoch, 0). */
export interface InstallOp {
  readonly op: "install";
  readonly slots: readonly number[];
  readonly stamp: Stamp;
  readonly committed: Stamp;
  /** First install of a new cluster: the slots must never have been touched. */
  readonly first?: boolean;
}

/** M3: keys that no sealed member holds leave an incoming slot. */
export interface RemoveOp {
  readonly op: "remove";
  readonly slot: number;
  readonly stamp: Stamp;
  readonly keys: readonly string[];
}

/** N9. */
export interface PurgeOp {
  readonly op: "purge";
  readonly slots: readonly number[];
  readonly stamp: Stamp;
  readonly upTo: Version;
}

/** Summaries of slots; `stamps` runs parallel to `slots`. */
export interface DigestOp {
  readonly op: "digest";
  readonly slots: readonly number[];
  readonly stamps: readonly Stamp[];
}

/** Where a page begins: behind this key of this slot, or at the start of the slot where `key` is left out. */
export interface Cursor {
  readonly slot: number;
  readonly key?: string;
}

/** A page of entries, by position in `slots` and then key. */
export interface ListOp {
  readonly op: "list";
  readonly slots: readonly number[];
  readonly stamps: readonly Stamp[];
  readonly after?: Cursor;
  readonly prefix?: string;
  readonly limit: number;
  /** Whole records rather than keys and versions. */
  readonly values?: boolean;
  /** Leaves out what is older; it counts towards `limit` all the same, since it was looked at. */
  readonly since?: Version;
}

/** M1, M3: fetch a page of slots from a member and store it as copies at `stamp`. */
export interface PullOp {
  readonly op: "pull";
  readonly slots: readonly number[];
  readonly stamp: Stamp;
  readonly source: { readonly id: NodeId; readonly incarnation: Incarnation; readonly address: string };
  /** The source's current stamps, parallel to `slots`. */
  readonly sourceStamps: readonly Stamp[];
  readonly after?: Cursor;
  readonly limit: number;
}

/** Durable roles and stamps of every slot that has one. */
export interface RolesOp {
  readonly op: "roles";
}

export type DataOp = ReadOp | WriteOp | SlotsOp | InstallOp | RemoveOp | PurgeOp | DigestOp | ListOp | PullOp | RolesOp;

/**
 * The envelope of data operations: who it is for, and who leads. On the wire they are a list of objects, `ops`, or compact, `writes` or
 * `reads` (compact.ts). Answered with `results`, one an operation; where there are several and each is a mere ok, `results` is left out;
 * what compact reads found, none of it mended, is a compact list, too, `found`. Where reads have more to tell than a line holds, there
 * are fewer results than operations, at least one: the others were not carried out, and are asked again. A refusal of the line is that
 * of each operation in it.
 */
export interface BatchRequest {
  readonly id: number;
  readonly op: "batch";
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly group: 0;
  readonly epoch: number;
  /** How the operations were written. */
  readonly form: "ops" | "writes" | "reads";
  readonly ops: readonly DataOp[];
}

/** Names the node a control message is for. */
export interface Addressed {
  readonly id: number;
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
}

export interface HelloRequest {
  readonly id: number;
  readonly op: "hello";
  /** Protocol versions that the caller speaks, from–to. */
  readonly versions: readonly [from: number, to: number];
  readonly cluster?: ClusterId;
  /** From the leader: the address at which clients reach it. */
  readonly leader?: string;
  /** Where the port asks for one (shared/io/door.ts); it goes no further than the door. */
  readonly token?: string;
}

/** C0: a blank node becomes the first of a cluster, and its only voter. */
export interface InitRequest {
  readonly id: number;
  readonly op: "init";
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly seed: number;
  readonly owner: OwnerId;
  readonly ballot: Ballot;
  readonly state: string;
}

/** A blank node (or one that was removed and holds no slot) joins the cluster under this id. */
export interface AdoptRequest {
  readonly id: number;
  readonly op: "adopt";
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly seed: number;
  readonly epoch: number;
}

/** V2. */
export interface PrepareRequest {
  readonly id: number;
  readonly op: "prepare";
  readonly cluster: ClusterId;
  readonly voter: string;
  readonly epoch: number;
  readonly owner: OwnerId;
}

/** V3. `seat`: initialise the record of a node that becomes a voter (V1, V5). */
export interface AcceptRequest {
  readonly id: number;
  readonly op: "accept";
  readonly cluster: ClusterId;
  readonly voter: string;
  readonly ballot: Ballot;
  readonly owner: OwnerId;
  readonly state: string;
  readonly seat?: boolean;
}

/** What a voter (or any node) knows: promised epoch, accepted state, fence. */
export interface InspectRequest {
  readonly id: number;
  readonly op: "inspect";
  readonly cluster?: ClusterId;
}

/** Level one, straight from a client or a person: any durable member answers, fenced and sealed or not. */
export interface DirectReadRequest {
  readonly id: number;
  readonly op: "read";
  readonly key: string;
}

/** Can you reach that node? Asked when its connection to the leader is silent. Answered with `reachable`. */
export interface ProbeRequest {
  readonly id: number;
  readonly op: "probe";
  readonly address: string;
}

export interface PlainRequest {
  readonly id: number;
  readonly op: "ping" | "stats";
}

/** Operations for the coordinator, sent to a node: answered NOT_LEADER with the leader's address where known. */
export interface MisdirectedRequest {
  readonly id: number;
  readonly op: "misdirected";
  readonly wanted: string;
}

/** V4: would you promise yourself to such an epoch? Changes nothing. */
export interface PrevoteRequest {
  readonly id: number;
  readonly op: "prevote";
  readonly cluster: ClusterId;
  readonly voter: string;
  readonly epoch: number;
}

/** From the leader to every member and voter. Answered with the newest ballot known and the promise, by voters whose disk keeps up. */
export interface HeartbeatRequest {
  readonly id: number;
  readonly op: "heartbeat";
  readonly cluster: ClusterId;
  readonly epoch: number;
  readonly owner: OwnerId;
  /** Where clients reach the leader. */
  readonly leader: string;
}

/** From the leader to a node that is behind: the newest accepted state, for whoever asks (`inspect`). Kept in memory. */
export interface LearnRequest {
  readonly id: number;
  readonly op: "learn";
  readonly cluster: ClusterId;
  readonly ballot: Ballot;
  readonly state: string;
}

export type VoterRequest = PrepareRequest | AcceptRequest | InspectRequest | PrevoteRequest | HeartbeatRequest;

export type NodeRequest =
  | BatchRequest
  | HelloRequest
  | InitRequest
  | AdoptRequest
  | VoterRequest
  | LearnRequest
  | ProbeRequest
  | DirectReadRequest
  | PlainRequest
  | MisdirectedRequest;

/** Why an operation or a line was refused. Further fields by code: `current`, `fence`, `stamp`, `leader`. */
export interface Refusal {
  readonly status: "error";
  readonly code: ErrorCode;
  readonly message: string;
  readonly [detail: string]: unknown;
}

export interface ReadResult {
  readonly status: "ok";
  readonly version: Version;
  readonly origin?: Version;
  readonly value: WireValue | null;
  readonly operation?: string;
}

/** Answer to a brief read. */
export interface VersionResult {
  readonly status: "ok";
  readonly version: Version;
}

/** One row of a page: slot, key, version, 1 for a tombstone; with `values`, also origin, value and operation. */
export type ListedRow = readonly [
  slot: number,
  key: string,
  version: Version,
  tombstone: 0 | 1,
  origin?: Version,
  value?: WireValue | null,
  operation?: string,
];

export interface ListResult {
  readonly status: "ok";
  readonly entries: readonly ListedRow[];
  /** Present when there is more: continue behind it. */
  readonly next?: Cursor;
}

/** Slots that a slot-list operation refused, with the reason; the others were done. */
export interface SlotsResult {
  readonly status: "ok";
  readonly refused?: readonly (readonly [slot: number, code: ErrorCode])[];
}

export interface DigestResult {
  readonly status: "ok";
  /** Parallel to the request: lanes, live keys, tombstones, bytes. */
  readonly slots: readonly (readonly [lane0: number, lane1: number, keys: number, tombstones: number, bytes: number])[];
}

export interface PullResult {
  readonly status: "ok";
  readonly keys: number;
  readonly bytes: number;
  readonly next?: Cursor;
}

export interface RolesResult {
  readonly status: "ok";
  readonly roles: readonly {
    readonly role: "none" | "member" | "incoming";
    readonly stamp: Stamp;
    readonly since: Stamp;
    readonly copied: boolean;
    readonly slots: readonly number[];
  }[];
}

export type OpResult =
  | Refusal
  | { readonly status: "ok" }
  | ReadResult
  | VersionResult
  | ListResult
  | SlotsResult
  | DigestResult
  | PullResult
  | RolesResult;

export interface InspectResult {
  readonly status: "ok";
  /** Null while the node is in no cluster. */
  readonly cluster: ClusterId | null;
  readonly node: NodeId | null;
  readonly incarnation: Incarnation;
  /** Voter id: the node's id, or the seat of a coordinator. */
  readonly voter: string | null;
  readonly fence: number;
  readonly promised: number;
  readonly ballot: Ballot;
  /** JSON text of the accepted cluster state; empty where there is none. */
  readonly state: string;
}
