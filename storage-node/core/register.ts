// Registers (N4, N5): each key holds the record with the highest version it was ever given. A write is compared with what is
// durable or on its way to the disk; only what is durable is served. Membership (N7) is checked here, stamps (N6) before.
import type { Mutable } from "../../shared/protocol/fields.ts";
import type {
  OpResult,
  Refusal,
  ReadOp,
  ReadResult,
  VersionResult,
  WriteOp,
} from "../../shared/protocol/node-messages.ts";
import { utf8Bytes, valueWeight, type StoredRecord } from "../../shared/record.ts";
import { slotOf } from "../../shared/slot.ts";
import { compare, equal, format, ZERO, type Version } from "../../shared/version.ts";
import type { Engine } from "../engine/engine.ts";
import { NODE_PENDING_BYTES_MAX, NODE_PENDING_WRITES_MAX } from "../../shared/limits.ts";
import type { Control } from "./control.ts";
import { PendingWrites, RECORD_OVERHEAD_BYTES, weightOf, type PendingWrite } from "./pending-writes.ts";
import { refuse } from "./refuse.ts";

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

export class Registers {
  readonly #engine: Engine;
  readonly #control: Control;
  readonly #pending = new PendingWrites();

  constructor(engine: Engine, control: Control) {
    this.#engine = engine;
    this.#control = control;
  }

  /** Writes appended and not yet durable. */
  get pendingWrites(): number {
    return this.#pending.count;
  }

  /** @param place Where the register is, if known. */
  read(op: ReadOp, place?: number): ReadResult | VersionResult | Refusal {
    if (!this.#control.isMember(op.slot)) return notOwner(op.slot);
    if (op.brief === true) {
      const version = this.#engine.version(op.slot, op.key, place);
      return version ? { status: "ok", version } : (this.#misplaced(op) ?? { status: "ok", version: ZERO });
    }
    const record = this.#engine.read(op.slot, op.key, place);
    return record ? asResult(record) : (this.#misplaced(op) ?? ABSENT);
  }

  /**
   * Stores a record; also what `pull` does with the entries it fetched.
   * @param horizon Extended to where the result may be told.
   * @param located Where the register is, if known.
   */
  write(op: WriteOp, horizon: Horizon, located?: number): { readonly status: "ok" } | Refusal {
    const refusal = this.#membership(op);
    if (refusal) return refusal;
    const pending = this.#pending.find(op.key);
    const isPending = pending?.slot === op.slot;
    const found = isPending ? pending.record.version : this.#engine.version(op.slot, op.key, located, op.version);
    const place = isPending ? pending.place : this.#engine.place;
    const misplaced = found ? undefined : this.#misplaced(op);
    if (misplaced) return misplaced;
    const current = found ?? ZERO;
    const order = compare(op.version, current);
    if (order > 0 || (order < 0 && this.#control.without.has("N4"))) return this.#store(op, place, horizon);
    if (pending) horizon.extend(pending.position);
    return order === 0 ? OK : superseded(current);
  }

  #membership(op: WriteOp): Refusal | undefined {
    if (op.op === "write") return this.#control.isMember(op.slot) ? undefined : notOwner(op.slot);
    const { role, since } = this.#control.slot(op.slot);
    return role === "incoming" && equal(since, op.stamp) ? undefined : notOwner(op.slot);
  }

  /**
   * A key in the wrong slot would live twice: our own bug, refused before it does harm. A key that is there already was in the right one
   * when it came, so that only new ones are looked at.
   */
  #misplaced({ slot, key }: { readonly slot: number; readonly key: string }): Refusal | undefined {
    const right = slotOf(key, this.#control.state.identity.seed ?? 0);
    return right === slot ? undefined : refuse("BAD_REQUEST", `slot: the key belongs to slot ${right}, not ${slot}`);
  }

  #store(op: WriteOp, place: number, horizon: Horizon): { readonly status: "ok" } | Refusal {
    const { slot, key, version, value } = op;
    const weight = weightOf(key, value);
    const { count, bytes } = this.#pending;
    if (count >= NODE_PENDING_WRITES_MAX || bytes + weight > NODE_PENDING_BYTES_MAX)
      return refuse("OVERLOADED", "too many writes wait for the disk: send less at a time");
    if (!this.#engine.accepts(weight)) return this.#noRoom();
    const record: StoredRecord = { version, origin: op.origin ?? version, value, operation: op.operation ?? "" };
    const pending: PendingWrite = { type: "write", slot, key, record, place, position: 0 };
    pending.position = this.#control.write(pending);
    this.#pending.add(pending);
    if (!this.#control.without.has("N4-durable")) horizon.extend(pending.position);
    return OK;
  }

  #noRoom(): Refusal {
    if (this.#engine.diskFull)
      return refuse("DISK_FULL", "no space left on the node's disk: free some, it recovers by itself");
    return refuse("OVERLOADED", "the disk does not keep up with the writes: send less at a time");
  }

  /** Forgets what became durable. */
  reached(position: number): void {
    this.#pending.reached(position);
  }
}

/** A write that is stored, or was. */
export const OK = { status: "ok" } as const;

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

/** What the result of a read adds to a line, roughly in bytes. */
export function readWeight(result: OpResult): number {
  return RECORD_OVERHEAD_BYTES + ("value" in result ? valueWeight((result as ReadResult).value) : 0);
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
