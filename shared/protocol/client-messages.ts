// What clients, shells and other coordinators say to a coordinator: the wire reference of the coordinator port. One JSON object
// a line, `id` repeated by the answer. Topology operations answer several lines with the same `id` until one has `done: true`.
// Versions are opaque strings such as `3.1042`.
import type { ErrorCode, Outcome } from "../errors.ts";
import type { ClusterId, Incarnation, NodeId } from "../ids.ts";
import type { WireValue } from "../record.ts";
import type { RepairRequest } from "./repair-messages.ts";
import type { FollowRequest, StepdownRequest } from "./coordinator-messages.ts";

export const LEVELS = ["one", "quorum", "all"] as const;
/** How many replicas must have a write on disk, or be asked by a read. */
export type Level = (typeof LEVELS)[number];

export interface PutRequest {
  readonly id: number;
  readonly op: "put";
  readonly key: string;
  readonly value: WireValue;
  readonly consistency?: Level;
  /** Store only if the current version is this one. */
  readonly ifVersion?: string;
  /** Store only if the key is absent. */
  readonly ifAbsent?: boolean;
  /** Id of the operation: `<client>:<counter>`; the same on every retry (C8). */
  readonly operation?: string;
  /** On a retry: the epoch in which the first attempt was sent. */
  readonly firstEpoch?: number;
  /** Remaining time, 1–60 000 ms; default 2 000. */
  readonly timeoutMs?: number;
  /** Wait up to 200 ms after the acknowledgement and say what each replica answered. */
  readonly report?: boolean;
}

export interface DeleteRequest {
  readonly id: number;
  readonly op: "delete";
  readonly key: string;
  readonly consistency?: Level;
  readonly ifVersion?: string;
  readonly operation?: string;
  readonly firstEpoch?: number;
  readonly timeoutMs?: number;
  readonly report?: boolean;
  /** Look first: answered NOT_FOUND where the key is absent, at quorum and above. Costs a read. */
  readonly found?: boolean;
}

export interface GetRequest {
  readonly id: number;
  readonly op: "get";
  readonly key: string;
  readonly consistency?: Level;
  readonly timeoutMs?: number;
}

export type DataRequest = PutRequest | DeleteRequest | GetRequest;

/**
 * Many data requests in one line; each is answered by its own line, in any order. Where client and coordinator have said in their hellos
 * that they know compact lines (compact.ts), the requests may be `rows`, with one `timeoutMs` for all, and answers `written` and `values`.
 */
export interface ClientBatchRequest {
  readonly id: number;
  readonly op: "batch";
  readonly ops: readonly DataRequest[];
}

export interface ScanRequest {
  readonly id: number;
  readonly op: "scan";
  readonly prefix?: string;
  /** 1–1000, default 100. */
  readonly limit?: number;
  readonly cursor?: string;
  readonly timeoutMs?: number;
}

export interface WhereRequest {
  readonly id: number;
  readonly op: "where";
  readonly key: string;
}

export interface ViewRequest {
  readonly id: number;
  readonly op: "ping" | "status" | "nodes" | "ring" | "stats" | "metrics" | "ops";
}

export interface ClientHelloRequest {
  readonly id: number;
  readonly op: "hello";
  readonly versions: readonly [from: number, to: number];
  /** The client knows compact answers. */
  readonly compact?: boolean;
  /** Where the port asks for one (shared/io/door.ts); it goes no further than the door. */
  readonly token?: string;
}

export type TopologyChange =
  | { readonly op: "addnode"; readonly node: NodeId; readonly address: string; readonly weight?: number }
  | { readonly op: "removenode"; readonly node: NodeId; readonly force?: boolean }
  | { readonly op: "setreplica"; readonly rf: number };

/** What the leader does by itself about a node that does not answer, or does again. */
export interface ReplaceChange {
  readonly op: "replace";
  readonly node: NodeId;
  readonly as: "away" | "replaced" | "up";
}

