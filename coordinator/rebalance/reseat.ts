// Re-seat: the one primitive that changes who owns slots (SEAL → RECONCILE → COMMIT), for adding and removing nodes, for more and fewer
// copies. One attempt moves a batch of slots at one stamp. Until the commit is proposed an attempt can be aborted: the old members go on
// under a fresh stamp. Afterwards it cannot: the state decides, now or under the next leader.
import type { NodeId } from "../../shared/ids.ts";
import { all, run, wait, type Future, type Script } from "../../shared/script.ts";
import { assertState, encodeState } from "../../shared/cluster-state.ts";
import type { Peer } from "../cluster/peers.ts";
import { commitPlacement } from "../cluster/slot-runtime.ts";
import { AskedStep, byNode, everyone, newAttempt, slotsStep, STEP_TIMEOUT_MS, type Attempt } from "./attempt.ts";
import { Abort, type Move, type RebalanceContext } from "./context.ts";
import { confirmKept, precopy, recount, type Pace } from "./precopy.ts";
import { AskedDigests, reconcile } from "./reconcile.ts";
import { checkHold, hold, quiesce, seal } from "./seal.ts";

export type ReseatResult =
  | { readonly type: "committed"; readonly freezeMs: number }
  /** Nothing changed hands; worth another attempt. */
  | { readonly type: "aborted"; readonly reason: string }
  /** The leadership ended; the next leader finds what was committed. */
  | { readonly type: "ended" };

/** What an attempt does before it commits. */
interface Preparation {
  /** While operations go on. @throws Abort */
  readonly before: (attempt: Attempt) => Script<void>;
  /** Holds the slots. Returns since when. @throws Abort */
  readonly held: (attempt: Attempt) => Script<number>;
}

/** Moves a batch of slots to their new members. */
export function reseat(context: RebalanceContext, moves: readonly Move[], pace: Pace): Script<ReseatResult> {
  return carryOut(newAttempt(context, moves), { before: (attempt) => copyMost(attempt, pace), held: handOver });
}

/**
 * `removenode --force`: the only copies of these slots are on a dead node, and are given up. The new members start empty.
 * Said and asked for: the operator accepts the loss.
 */
export function abandon(context: RebalanceContext, moves: readonly Move[]): Script<ReseatResult> {
  return carryOut(newAttempt(context, moves), { before: function* () {}, held: startEmpty });
}

/** M1. @throws Abort */
function* copyMost(attempt: Attempt, pace: Pace): Script<void> {
  yield* confirmKept(attempt);
  yield* precopy(attempt, pace);
  if (pace.cancelled()) throw new Abort("cancelled");
}

/** M2, M3. Returns since when the slots are held. @throws Abort */
function* handOver(attempt: Attempt): Script<number> {
  const { context } = attempt;
  // That takes milliseconds: what is made now is at hand when the state is proposed, unless it has changed by then.
  const next = attempt.placed(context.state());
  assertState(next);
  encodeState(next);
  yield* recount(attempt);
  const heldSince = hold(attempt);
  yield* quiesce(attempt);
  const added = byNode(attempt.changes, (change) => change.added);
  const digests = new AskedDigests(attempt);
  for (const [id, slots] of added) digests.ask(id, slots);
  // Newcomers promise now, not when all is compared: that would be a durable trip more in which the slots are held. The promise is worth
  // nothing until this stamp is committed, which nobody tries before newcomers hold, durably, what the sealed members do.
  const copied = new AskedStep(attempt, "copied", added);
  const sealed = yield* seal(attempt, (id, slots) => digests.ask(id, slots));
  yield* reconcile(attempt, sealed, digests);
  yield* copied.done();
  checkHold(attempt, heldSince);
  return heldSince;
}

/** Returns since when the slots are held. @throws Abort */
function* startEmpty(attempt: Attempt): Script<number> {
  const heldSince = hold(attempt);
  const added = byNode(attempt.changes, (change) => change.added);
  yield* everyone(attempt, "incoming", added);
  yield* everyone(attempt, "copied", added);
  return heldSince;
}

/** Prepares the new members, then commits (M4) and installs (M5); undone where preparing aborts. */
function* carryOut(attempt: Attempt, { before, held }: Preparation): Script<ReseatResult> {
  const { context } = attempt;
  // Its tombstones are being collected (N9): that takes milliseconds, and must have the slot for itself.
  if (attempt.changes.some(({ slot }) => context.slots[slot]?.held === true))
    return { type: "aborted", reason: "tombstones are being collected" };
  try {
    yield* before(attempt);
    // Clients wait now, and other upkeep would make them wait longer.
    const changed = yield* context.pacer.alone(() => changeHands(attempt, held));
    if (!changed) return { type: "ended" };
    yield* wait(changed.installed);
    return { type: "committed", freezeMs: changed.freezeMs };
  } catch (error) {
    if (!(error instanceof Abort)) throw error;
    if (!context.active()) return { type: "ended" };
    abort(attempt);
    return { type: "aborted", reason: error.message };
  }
}

/** From the hold to the release. Undefined when the leadership ended first. @throws Abort */
function* changeHands(
  attempt: Attempt,
  held: Preparation["held"],
): Script<{ readonly freezeMs: number; readonly installed: Future<void> } | undefined> {
  const { context, changes } = attempt;
  const heldSince = yield* held(attempt);
  if (!(yield* commit(attempt))) return undefined;
  const installed = run(install(attempt));
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
