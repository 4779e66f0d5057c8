// Re-seat: the one primitive that changes who owns slots (SEAL → RECONCILE → COMMIT), for adding and removing nodes, for more and fewer
// copies. One attempt moves a batch of slots at one stamp: copied together, and handed over in parts, since clients wait the longer the
// more slots are held at a time. Until its commit is proposed a part can be aborted: the old members go on under a fresh stamp. Afterwards
// it cannot: the state decides, now or under the next leader.
import type { NodeId } from "../../shared/ids.ts";
import { all, run, wait, type Future, type Script } from "../../shared/script.ts";
import { assertState, encodeState } from "../../shared/cluster-state.ts";
import type { Peer } from "../cluster/peers.ts";
import { commitPlacement } from "../cluster/slot-runtime.ts";
import {
  AskedStep,
  byNode,
  everyone,
  newAttempt,
  partOf,
  slotsStep,
  STEP_TIMEOUT_MS,
  type Attempt,
} from "./attempt.ts";
import { Abort, type Move, type RebalanceContext } from "./context.ts";
import { confirmKept, precopy, recount, type Pace } from "./precopy.ts";
import { AskedDigests, reconcile } from "./reconcile.ts";
import { checkHold, hold, quiesce, seal } from "./seal.ts";

export type ReseatResult =
  | { readonly type: "committed" }
  /** What has not changed hands does not; worth another attempt. */
  | { readonly type: "aborted"; readonly reason: string }
  /** The leadership ended; the next leader finds what was committed. */
  | { readonly type: "ended" };

/** Slots held at a time while clients are served: each adds to how long all of them wait. */
const SLOTS_HELD_SERVING = 128;

/** Whom an attempt tells, and asks, how it goes. */
export interface Observer extends Pace {
  /** Slots have changed hands. */
  readonly handedOver: (slots: number, freezeMs: number) => void;
}

/** What an attempt does before it commits. */
interface Preparation {
  /** For all slots, while operations go on. @throws Abort */
  readonly before: (attempt: Attempt) => Script<void>;
  /** Holds some of them. Returns since when. @throws Abort */
  readonly held: (part: Attempt) => Script<number>;
}

/** Moves a batch of slots to their new members. */
export function reseat(context: RebalanceContext, moves: readonly Move[], observer: Observer): Script<ReseatResult> {
  const before = function* (attempt: Attempt): Script<void> {
    yield* confirmKept(attempt);
    yield* precopy(attempt, observer);
  };
  return carryOut(newAttempt(context, moves), { before, held: handOver }, observer);
}

/**
 * `removenode --force`: the only copies of these slots are on a dead node, and are given up. The new members start empty.
 * Said and asked for: the operator accepts the loss.
 */
export function abandon(context: RebalanceContext, moves: readonly Move[], observer: Observer): Script<ReseatResult> {
  return carryOut(newAttempt(context, moves), { before: function* () {}, held: startEmpty }, observer);
}

/** M2, M3. Returns since when the slots are held. @throws Abort */
function* handOver(part: Attempt): Script<number> {
  // That takes milliseconds: what is made now is at hand when the state is proposed, unless it has changed by then.
  const next = part.placed(part.context.state());
  assertState(next);
  encodeState(next);
  yield* recount(part);
  const heldSince = hold(part);
  yield* quiesce(part);
  const added = byNode(part.changes, (change) => change.added);
  const digests = new AskedDigests(part);
  for (const [id, slots] of added) digests.ask(id, slots);
  // Newcomers promise now, not when all is compared: that would be a durable trip more in which the slots are held. The promise is worth
  // nothing until this stamp is committed, which nobody tries before newcomers hold, durably, what the sealed members do.
  const copied = new AskedStep(part, "copied", added);
  const sealed = yield* seal(part, (id, slots) => digests.ask(id, slots));
  yield* reconcile(part, sealed, digests);
  yield* copied.done();
  checkHold(part, heldSince);
  return heldSince;
}

/** Returns since when the slots are held. @throws Abort */
function* startEmpty(part: Attempt): Script<number> {
  const heldSince = hold(part);
  const added = byNode(part.changes, (change) => change.added);
  yield* everyone(part, "incoming", added);
  yield* everyone(part, "copied", added);
  return heldSince;
}

