// Operations of a batch line on slots and registers: raise the stamps that are news (N6), then carry out one operation after the other.
// Assumes that the line is for this node, at its epoch (N1, N2: node.ts).
import { unreachable } from "../../shared/assert.ts";
import { KvError } from "../../shared/errors.ts";
import { BATCH_LINE_BYTES, EPOCH_JUMP_MAX } from "../../shared/limits.ts";
import type { BatchRequest, DataOp, OpResult, ReadOp, WriteOp } from "../../shared/protocol/node-messages.ts";
import { format, highest, ZERO, type Stamp } from "../../shared/version.ts";
import type { ControlRecord, Engine } from "../engine/engine.ts";
import type { Control } from "./control.ts";
import { changeSlots, install, purge, raises, remove, roles, staleSlot } from "./ownership.ts";
import { refuse } from "./refuse.ts";
import { type Horizon, readWeight, type Registers, type Settled } from "./register.ts";
import { digest, list } from "./transfer.ts";

/** Operations on single registers, as all of a compact line are. */
type RegisterOp = ReadOp | WriteOp;

/** So many registers are located together, rather than each by itself. */
const LOCATED_MIN = 4;

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

  /**
   * N6. Raises the stamps that are news.
   * @returns Position to wait for before the operations are looked at: what they touch is durable then.
   */
  raiseStamps(ops: readonly DataOp[]): number {
    this.#raiseNews(ops);
    // The usual case: no slot at all is changing.
    if (this.#control.slotsUntil <= this.#control.durable) return 0;
    let until = 0;
    for (const op of ops) {
      forEachSlot(op, (slot) => {
        const position = this.#control.slotUntil(slot);
        if (position > until) until = position;
      });
    }
    return until;
  }

  #raiseNews(ops: readonly DataOp[]): void {
    let raised: Map<number, Stamp> | undefined;
    const note = (slot: number, stamp: Stamp): void => {
      if (!raises(this.#control, slot, stamp)) return;
      raised ??= new Map();
      raised.set(slot, highest(stamp, raised.get(slot) ?? ZERO));
    };
    const onlySeals = this.#control.without.has("N6-raise");
    for (const op of ops) {
      // By far most of them.
      if ((op.op === "read" || op.op === "write") && this.#control.order(op.slot, op.stamp) <= 0) continue;
      if (!onlySeals || op.op === "seal") forEachStamp(op, note);
    }
    if (raised) this.#control.append(stampRecords(raised));
  }

  /**
   * Carries the operations of a line out.
   * @param horizon Extended to where the results may be told.
   * @returns Results of the first ones, at least one: of all, unless they read more than a line holds.
   */
  performAll({ form, ops }: BatchRequest, horizon: Horizon): OpResult[] {
    const places = form !== "ops" && ops.length >= LOCATED_MIN ? this.#engine.locate(ops as RegisterOp[]) : undefined;
    const results: OpResult[] = [];
    let bytes = 0;
    for (const op of ops) {
      const result = this.#perform(op, horizon, places?.[results.length]);
      if (op.op === "read") bytes += readWeight(result);
      if (bytes > BATCH_LINE_BYTES && results.length > 0) return results;
      results.push(result);
    }
    return results;
  }

  /** @param place Where the register is. */
  #perform(op: DataOp, horizon: Horizon, place: number | undefined): OpResult {
    switch (op.op) {
      case "read":
        return this.stale(op.slot, op.stamp) ?? this.#registers.read(op, place);
      case "write":
      case "copy":
        return this.stale(op.slot, op.stamp) ?? this.#registers.write(op, horizon, place);
      case "seal":
      case "incoming":
      case "copied":
      case "drop":
        return told(changeSlots(this.#control, op), horizon);
      case "install":
        return told(install(this.#control, op), horizon);
      case "remove":
        return this.stale(op.slot, op.stamp) ?? told(remove(this.#control, op), horizon);
      case "purge":
        return told(purge(this.#control, op), horizon);
      case "digest":
        return this.#staleAny(op.slots, op.stamps) ?? digest(this.#engine, this.#control, op);
      case "list":
        return this.#staleAny(op.slots, op.stamps) ?? list(this.#engine, this.#control, op);
      case "roles":
        if (!this.#control.without.has("N3")) horizon.extend(this.#control.appended);
        return roles(this.#control);
      case "pull":
        return refuse("BAD_REQUEST", "pull: must be the only operation of its line");
      default:
        return unreachable(op);
    }
  }

  /** The refusal of an operation whose stamp is older than the slot's (N6). */
  stale(slot: number, stamp: Stamp): OpResult | undefined {
    const control = this.#control;
    if (control.order(slot, stamp) >= 0 || control.without.has("N6")) return undefined;
    return staleSlot(slot, control.floor(slot));
  }

  #staleAny(slots: readonly number[], stamps: readonly Stamp[]): OpResult | undefined {
    for (const [index, slot] of slots.entries()) {
      const refusal = this.stale(slot, stamps[index] ?? ZERO);
      if (refusal) return refusal;
    }
    return undefined;
  }
}

function told<T>({ result, position }: Settled<T>, horizon: Horizon): T {
  horizon.extend(position);
  return result;
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
function stampRecords(raised: ReadonlyMap<number, Stamp>): ControlRecord[] {
  const byStamp = new Map<string, { type: "stamp"; slots: number[]; stamp: Stamp }>();
  for (const [slot, stamp] of raised) {
    const name = format(stamp);
    const record = byStamp.get(name);
    if (record) record.slots.push(slot);
    else byStamp.set(name, { type: "stamp", slots: [slot], stamp });
  }
  return [...byStamp.values()];
}