export type OperationChange = TopologyChange | ReplaceChange;

export type TopologyRequest = { readonly id: number } & TopologyChange;

export interface PlanRequest {
  readonly id: number;
  readonly op: "plan";
  readonly change: TopologyChange;
}

export interface CancelRequest {
  readonly id: number;
  readonly op: "cancel";
  readonly operation: string;
}

/** `node_server --join`: a node asks to be added. Answered like `addnode`. */
export interface JoinRequest {
  readonly id: number;
  readonly op: "join";
  readonly node: NodeId;
  readonly address: string;
  readonly weight?: number;
}

export type CoordinatorRequest =
  | DataRequest
  | ClientBatchRequest
  | ScanRequest
  | WhereRequest
  | ViewRequest
  | ClientHelloRequest
  | TopologyRequest
  | PlanRequest
  | CancelRequest
  | JoinRequest
  | RepairRequest
  | FollowRequest
  | StepdownRequest;

// Answers.

export interface ErrorAnswer {
  readonly id: number | null;
  readonly status: "error";
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly outcome: Outcome;
  /** With NOT_LEADER: `host:port`, where known. */
  readonly leader?: string;
  /** With NOT_LEADER: where the leader serves REST, where known. */
  readonly leaderHttp?: string;
  /** With CONDITION_FAILED: the current version, absent when the key is. */
  readonly version?: string;
}

/** `new`: no node added yet. `waiting`: not enough voters answer. */
export type CoordinatorRole = "leader" | "standby" | "new" | "waiting";

export interface ClientHelloAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly protocol: number;
  readonly role: CoordinatorRole;
  readonly cluster: ClusterId | null;
  /** Epoch of the leader that this coordinator knows; 0 where none. */
  readonly epoch: number;
  readonly leader?: string;
  /** A leader: who else knows who leads. Addresses of voters and standbys. */
  readonly others?: readonly string[];
  /** Where this coordinator serves REST: `host:port`. */
  readonly http?: string;
  readonly valueBytesMax: number;
  /** The coordinator knows compact requests. */
  readonly compact?: boolean;
}

export interface ReplicaReport {
  readonly id: NodeId;
  /** `ok`, `pending`, or the code of a refusal. */
  readonly status: string;
}

export interface WriteAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly version: string;
  /** Only with `report`. */
  readonly replicas?: readonly ReplicaReport[];
  /** Deletes with `found` or `report`, at quorum and above: there was a value. */
  readonly found?: boolean;
}

export interface GetAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly value: WireValue;
  readonly version: string;
  /** Read at level one: may be stale. */
  readonly stale?: boolean;
}

export interface ScanAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly keys: readonly string[];
  readonly cursor?: string;
}

export interface WhereAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly key: string;
  readonly slot: number;
  readonly replicas: readonly {
    readonly id: NodeId;
    readonly address: string;
    /** `ok`, or the code of a refusal or failure. */
    readonly status: string;
    /** Absent where nothing was ever written. */
    readonly version?: string;
    readonly tombstone?: boolean;
    /** Hash of the value, 8 hexadecimal digits. */
    readonly digest?: string;
    readonly inStep?: boolean;
  }[];
}

export type NodeState = "up" | "suspect" | "down" | "joining" | "draining";

export interface NodeStatus {
  readonly id: NodeId;
  readonly address: string;
  readonly incarnation: Incarnation;
  readonly weight: number;
  readonly state: NodeState;
  readonly voter: boolean;
  readonly slots: number;
  /** Part of all placements, 0–1. */
  readonly share: number;
  /** Null while the node does not answer. */
  readonly keys: number | null;
  readonly bytes: number | null;
  readonly lastHeardMs: number | null;
  readonly eventLoopDelayMs: number | null;
  /** Slots in which it missed a write, as far as this leader knows. */
  readonly missed: number;
  /** Further slots that this leader has not compared yet. */
  readonly unchecked: number;
  /** Since when it may lack something; null while it is in step. */
  readonly behindMs: number | null;
}

