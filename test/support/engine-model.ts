// A plain model of an engine's registers, and random records for it: what any prefix of a history must look like.
import { expect } from "vitest";
import { compareKeys } from "../../shared/key-order.ts";
import { compare } from "../../shared/version.ts";
import type { StoredRecord } from "../../shared/record.ts";
import type { Incarnation } from "../../shared/ids.ts";
import { applyControl, blankControlState, slotState } from "../../storage-node/engine/control-state.ts";
import type { ControlState, Engine, LogRecord } from "../../storage-node/engine/engine.ts";
import { listAll, recount } from "../contract/engine.ts";

export const MODEL_SLOTS = [0, 77, 4095];

/** Registers and control state after a row of records. */
export class EngineModel {
  readonly control: ControlState = blankControlState("i" as Incarnation);
  readonly #slots = new Map<number, Map<string, StoredRecord>>();

  static of(records: readonly LogRecord[]): EngineModel {
    const model = new EngineModel();
    for (const record of records) model.apply(record);
    return model;
  }

  registers(slot: number): Map<string, StoredRecord> {
    let registers = this.#slots.get(slot);
    if (!registers) this.#slots.set(slot, (registers = new Map()));
    return registers;
  }

  apply(record: LogRecord): void {
    if (record.type === "write") this.registers(record.slot).set(record.key, record.record);
    else if (record.type === "remove") for (const key of record.keys) this.registers(record.slot).delete(key);
    else if (record.type === "purge") this.#purge(record.slot, record.upTo);
    else if (record.type === "role" && record.wipe) for (const slot of record.slots) this.#slots.delete(slot);
    applyControl(this.control, record);
  }

  #purge(slot: number, upTo: readonly [number, number]): void {
    const registers = this.registers(slot);
    for (const [key, { value, version }] of registers) {
      if (value === null && compare(version, upTo) <= 0) registers.delete(key);
    }
  }

  /** Fails unless an engine shows exactly this. `recovered`: the control state was just recovered, and is compared too. */
  matches(
    engine: Engine,
    where: string,
    options: { readonly recovered: boolean; readonly slots?: readonly number[] },
  ): void {
    for (const slot of options.slots ?? MODEL_SLOTS) {
      const registers = [...this.registers(slot)].map(([key, record]) => ({ key, record }));
      registers.sort((a, b) => compareKeys(a.key, b.key));
      expect(listAll(engine, slot, 50), where).toEqual(registers);
      expect(engine.summary(slot), where).toEqual(recount(registers, slotState(this.control, slot).purged));
      for (const { key, record } of registers) expect(engine.read(slot, key), where).toEqual(record);
    }
    if (!options.recovered) return;
    expect(engine.recovered.fence, where).toBe(this.control.fence);
    expect(engine.recovered.voter, where).toEqual(this.control.voter);
    expect(engine.recovered.slots, where).toEqual(this.control.slots);
  }
}

/** The n-th record of a random history. */
export function randomRecord(random: () => number, n: number): LogRecord {
  const pick = (count: number): number => Math.floor(random() * count);
  const slot = MODEL_SLOTS[pick(MODEL_SLOTS.length)] ?? 0;
  const roll = random();
  if (roll < 0.005) return { type: "role", slots: [slot], role: "incoming", stamp: [1, n], wipe: true };
  if (roll < 0.01) return { type: "stamp", slots: [slot], stamp: [1, n] };
  if (roll < 0.02) return { type: "fence", group: 0, epoch: n };
  if (roll < 0.03) return { type: "remove", slot, keys: [`key ${pick(40)}`, `key ${pick(40)}`] };
  if (roll < 0.04) return { type: "purge", slot, upTo: [1, Math.max(0, n - pick(100))] };
  if (roll < 0.045) return { type: "accept", ballot: [1, n], state: `state ${n}` };
  const value =
    pick(5) === 0
      ? null
      : pick(50) === 0
        ? { base64: Buffer.alloc(3000, n).toString("base64") }
        : `value ${n} `.repeat(pick(8));
  const record: StoredRecord = { version: [1, n], origin: [1, n], value, operation: pick(2) ? `operation ${n}` : "" };
  return { type: "write", slot, key: `key ${pick(40)}`, record };
}
