// Seal (M2): hold the slots' quorum and all operations, let what is in flight end, settle what is in doubt, then raise the stamp at enough
// old members that the old set can complete nothing more. Every acknowledged quorum write is then on some sealed member.
import type { NodeId } from "../../shared/ids.ts";
import { HOLD_MS_MAX, SETTLE_MS_MAX } from "../../shared/limits.ts";
import { majority, sealQuorum } from "../../shared/quorum.ts";
import { gather, run, sleep, wait, type Script } from "../../shared/script.ts";
import { RegisterIo } from "../sequencer/register-io.ts";
import { accepted, askEach, byNode, slotsStep, type Attempt, type SlotChange } from "./attempt.ts";
import { Abort } from "./context.ts";

const IN_FLIGHT_POLL_MS = 1;

/** Who was sealed, per slot. */
export type Sealed = ReadonlyMap<number, readonly NodeId[]>;

/** From here to `release` no quorum or all operation on the slots starts. @returns now, by the core's clock */
export function hold({ context, changes }: Attempt): number {
  if (!context.without.has("M2")) context.sequencer.hold(changes.map(({ slot }) => slot));
  return context.timers.now;
}

/** Waits for operations in flight and settles in-doubt keys, both within a bound; what is left becomes unknown. */
export function* quiesce({ context, changes }: Attempt): Script<void> {
  const slots = new Set(changes.map(({ slot }) => slot));
  const until = context.timers.now + SETTLE_MS_MAX;
  while (context.timers.now < until && changes.some(({ slot }) => (context.slots[slot]?.inFlight ?? 0) > 0)) {
    yield* wait(sleep(context.timers, IN_FLIGHT_POLL_MS));
  }
  context.sequencer.interrupt(slots);
  const doubtful = context.sequencer.inDoubt.inSlots(slots);
  const deadline = context.timers.now + SETTLE_MS_MAX;
  const access = doubtful.map(({ key, slot }) => new RegisterIo(context.sequencer, { key, slot, deadline }));
  yield* wait(
    gather(
      context.timers,
      access.map((io) => run(io.settle())),
      SETTLE_MS_MAX,
      () => false,
    ),
  );
  // Nothing of what is left may be sent again at the seal's stamp.
  for (const io of access) io.interrupt();
  if (!context.active()) throw new Abort("the leadership ended");
}

/**
 * Seals, and checks that the new set can be reached.
 * @param behind Called for each member when it has been sent its seal: it looks at what it is asked here once it is sealed.
 * @throws Abort when too few members were sealed
 */
export function* seal(
  attempt: Attempt,
  behind: (id: NodeId, slots: readonly number[]) => void = () => {},
): Script<Sealed> {
  const { context, changes, stamp } = attempt;
  for (const { slot } of changes) {
    const runtime = context.slots[slot];
    // From here on the old stamp is spent, whether the seal succeeds or not.
    if (runtime) runtime.stamp = stamp;
  }
  const slots = byNode(changes, ({ old }) => old.filter((id) => context.peers.get(id)?.up === true));
  const sealAt = slotsStep(attempt, "seal");
  const results = yield* askEach(context, slots, (id, list) => {
    const answer = sealAt(id, list);
    behind(id, list);
    return answer;
  });
  const sealed = new Map<number, NodeId[]>(changes.map(({ slot }) => [slot, []]));
  for (const [id, result] of results) {
    for (const slot of accepted(result, slots.get(id) ?? [])) sealed.get(slot)?.push(id);
  }
  for (const change of changes) assertSealed(change, sealed.get(change.slot) ?? []);
  return sealed;
}

/** @throws Abort */
function assertSealed({ slot, old, next, kept, added }: SlotChange, sealed: readonly NodeId[]): void {
  if (sealed.length < sealQuorum(old.length)) {
    throw new Abort(`slot ${slot}: ${sealed.length} of ${sealQuorum(old.length)} members needed could be sealed`);
  }
  const reached = kept.filter((id) => sealed.includes(id)).length + added.length;
  if (reached < majority(next.length)) {
    throw new Abort(`slot ${slot}: ${reached} of ${majority(next.length)} new members needed answer`);
  }
}

/** @throws Abort when the hold has lasted too long, or the leadership is over */
export function checkHold({ context }: Attempt, heldSince: number): void {
  if (!context.active()) throw new Abort("the leadership ended");
  if (context.timers.now - heldSince > HOLD_MS_MAX) throw new Abort("the slots were held for too long");
}
