// Control state of a node as a fold over its log: identity, fence, votes, and the membership of every slot. Used by recovery,
// by checkpoints and by the node's own working copy, so that all three agree.
import { unreachable } from "../../shared/assert.ts";
import type { Incarnation } from "../../shared/ids.ts";
import { SLOTS } from "../../shared/limits.ts";
import { highest, ZERO } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import { applyVoterChange } from "../../shared/voter.ts";
import type { ControlRecord, ControlState, LogRecord, SlotState } from "./engine.ts";

/** State of a data directory that has seen nothing. */
export function blankControlState(incarnation: Incarnation): ControlState {
  const slots = Array.from({ length: SLOTS }, (): SlotState => ({
    role: "none",
    stamp: ZERO,
    since: ZERO,
    copied: false,
    purged: ZERO,
  }));
  return { identity: { incarnation }, fence: 0, voter: undefined, slots };
}

export function cloneControlState(state: ControlState): ControlState {
  return {
    identity: state.identity,
    fence: state.fence,
    voter: state.voter && { ...state.voter },
    slots: state.slots.map((slot) => ({ ...slot })),
  };
}

/** State of one slot; a number out of range is our own bug, since messages are validated at the border. */
export function slotState(state: ControlState, slot: number): SlotState {
  const found = state.slots[slot];
  if (!found) throw new RangeError(`slot ${slot} of ${SLOTS}`);
  return found;
}

/** Goes back only with a wipe: a tombstone left out of a digest stays left out (see slot-account.ts). */
function raisePurged(slot: SlotState, upTo: Version): void {
  slot.purged = highest(slot.purged, upTo);
}

/** Applies one record in place. Registers (`write`, `remove`) are not its business. */
export function applyControl(state: ControlState, record: LogRecord): void {
  switch (record.type) {
    case "write":
    case "remove":
      return;
    case "purge":
      raisePurged(slotState(state, record.slot), record.upTo);
      return;
    case "role":
      for (const slot of record.slots) {
        const purged = record.wipe ? ZERO : slotState(state, slot).purged;
        const { role, stamp } = record;
        Object.assign(slotState(state, slot), { role, stamp, since: stamp, copied: false, purged });
      }
      return;
    case "stamp":
      for (const slot of record.slots) slotState(state, slot).stamp = record.stamp;
      return;
    case "copied":
      for (const slot of record.slots) slotState(state, slot).copied = true;
      return;
    case "fence":
      state.fence = record.epoch;
      return;
    case "identity":
      state.identity = record.identity;
      return;
    case "promise":
    case "accept":
      state.voter = applyVoterChange(state.voter, record);
      return;
    default:
      unreachable(record);
  }
}

/** Registers, as far as control records take effect on them. */
export interface Registers {
  remove(slot: number, keys: readonly string[]): void;
  purge(slot: number, upTo: Version): void;
  wipe(slot: number): void;
}

/** One durable record other than a write takes effect, on registers and control state. */
export function takeEffect(registers: Registers, state: ControlState, record: ControlRecord): void {
  if (record.type === "remove") registers.remove(record.slot, record.keys);
  else if (record.type === "purge") registers.purge(record.slot, record.upTo);
  else if (record.type === "role" && record.wipe) for (const slot of record.slots) registers.wipe(slot);
  applyControl(state, record);
}