/** Prepares the new members, then commits (M4) and installs (M5), part by part; what is left is undone where preparing aborts. */
function* carryOut(attempt: Attempt, { before, held }: Preparation, observer: Observer): Script<ReseatResult> {
  const { context } = attempt;
  // Its tombstones are being collected (N9): that takes milliseconds, and must have the slot for itself.
  if (attempt.changes.some(({ slot }) => context.slots[slot]?.held === true))
    return { type: "aborted", reason: "tombstones are being collected" };
  let left = attempt.changes;
  const installed: Future<void>[] = [];
  try {
    yield* before(attempt);
    while (left.length > 0) {
      if (observer.cancelled()) throw new Abort("cancelled");
      const part = partOf(attempt, left.slice(0, context.pacer.serving ? SLOTS_HELD_SERVING : left.length));
      // Clients wait now, and other upkeep would make them wait longer.
      const changed = yield* context.pacer.alone(() => changeHands(part, held));
      if (!changed) return { type: "ended" };
      left = left.slice(part.changes.length);
      installed.push(changed.installed);
      observer.handedOver(part.changes.length, changed.freezeMs);
    }
  } catch (error) {
    if (!(error instanceof Abort)) throw error;
    if (!context.active()) return { type: "ended" };
    abort(partOf(attempt, left));
    return { type: "aborted", reason: error.message };
  }
  yield* wait(all(installed));
  return { type: "committed" };
}

/** From the hold to the release. Undefined when the leadership ended first. @throws Abort */
function* changeHands(
  part: Attempt,
  held: Preparation["held"],
): Script<{ readonly freezeMs: number; readonly installed: Future<void> } | undefined> {
  const { context, changes } = part;
  const heldSince = yield* held(part);
  if (!(yield* commit(part))) return undefined;
  const installed = run(install(part));
  // Its lines have left: what is sent to a node from here on comes behind them, and waits there until they are durable.
  context.sequencer.release(changes.map(({ slot }) => slot));
  return { freezeMs: context.timers.now - heldSince, installed };
}

/** Before M4: the old members go on, under a fresh stamp, and newcomers forget what they got. */
function abort({ context, changes }: Attempt): void {
  const fresh = context.nextStamp();
  for (const { slot } of changes) {
    const runtime = context.slots[slot];
    if (!runtime) continue;
    runtime.stamp = fresh;
    runtime.forward = undefined;
  }
  for (const [id, slots] of byNode(changes, ({ added }) => added)) {
    const peer = context.peers.get(id);
    if (peer?.up) peer.link.ask({ op: "drop", slots, stamp: fresh }, STEP_TIMEOUT_MS);
  }
  context.sequencer.release(changes.map(({ slot }) => slot));
}

/** M4: the new placements, in the cluster state. False when the leadership ended first. */
function* commit({ context, changes, stamp, retags, placed }: Attempt): Script<boolean> {
  if (!(yield* context.propose(placed))) return false;
  for (const { slot, next, added } of changes) {
    const runtime = context.slots[slot];
    if (runtime) commitPlacement(runtime, next, stamp);
    for (const id of added) {
      const peer = context.peers.get(id);
      if (peer) peer.confirmed[slot] = 0;
    }
  }
  // What M3 wrote is now installed at a write quorum of the new set.
  for (const [key, version] of retags) context.sequencer.inDoubt.installed(key, version);
  return true;
}

/** M5: new members serve, removed ones forget. Where a node does not acknowledge it, what came of it is found out and made good. */
function* install(attempt: Attempt): Script<void> {
  const { context, changes } = attempt;
  const installing = [...byNode(changes, ({ next }) => next)].map(([id, slots]) => run(installAt(attempt, id, slots)));
  for (const [id, slots] of byNode(changes, ({ removed }) => removed)) {
    const peer = context.peers.get(id);
    for (const slot of slots) if (peer) peer.confirmed[slot] = 0;
    if (peer?.up) run(dropAt(attempt, peer, slots));
  }
  yield* wait(all(installing));
}

function* installAt({ context, stamp }: Attempt, id: NodeId, slots: readonly number[]): Script<void> {
  const peer = context.peers.get(id);
  if (!peer?.up) return;
  const op = { op: "install", slots, stamp, committed: stamp } as const;
  const result = yield* wait(peer.link.ask(op, STEP_TIMEOUT_MS));
  if (context.active() && !context.peers.confirm(peer, slots, stamp, result)) context.peers.mend(peer);
}

function* dropAt(attempt: Attempt, peer: Peer, slots: readonly number[]): Script<void> {
  const result = yield* wait(slotsStep(attempt, "drop")(peer.id, slots));
  if (result.status === "error") attempt.context.peers.mend(peer);
}
