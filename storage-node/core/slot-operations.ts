// Operations of a batch line on slots and registers: raise the stamps that are news (N6), then carry out one operation after the other.
// Assumes that the line is for this node, at its epoch (N1, N2: node.ts).
import { unreachable } from "../../shared/assert.ts";
import { KvError } from "../../shared/errors.ts";
import { EPOCH_JUMP_MAX } from "../../shared/limits.ts";
import type { DataOp, OpResult } from "../../shared/protocol/node-messages.ts";
import { slotOf } from "../../shared/slot.ts";
import { compare, format, highest, ZERO, type Stamp } from "../../shared/version.ts";
import type { Engine, LogRecord } from "../engine/engine.ts";
import type { Control } from "./control.ts";
import { changeSlots, install, purge, raises, remove, roles, staleSlot } from "./ownership.ts";
import { refuse } from "./refuse.ts";
import type { Registers, Settled } from "./register.ts";
import { digest, list } from "./transfer.ts";

export class SlotOperations {
  readonly #engine: Engine;
  readonly #control: Control;
  readonly #registers: Registers;

  constructor(engine: Engine, control: Control, registers: Registers) {
    this.#engine = engine;
    this.#control = control;
    this.#registers = registers;
  }

  /** N2. Returns the position at which the fence is durable. */
  raiseFence(epoch: number): number {
    const { fence } = this.#control.state;
    if (epoch > fence + EPOCH_JUMP_MAX) {
      throw new KvError("BAD_REQUEST", `epoch: ${epoch} is more than ${EPOCH_JUMP_MAX} above the fence ${fence}`);
    }
    if (epoch > fence) this.#control.append([{ type: "fence", group: 0, epoch }]);
    return this.#control.groupUntil;
  }

  /** N6. Raises the stamps that are news; returns the position at which all that the operations touch is durable. */
  raiseStamps(ops: readonly DataOp[]): number {
    const raised = new Map<number, Stamp>();
    for (const op of ops) {
      if (this.#control.without.has("N6") && op.op !== "seal") continue;
      forEachStamp(op, (slot, stamp) => {
        if (raises(this.#control, slot, stamp)) raised.set(slot, highest(stamp, raised.get(slot) ?? ZERO));
      });
    }
    if (raised.size > 0) this.#control.append(stampRecords(raised));
    let until = 0;
    for (const op of ops) {
      forEachSlot(op, (slot) => {
        const position = this.#control.slotUntil(slot);
        if (position > until) until = position;
      });
    }
    return until;
  }

  /** Carries one operation out; its result may be told at `position`. */
  perform(op: DataOp): Settled<OpResult> {
    switch (op.op) {
      case "read":
        return now(this.stale(op.slot, op.stamp) ?? this.#misplaced(op) ?? this.#registers.read(op));
      case "write":
      case "copy": {
        const refusal = this.stale(op.slot, op.stamp) ?? this.#misplaced(op);
        return refusal ? now(refusal) : this.#registers.write(op);
      }
      case "seal":
      case "incoming":
      case "copied":
      case "drop":
        return changeSlots(this.#control, op);
      case "install":
        return install(this.#control, op);
      case "remove": {
        const refusal = this.stale(op.slot, op.stamp);
        return refusal ? now(refusal) : remove(this.#control, op);
      }
      case "purge":
        return purge(this.#control, op);
      case "digest":
        return now(this.#staleAny(op.slots, op.stamps) ?? digest(this.#engine, this.#control, op));
      case "list":
        return now(this.#staleAny(op.slots, op.stamps) ?? list(this.#engine, this.#control, op));
      case "roles":
        return { result: roles(this.#control), position: this.#control.appended };
      case "pull":
        return now(refuse("BAD_REQUEST", "pull: must be the only operation of its line"));
      default:
        return unreachable(op);
    }
  }

  /** The refusal of an operation whose stamp is older than the slot's (N6). */
  stale(slot: number, stamp: Stamp): OpResult | undefined {
    const floor = this.#control.floor(slot);
    return compare(stamp, floor) < 0 ? staleSlot(slot, floor) : undefined;
  }

  #staleAny(slots: readonly number[], stamps: readonly Stamp[]): OpResult | undefined {
    for (const [index, slot] of slots.entries()) {
      const refusal = this.stale(slot, stamps[index] ?? ZERO);
      if (refusal) return refusal;
    }
    return undefined;
  }

  /** A key in the wrong slot would live twice: our own bug, refused before it does harm. */
  #misplaced(op: { readonly slot: number; readonly key: string }): OpResult | undefined {
    const slot = slotOf(op.key, this.#control.state.identity.seed ?? 0);
    return slot === op.slot
      ? undefined
      : refuse("BAD_REQUEST", `slot: the key belongs to slot ${slot}, not ${op.slot}`);
  }
}

function now<T>(result: T): Settled<T> {
  return { result, position: 0 };
}

/** Operations whose stamp raises the slot's by itself; the steps of a re-seating do it with the role (N7). */
function forEachStamp(op: DataOp, visit: (slot: number, stamp: Stamp) => void): void {
  if (op.op === "read" || op.op === "write" || op.op === "copy" || op.op === "remove") visit(op.slot, op.stamp);
  else if (op.op === "seal") for (const slot of op.slots) visit(slot, op.stamp);
  else if (op.op === "digest" || op.op === "list")
    op.slots.forEach((slot, index) => visit(slot, op.stamps[index] ?? ZERO));
}

function forEachSlot(op: DataOp, visit: (slot: number) => void): void {
  if (op.op === "roles") return;
  if ("slot" in op) visit(op.slot);
  else for (const slot of op.slots) visit(slot);
}

/** One record for all slots that rise to the same stamp. */
function stampRecords(raised: ReadonlyMap<number, Stamp>): LogRecord[] {
  const byStamp = new Map<string, { type: "stamp"; slots: number[]; stamp: Stamp }>();
  for (const [slot, stamp] of raised) {
    const name = format(stamp);
    const record = byStamp.get(name);
    if (record) record.slots.push(slot);
    else byStamp.set(name, { type: "stamp", slots: [slot], stamp });
  }
  return [...byStamp.values()];
}
