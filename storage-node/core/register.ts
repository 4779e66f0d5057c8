// Registers (N4, N5): each key holds the record with the highest version it was ever given. A write is compared with what is
// durable or on its way to the disk; only what is durable is served. Membership (N7) is checked here, stamps (N6) before.
import type { Mutable } from "../../shared/protocol/fields.ts";
import type { Refusal, ReadOp, ReadResult, VersionResult, WriteOp } from "../../shared/protocol/node-messages.ts";
import { utf8Bytes, valueWeight, type StoredRecord } from "../../shared/record.ts";
import { compare, equal, format, ZERO, type Version } from "../../shared/version.ts";
import type { Engine, WriteRecord } from "../engine/engine.ts";
import { NODE_PENDING_BYTES_MAX, NODE_PENDING_WRITES_MAX } from "../../shared/limits.ts";
import type { Control } from "./control.ts";
import { refuse } from "./refuse.ts";

/** A write on its way to the disk: what the log was given is also what later writes of the key are compared with. */
interface Pending extends WriteRecord {
  /** Log position at which it is durable. */
  position: number;
  /** A newer write of the key is on its way, too. */
  replaced: boolean;
}

/** Log position at which results may be told: that of the latest write which they rest on. */
export class Horizon {
  #position = 0;

  get position(): number {
    return this.#position;
  }

  extend(position: number): void {
    if (position > this.#position) this.#position = position;
  }
}

/** Result of one operation, and the log position at which it may be told. */
export interface Settled<T> {
  readonly result: T;
  readonly position: number;
}

/** What a record adds to the log beside key and value. */
const RECORD_OVERHEAD_BYTES = 64;

export class Registers {
  readonly #engine: Engine;
  readonly #control: Control;
  /** Newest write on its way to the disk, by key (a key has one slot). */
  readonly #pending = new Map<string, Pending>();
  #appended: Pending[] = [];
  #appendedHead = 0;
  #pendingBytes = 0;

  constructor(engine: Engine, control: Control) {
    this.#engine = engine;
    this.#control = control;
  }

  /** Writes appended and not yet durable. */
  get pendingWrites(): number {
    return this.#appended.length - this.#appendedHead;
  }

  read(op: ReadOp): ReadResult | VersionResult | Refusal {
    if (this.#control.slot(op.slot).role !== "member") return notOwner(op.slot);
    if (op.brief === true) return { status: "ok", version: this.#engine.version(op.slot, op.key) ?? ZERO };
    return asResult(this.#engine.read(op.slot, op.key));
  }

  /**
   * Stores a record; also what `pull` does with the entries it fetched.
   * @param horizon Extended to where the result may be told.
   */
  write(op: WriteOp, horizon: Horizon): { readonly status: "ok" } | Refusal {
    const refusal = this.#membership(op);
    if (refusal) return refusal;
    const pending = this.#pending.get(op.key);
    const current = pending?.record.version ?? this.#engine.version(op.slot, op.key) ?? ZERO;
    const order = compare(op.version, current);
    if (order > 0) return this.#store(op, pending, horizon);
    if (pending) horizon.extend(pending.position);
    return order === 0 ? OK : superseded(current);
  }

  #membership(op: WriteOp): Refusal | undefined {
    const { role, since } = this.#control.slot(op.slot);
    if (op.op === "write") return role === "member" ? undefined : notOwner(op.slot);
    return role === "incoming" && equal(since, op.stamp) ? undefined : notOwner(op.slot);
  }

  #store(op: WriteOp, older: Pending | undefined, horizon: Horizon): { readonly status: "ok" } | Refusal {
    const { slot, key, version, value } = op;
    const weight = weightOf(key, value);
    if (this.pendingWrites >= NODE_PENDING_WRITES_MAX || this.#pendingBytes + weight > NODE_PENDING_BYTES_MAX)
      return refuse("OVERLOADED", "too many writes wait for the disk: send less at a time");
    if (!this.#engine.accepts(weight)) return this.#noRoom();
    const record: StoredRecord = { version, origin: op.origin ?? version, value, operation: op.operation ?? "" };
    const pending: Pending = { type: "write", slot, key, record, position: 0, replaced: false };
    pending.position = this.#control.write(pending);
    if (older) older.replaced = true;
    this.#pending.set(key, pending);
    this.#appended.push(pending);
    this.#pendingBytes += weight;
    if (!this.#control.without.has("N4")) horizon.extend(pending.position);
    return OK;
  }

  #noRoom(): Refusal {
    if (this.#engine.diskFull)
      return refuse("DISK_FULL", "no space left on the node's disk: free some, it recovers by itself");
    return refuse("OVERLOADED", "the disk does not keep up with the writes: send less at a time");
  }

  /** Forgets what became durable. */
  reached(position: number): void {
    for (let head = this.#appended[this.#appendedHead]; head && head.position <= position;) {
      if (!head.replaced) this.#pending.delete(head.key);
      this.#pendingBytes -= weightOf(head.key, head.record.value);
      head = this.#appended[++this.#appendedHead];
    }
    if (this.#appendedHead === this.#appended.length) {
      this.#appended = [];
      this.#appendedHead = 0;
    } else if (this.#appendedHead > 1024 && this.#appendedHead * 2 > this.#appended.length) {
      this.#appended = this.#appended.slice(this.#appendedHead);
      this.#appendedHead = 0;
    }
  }
}

/** What a write counts for while it waits, roughly in bytes. */
function weightOf(key: string, value: StoredRecord["value"]): number {
  return RECORD_OVERHEAD_BYTES + key.length + valueWeight(value);
}

const OK = { status: "ok" } as const;

const ABSENT: ReadResult = { status: "ok", version: ZERO, value: null };

/** A record as an answer; ABSENT where nothing was ever written. */
export function asResult(record: StoredRecord | undefined): ReadResult {
  if (!record) return ABSENT;
  const { version, origin, value, operation } = record;
  const result: Mutable<ReadResult> = equal(origin, version)
    ? { status: "ok", version, value }
    : { status: "ok", version, origin, value };
  if (operation !== "") result.operation = operation;
  return result;
}

/** Bytes that a record adds to a page or a line, roughly. */
export function recordBytes(key: string, record: StoredRecord): number {
  return RECORD_OVERHEAD_BYTES + utf8Bytes(key) + valueWeight(record.value);
}

export function notOwner(slot: number): Refusal {
  return refuse("NOT_OWNER", `this node is no member of slot ${slot}`);
}

function superseded(current: Version): Refusal {
  return refuse("SUPERSEDED", `the register holds version ${format(current)}`, { current });
}