export type OperationPhase = "queued" | "moving" | "waiting" | "cancelling" | "done" | "failed" | "cancelled";

export interface OperationStatus {
  readonly operation: string;
  readonly kind: OperationChange["op"];
  /** As typed: `addnode C 127.0.0.1:5003`. */
  readonly command: string;
  readonly phase: OperationPhase;
  readonly slotsMoved: number;
  readonly slotsTotal: number;
  readonly keysMoved: number;
  readonly keysTotal: number;
  readonly bytesMoved: number;
  readonly elapsedMs: number;
  /** Time that operations on a slot were held, over the slots moved so far. */
  readonly freezeMs?: { readonly p50: number; readonly p99: number; readonly max: number };
  /** While queued: operations that come first. */
  readonly ahead?: number;
  /** Why it waits, or what to know: `under-replicated: …`. */
  readonly notes?: readonly string[];
}

/** One line of a topology operation; the last has `done: true`, or is an ErrorAnswer. */
export interface ProgressAnswer extends OperationStatus {
  readonly id: number;
  readonly status: "ok";
  readonly done: boolean;
}

export interface StatusAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly role: CoordinatorRole;
  readonly cluster: ClusterId | null;
  readonly epoch: number;
  readonly ballot: string;
  readonly leader?: { readonly address: string; readonly sinceMs: number };
  readonly standbys: readonly string[];
  readonly voters: readonly { readonly id: string; readonly address: string; readonly answers: boolean }[];
  /** Where the state is kept, and whether that answers; absent where storage nodes vote. */
  readonly stateAt?: { readonly place: string; readonly answers: boolean };
  readonly rf: number;
  /** What rf comes to with the nodes there are. */
  readonly copies: number;
  readonly underReplicatedSlots: number;
  readonly nodes: readonly NodeStatus[];
  readonly operations: readonly OperationStatus[];
  /** With role `waiting`: which voters are missing. */
  readonly waitingFor?: readonly { readonly id: string; readonly address: string }[];
}

export interface StatsAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly nodes: number;
  readonly totalKeys: number;
  readonly averageKeys: number;
  readonly distinctKeys: number;
}

export interface RingAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly cluster: ClusterId;
  readonly seed: number;
  readonly ballot: string;
  readonly epoch: number;
  readonly rf: number;
  readonly members: readonly {
    readonly id: NodeId;
    readonly address: string;
    readonly incarnation: Incarnation;
    readonly weight: number;
  }[];
  /** 4096 lists of indices into `members`; the first is the preferred replica. */
  readonly slots: readonly (readonly number[])[];
}

export interface OperationMetrics {
  readonly operation: string;
  readonly level: Level | "-";
  readonly ok: number;
  readonly failed: number;
  readonly unknown: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface MetricsAnswer {
  readonly id: number;
  readonly status: "ok";
  /** Since this process began, whoever it led. */
  readonly operations: readonly OperationMetrics[];
  readonly epoch: number;
  readonly inFlight: number;
  readonly queued: number;
  readonly shed: number;
  readonly inDoubt: number;
  readonly fixes: number;
}

export interface PlanAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly command: string;
  readonly slots: number;
  readonly keys: number;
  readonly bytes: number;
  readonly copiesBefore: number;
  readonly copiesAfter: number;
  readonly nodes: readonly {
    readonly id: NodeId;
    readonly slotsBefore: number;
    readonly slotsAfter: number;
    readonly slotsIn: number;
    readonly slotsOut: number;
    readonly keysIn: number;
    readonly keysOut: number;
    readonly bytesIn: number;
    readonly bytesOut: number;
  }[];
  readonly notes: readonly string[];
}

export interface OpsAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly operations: readonly OperationStatus[];
}
