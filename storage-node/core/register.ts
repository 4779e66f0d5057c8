// Registers (N4, N5): each key holds the record with the highest version it was ever given. A write is compared with what is
// durable or on its way to the disk; only what is durable is served. Membership (N7) is checked here, stamps (N6) before.
import type { Refusal, ReadOp, ReadResult, VersionResult, WriteOp } from "../../shared/protocol/node-messages.ts";
import { utf8Bytes, valueWeight, type StoredRecord } from "../../shared/record.ts";
import { compare, equal, format, ZERO, type Version } from "../../shared/version.ts";
import type { Engine } from "../engine/engine.ts";
import { NODE_PENDING_BYTES_MAX, NODE_PENDING_WRITES_MAX } from "../../shared/limits.ts";
import type { Control } from "./control.ts";
import { refuse } from "./refuse.ts";

interface Pending {
  readonly version: Version;
  readonly position: number;
}

interface Appended {
  readonly key: string;
  readonly position: number;
  readonly weight: number;
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
  /** Newest version on its way to the disk, by key (a key has one slot). */
  readonly #pending = new Map<string, Pending>();
  #appended: Appended[] = [];
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

  /** Stores a record; also what `pull` does with the entries it fetched. */
  write(op: WriteOp): Settled<{ status: "ok" } | Refusal> {
    const refusal = this.#membership(op);
    if (refusal) return { result: refusal, position: 0 };
    const pending = this.#pending.get(op.key);
    const current = pending?.version ?? this.#engine.version(op.slot, op.key) ?? ZERO;
    const order = compare(op.version, current);
    if (order <= 0) return { result: order === 0 ? OK : superseded(current), position: pending?.position ?? 0 };
    return this.#store(op);
  }

  #membership(op: WriteOp): Refusal | undefined {
    const { role, since } = this.#control.slot(op.slot);
    if (op.op === "write") return role === "member" ? undefined : notOwner(op.slot);
    return role === "incoming" && equal(since, op.stamp) ? undefined : notOwner(op.slot);
  }

  #store(op: WriteOp): Settled<{ status: "ok" } | Refusal> {
    const weight = RECORD_OVERHEAD_BYTES + op.key.length + valueWeight(op.value);
    if (this.pendingWrites >= NODE_PENDING_WRITES_MAX || this.#pendingBytes + weight > NODE_PENDING_BYTES_MAX) {
      return { result: refuse("OVERLOADED", "too many writes wait for the disk: send less at a time"), position: 0 };
    }
    if (!this.#engine.accepts(weight)) return { result: this.#noRoom(), position: 0 };
    const record: StoredRecord = {
      version: op.version,
      origin: op.origin ?? op.version,
      value: op.value,
      operation: op.operation ?? "",
    };
    const position = this.#control.append([{ type: "write", slot: op.slot, key: op.key, record }]);
    this.#pending.set(op.key, { version: op.version, position });
    this.#appended.push({ key: op.key, position, weight });
    this.#pendingBytes += weight;
    return { result: OK, position: this.#control.without.has("N4") ? 0 : position };
  }

  #noRoom(): Refusal {
    if (this.#engine.diskFull)
      return refuse("DISK_FULL", "no space left on the node's disk: free some, it recovers by itself");
    return refuse("OVERLOADED", "the disk does not keep up with the writes: send less at a time");
  }

  /** Forgets what became durable. */
  reached(position: number): void {
    for (let head = this.#appended[this.#appendedHead]; head && head.position <= position;) {
      if (this.#pending.get(head.key)?.position === head.position) this.#pending.delete(head.key);
      this.#pendingBytes -= head.weight;
      head = this.#appended[++this.#appendedHead];
    }
    if (this.#appendedHead > 1024 && this.#appendedHead * 2 > this.#appended.length) {
      this.#appended = this.#appended.slice(this.#appendedHead);
      this.#appendedHead = 0;
    }
  }
}

const OK = { status: "ok" } as const;

const ABSENT: ReadResult = { status: "ok", version: ZERO, value: null };

/** A record as an answer; ABSENT where nothing was ever written. */
export function asResult(record: StoredRecord | undefined): ReadResult {
  if (!record) return ABSENT;
  return {
    status: "ok",
    version: record.version,
    ...(!equal(record.origin, record.version) && { origin: record.origin }),
    value: record.value,
    ...(record.operation !== "" && { operation: record.operation }),
  };
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
