// Ownership (N6, N7, N9): what this node is for a slot, and at which stamp. Steps of a re-seating change it; each change is one
// durable log record, and a wipe is part of it. A slot that refuses says why; the others of the same message go on.
import type { ErrorCode } from "../../shared/errors.ts";
import type {
  InstallOp,
  PurgeOp,
  Refusal,
  RemoveOp,
  RolesResult,
  SlotsOp,
  SlotsResult,
} from "../../shared/protocol/node-messages.ts";
import { equal, format, isZero, type Stamp } from "../../shared/version.ts";
import type { ControlRecord } from "../engine/engine.ts";
import type { Control } from "./control.ts";
import { refuse } from "./refuse.ts";
import { notOwner, type Settled } from "./register.ts";

type Verdict = "done" | "nothing" | ErrorCode;

/** N6: the operation's stamp is older than the slot's. */
export function staleSlot(slot: number, floor: Stamp): Refusal {
  return refuse("STALE_SLOT", `slot ${slot} is at stamp ${format(floor)}`, { stamp: floor });
}

/** N6: slots for which `stamp` is news; they are raised, durably, before anything at that stamp is answered. */
export function raises(control: Control, slot: number, stamp: Stamp): boolean {
  return control.order(slot, stamp) > 0;
}

/** `incoming`, `drop`, `seal`, `copied`: one step of a re-seating for many slots. */
export function changeSlots(control: Control, op: SlotsOp): Settled<SlotsResult> {
  switch (op.op) {
    case "seal":
      // The stamp was raised before; what is left to say is what this node is.
      return settle(control, op.slots, (slot) => sealed(control, slot, op.stamp), undefined);
    case "incoming":
      return settle(
        control,
        op.slots,
        (slot) => becomeIncoming(control, slot, op.stamp),
        (slots) => [{ type: "role", slots, role: "incoming", stamp: op.stamp, wipe: !control.without.has("N7") }],
      );
    case "drop":
      return settle(
        control,
        op.slots,
        (slot) => becomeNone(control, slot, op.stamp),
        (slots) => [{ type: "role", slots, role: "none", stamp: op.stamp, wipe: !control.without.has("N7") }],
      );
    case "copied":
      return settle(
        control,
        op.slots,
        (slot) => becomeCopied(control, slot, op.stamp),
        (slots) => [{ type: "copied", slots, stamp: op.stamp }],
      );
  }
}

/** M5: the slots serve from now on. */
export function install(control: Control, op: InstallOp): Settled<SlotsResult> {
  const judge = (slot: number): Verdict => {
    const state = control.slot(slot);
    if (control.order(slot, op.stamp) < 0) return "STALE_SLOT";
    if (state.role === "member") return raises(control, slot, op.stamp) ? "done" : "nothing";
    if (state.role === "incoming") return equal(state.since, op.committed) && state.copied ? "done" : "NOT_OWNER";
    // Nothing was ever stored in a slot that never had a role, whatever stamps it has seen.
    return op.first === true && isZero(state.since) ? "done" : "NOT_OWNER";
  };
  return settle(control, op.slots, judge, (slots) => [
    { type: "role", slots, role: "member", stamp: op.stamp, wipe: false },
  ]);
}

/** M3: removes keys from an incoming slot. */
export function remove(control: Control, op: RemoveOp): Settled<SlotsResult | Refusal> {
  const state = control.slot(op.slot);
  if (state.role !== "incoming" || !equal(state.since, op.stamp)) return { result: notOwner(op.slot), position: 0 };
  const position = control.append([{ type: "remove", slot: op.slot, keys: op.keys }]);
  return { result: { status: "ok" }, position };
}

/** N9: tombstones go only while the slot is sealed with exactly this stamp. */
export function purge(control: Control, op: PurgeOp): Settled<SlotsResult> {
  const judge = (slot: number): Verdict => {
    const state = control.slot(slot);
    if (state.role !== "member") return "NOT_OWNER";
    return equal(control.floor(slot), op.stamp) && equal(state.stamp, op.stamp) ? "done" : "NOT_SEALED";
  };
  return settle(control, op.slots, judge, (slots) => slots.map((slot) => ({ type: "purge", slot, upTo: op.upTo })));
}

/** Slots that have a role, grouped by what they have in common. */
export function roles(control: Control): RolesResult {
  const groups = new Map<string, RolesResult["roles"][number] & { slots: number[] }>();
  control.state.slots.forEach(({ role, stamp, since, copied }, slot) => {
    if (role === "none" && isZero(stamp)) return;
    const name = `${role} ${format(stamp)} ${format(since)} ${copied}`;
    const group = groups.get(name);
    if (group) group.slots.push(slot);
    else groups.set(name, { role, stamp, since, copied, slots: [slot] });
  });
  return { status: "ok", roles: [...groups.values()] };
}

function sealed(control: Control, slot: number, stamp: Stamp): Verdict {
  if (control.order(slot, stamp) < 0) return "STALE_SLOT";
  return control.slot(slot).role === "member" ? "nothing" : "NOT_OWNER";
}

/** From any role, at a higher stamp; at the same stamp only a repetition is in order (N7). */
function becomeIncoming(control: Control, slot: number, stamp: Stamp): Verdict {
  if (control.order(slot, stamp) < 0) return "STALE_SLOT";
  const state = control.slot(slot);
  if (equal(state.stamp, stamp))
    return state.role === "incoming" && equal(state.since, stamp) ? "nothing" : "NOT_OWNER";
  return raises(control, slot, stamp) ? "done" : "STALE_SLOT";
}

function becomeNone(control: Control, slot: number, stamp: Stamp): Verdict {
  if (control.order(slot, stamp) < 0) return "STALE_SLOT";
  const state = control.slot(slot);
  return state.role === "none" && !raises(control, slot, stamp) ? "nothing" : "done";
}

function becomeCopied(control: Control, slot: number, stamp: Stamp): Verdict {
  if (control.order(slot, stamp) < 0) return "STALE_SLOT";
  const state = control.slot(slot);
  if (state.role !== "incoming" || !equal(state.since, stamp)) return "NOT_OWNER";
  return state.copied ? "nothing" : "done";
}

/** Judges every slot, appends the records for those that change, and lists those that refuse. */
function settle(
  control: Control,
  slots: readonly number[],
  judge: (slot: number) => Verdict,
  change: ((slots: number[]) => ControlRecord[]) | undefined,
): Settled<SlotsResult> {
  const changed: number[] = [];
  const refused: [number, ErrorCode][] = [];
  for (const slot of slots) {
    const verdict = judge(slot);
    if (verdict === "done") changed.push(slot);
    else if (verdict !== "nothing") refused.push([slot, verdict]);
  }
  const position = changed.length > 0 && change ? control.append(change(changed)) : 0;
  return { result: refused.length > 0 ? { status: "ok", refused } : { status: "ok" }, position };
}
