// Link: everything the coordinator says to one storage node, and who waits for the answers. Two connections: `data` carries lines
// of operations on slots, in order; `control` carries votes, hellos and pings, so that they never wait behind a megabyte of
// values. Operations enqueued in one turn leave in one `batch` line for reads and one for writes (a read does not wait for a
// sync), cut at a bounded size. Pure: lines leave as effects; the edge dials, and reports up, down and lines.
import type { ErrorCode } from "../../shared/errors.ts";
import type { ClusterId, Incarnation, NodeId } from "../../shared/ids.ts";
import { BATCH_LINE_BYTES, BATCH_OPS_MAX } from "../../shared/limits.ts";
import { FOUND_FIELDS, foundAt } from "../../shared/protocol/compact.ts";
import type { DataOp, OpResult, ReadOp, Refusal } from "../../shared/protocol/node-messages.ts";
import { valueWeight } from "../../shared/record.ts";
import { Future } from "../../shared/script.ts";
import { TransientMap } from "../../shared/transient-map.ts";
import type { Timers } from "../../shared/timers.ts";

export const CHANNELS = ["data", "control"] as const;
export type Channel = (typeof CHANNELS)[number];

/** Who a batch line is for and who sends it (N1, N2). */
export interface Envelope {
  readonly cluster: ClusterId;
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly epoch: number;
}

export type Answer = Readonly<Record<string, unknown>>;

/** Waits for the result of one operation. Called once, possibly much later. */
export interface OpListener {
  settled(node: NodeId, result: OpResult): void;
}

/** Waits to hear whether a node is still at this leader's epoch. Called once, possibly much later. */
export interface EpochListener {
  /** @param refusal Undefined where it is. */
  epochTold(refusal: Refusal | undefined): void;
  /** The question leaves. */
  epochAsked?(): void;
}

/** Operations that leave together, and at the same places who waits for them: an object for each pair would be one more an operation. */
class Operations {
  readonly ops: DataOp[];
  readonly listeners: OpListener[];
  /** Who hears whether the line was taken at all. */
  readonly epochListeners: EpochListener[];

  constructor(ops: DataOp[] = [], listeners: OpListener[] = [], epochListeners: EpochListener[] = []) {
    this.ops = ops;
    this.listeners = listeners;
    this.epochListeners = epochListeners;
  }

  get empty(): boolean {
    return this.ops.length === 0 && this.epochListeners.length === 0;
  }

  add(op: DataOp, listener: OpListener): void {
    this.ops.push(op);
    this.listeners.push(listener);
  }

  slice(start: number, end?: number): Operations {
    const epochListeners = start === 0 ? this.epochListeners : []; // once
    return new Operations(this.ops.slice(start, end), this.listeners.slice(start, end), epochListeners);
  }
}

type Waiter =
  | { readonly type: "call"; readonly channel: Channel; readonly future: Future<Answer> }
  | {
      readonly type: "ops";
      readonly channel: Channel;
      readonly node: NodeId;
      readonly operations: Operations;
    };

/** Lines unanswered by one node, beyond which it counts as not reachable: a stopped process must not eat our memory. */
const LINES_UNANSWERED_MAX = 8_192;

/** Of who waits for lines: whatever they lead to would outlive its time with them. */
const LINES_A_TURN_OVER = 64;

/** Text around the fields of one operation in a line. */
const OP_OVERHEAD_BYTES = 160;

export interface LinkHost {
  readonly timers: Timers;
  send(link: Link, channel: Channel, message: object): void;
}

export class Link {
  readonly address: string;
  readonly #host: LinkHost;
  readonly #up: Record<Channel, boolean> = { data: false, control: false };
  readonly #waiters = new TransientMap<number, Waiter>(LINES_A_TURN_OVER);
  #nextId = 1;
  #envelope: Envelope | undefined;
  #reads = new Operations();
  #writes = new Operations();
  /** Since when the data connection is in its present state, by the core's clock. */
  changedAt: number;
  /** When anything was last heard on either connection. */
  heardAt: number | undefined;
  /** Data operations queued for this node since it was first known, for operators. */
  readonly sent = { reads: 0, writes: 0 };

  constructor(address: string, host: LinkHost) {
    this.address = address;
    this.#host = host;
    this.changedAt = host.timers.now;
  }

  /** Whether data operations can be sent. */
  get up(): boolean {
    return this.#up.data && this.#envelope !== undefined && this.#waiters.size < LINES_UNANSWERED_MAX;
  }

  isUp(channel: Channel): boolean {
    return this.#up[channel];
  }

  /** From now on data operations go to this node at this epoch. */
  direct(envelope: Envelope | undefined): void {
    this.#flushLines();
    this.#envelope = envelope;
  }

  get envelope(): Envelope | undefined {
    return this.#envelope;
  }

  connected(channel: Channel): void {
    this.#up[channel] = true;
    if (channel === "data") this.changedAt = this.#host.timers.now;
    this.heardAt = this.#host.timers.now;
  }

  /** What was sent may have been carried out; what was only queued was not. */
  disconnected(channel: Channel): void {
    this.#up[channel] = false;
    if (channel === "data") {
      this.changedAt = this.#host.timers.now;
      this.#refuseQueued();
    }
    const lost = [...this.#waiters.entries()].filter(([, waiter]) => waiter.channel === channel);
    for (const [id] of lost) this.#waiters.delete(id);
    for (const [, waiter] of lost) settleWith(waiter, failure("LOST", `the connection to ${this.address} closed`));
  }

  /** Queues a data operation for the end of this turn. A node that is not connected refuses it at once (nothing sent). */
  enqueue(op: DataOp, listener: OpListener): void {
    const node = this.#envelope?.node;
    if (!this.up || node === undefined) {
      const missing = node ?? ("?" as NodeId);
      listener.settled(missing, failure("NODE_UNREACHABLE", `no connection to ${this.address}`));
      return;
    }
    if (op.op === "read") this.sent.reads++;
    else this.sent.writes++;
    (op.op === "read" ? this.#reads : this.#writes).add(op, listener);
  }

  /** Asks, with the reads of this turn or in a line without any, whether the node is still at this epoch (N2). */
  confirmEpoch(listener: EpochListener): void {
    if (this.up) this.#reads.epochListeners.push(listener);
    else listener.epochTold(failure("NODE_UNREACHABLE", `no connection to ${this.address}`));
  }

  /** One data operation in a line of its own, its result as a future. LOST after `timeoutMs`. */
  ask(op: DataOp, timeoutMs: number): Future<OpResult> {
    const future = new Future<OpResult>();
    if (!this.up || !this.#envelope) {
      future.resolve(failure("NODE_UNREACHABLE", `no connection to ${this.address}`));
      return future;
    }
    this.#flushLines();
    this.#sendOps(new Operations([op], [{ settled: (_node, result) => future.resolve(result) }]));
    const timer = this.#host.timers.after(timeoutMs, () => {
      future.resolve(failure("LOST", `${this.address} did not answer within ${timeoutMs} ms`));
    });
    future.whenDone(() => timer.cancel());
    return future;
  }

  /** A message of its own; its answer, or a failure, arrives in the future. */
  call(
    channel: Channel,
    message: { readonly op: string; readonly [field: string]: unknown },
    timeoutMs: number,
  ): Future<Answer> {
    const future = new Future<Answer>();
    if (!this.#up[channel]) {
      future.resolve(failure("NODE_UNREACHABLE", `no connection to ${this.address}`));
      return future;
    }
    const id = this.#nextId++;
    this.#waiters.set(id, { type: "call", channel, future });
    this.#host.send(this, channel, { id, ...message });
    const timer = this.#host.timers.after(timeoutMs, () => {
      this.#waiters.delete(id);
      future.resolve(failure("LOST", `${this.address} did not answer within ${timeoutMs} ms`));
    });
    future.whenDone(() => timer.cancel());
    return future;
  }

  /** A line from the node. Answers nobody waits for any more are dropped. */
  received(message: Answer): void {
    this.heardAt = this.#host.timers.now;
    const id = message["id"];
    const waiter = typeof id === "number" ? this.#waiters.get(id) : undefined;
    if (!waiter || typeof id !== "number") return;
    this.#waiters.delete(id);
    const left = settleWith(waiter, message);
    if (left) this.#sendRest(left);
  }

  /** What a node read of was more than a line holds: the operations that it did not come to. */
  #sendRest(operations: Operations): void {
    if (this.up) this.#sendOps(operations);
    else refuseAll(operations, this.#envelope?.node, this.address);
  }

  /** End of turn: what was enqueued leaves. */
  flush(): void {
    if (!this.#reads.empty || !this.#writes.empty) this.#flushLines();
  }

  #flushLines(): void {
    const { reads, writes } = this.#takeQueued();
    this.#sendCut(writes);
    this.#sendCut(reads);
  }

  #takeQueued(): { readonly reads: Operations; readonly writes: Operations } {
    const queued = { reads: this.#reads, writes: this.#writes };
    if (!queued.reads.empty) this.#reads = new Operations();
    if (!queued.writes.empty) this.#writes = new Operations();
    for (const listener of queued.reads.epochListeners) listener.epochAsked?.();
    return queued;
  }

  #sendCut(operations: Operations): void {
    const { ops } = operations;
    let start = 0;
    let bytes = 0;
    for (let index = 0; index < ops.length; index++) {
      const weight = opWeight(ops[index] as DataOp);
      const full = index > start && (bytes + weight > BATCH_LINE_BYTES || index - start >= BATCH_OPS_MAX);
      if (full) {
        this.#sendOps(operations.slice(start, index));
        start = index;
        bytes = 0;
      }
      bytes += weight;
    }
    if (start > 0) this.#sendOps(operations.slice(start));
    else if (!operations.empty) this.#sendOps(operations);
  }

  #sendOps(operations: Operations): void {
    const envelope = this.#envelope;
    if (!envelope) return;
    const id = this.#nextId++;
    this.#waiters.set(id, { type: "ops", channel: "data", node: envelope.node, operations });
    this.#host.send(this, "data", { id, op: "batch", group: 0, ...envelope, ops: operations.ops });
  }

  #refuseQueued(): void {
    const { reads, writes } = this.#takeQueued();
    for (const operations of [reads, writes]) refuseAll(operations, this.#envelope?.node, this.address);
  }
}

/** Operations that were not sent. */
function refuseAll({ listeners, epochListeners }: Operations, node: NodeId | undefined, address: string): void {
  const refusal = failure("NODE_UNREACHABLE", `no connection to ${address}`);
  for (const listener of listeners) listener.settled(node ?? ("?" as NodeId), refusal);
  for (const listener of epochListeners) listener.epochTold(refusal);
}

/** Tells who waits. Returns the operations that the answer has no result of. */
function settleWith(waiter: Waiter, message: Answer): Operations | undefined {
  if (waiter.type === "call") {
    waiter.future.resolve(message);
    return undefined;
  }
  const { node, operations } = waiter;
  const { ops, listeners, epochListeners } = operations;
  const results = message["status"] === "ok" ? resultsIn(message, ops) : undefined;
  // Each answer has one result at least: asking for the rest comes to an end.
  const missing =
    results?.length === 0 && ops.length > 0 ? failure("LOST", "the node answered without a result") : undefined;
  const told = results && !missing ? Math.min(results.length, listeners.length) : listeners.length;
  // A refusal of the whole line, or its one ok, is that of each operation in it.
  for (let index = 0; index < told; index++)
    listeners[index]?.settled(node, results?.[index] ?? missing ?? (message as unknown as Refusal));
  const refusal = message["status"] === "ok" ? undefined : (message as unknown as Refusal);
  for (const listener of epochListeners) listener.epochTold(refusal);
  return told < listeners.length ? operations.slice(told) : undefined;
}

/** Undefined where the line says no more than that all is well. */
function resultsIn({ found, results }: Answer, ops: readonly DataOp[]): readonly OpResult[] | undefined {
  if (!Array.isArray(found)) return results as readonly OpResult[] | undefined;
  const count = Math.min(found.length / FOUND_FIELDS, ops.length);
  return ops.slice(0, count).map((op, index) => foundAt(found, index, (op as ReadOp).brief === true));
}

/** A failure of the transport, in the form of a refusal. */
export function failure(code: ErrorCode, message: string): Refusal {
  return { status: "error", code, message };
}

function opWeight(op: DataOp): number {
  if (op.op === "write" || op.op === "copy") return OP_OVERHEAD_BYTES + op.key.length + valueWeight(op.value);
  return op.op === "read" ? OP_OVERHEAD_BYTES + op.key.length : BATCH_LINE_BYTES;
}
