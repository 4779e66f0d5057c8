// Pre-copy (M1): most of the data moves while operations go on. Added members become incoming at S, which wipes what they had; from then
// on they get uncounted copies of new writes, and they pull what is there from a member, node to node, page by page. None of this has
// any weight for safety: the reconciliation compares everything again.
import type { NodeId } from "../../shared/ids.ts";
import { PAGE_KEYS_MAX } from "../../shared/limits.ts";
import type { Cursor, PullResult } from "../../shared/protocol/node-messages.ts";
import { all, run, sleep, wait, type Script } from "../../shared/script.ts";
import { byNode, everyone, why, type Attempt, type SlotChange } from "./attempt.ts";
import { Abort, peerOf } from "./context.ts";

const PULL_TIMEOUT_MS = 5_000;

export interface Pace {
  /** Whether the operation was cancelled: pre-copying stops between pages. */
  readonly cancelled: () => boolean;
  readonly copied: (keys: number, bytes: number) => void;
  /** Pause after a page, ms: longer while clients suffer. */
  readonly pauseMs: () => number;
}

/** @throws Abort */
export function* precopy(attempt: Attempt, pace: Pace): Script<void> {
  const { context, stamp, changes } = attempt;
  const growing = changes.filter(({ added }) => added.length > 0);
  if (growing.length === 0) return;
  yield* everyone(
    attempt,
    "incoming",
    byNode(growing, ({ added }) => added),
  );
  for (const { slot, added } of growing) {
    const runtime = context.slots[slot];
    if (runtime) runtime.forward = { members: added, stamp };
  }
  const pulls = pullsOf(attempt, growing).map((pull) => run(pullAll(attempt, pull, pace)));
  const failures = (yield* wait(all(pulls))).filter((text) => text !== undefined);
  if (failures[0] !== undefined) throw new Abort(failures[0]);
}

interface Pull {
  readonly target: NodeId;
  readonly source: NodeId;
  readonly slots: number[];
}

/** For each added member, from which member it pulls which slots. */
function pullsOf({ context }: Attempt, growing: readonly SlotChange[]): Pull[] {
  const pulls = new Map<string, Pull>();
  for (const { slot, old, added } of growing) {
    const source = old.find((id) => context.peers.get(id)?.up === true && context.peers.get(id)?.confirmed[slot] === 1);
    if (source === undefined) throw new Abort(`no member of slot ${slot} answers`);
    for (const target of added) {
      const name = `${target} ${source}`;
      const pull = pulls.get(name);
      if (pull) pull.slots.push(slot);
      else pulls.set(name, { target, source, slots: [slot] });
    }
  }
  return [...pulls.values()];
}

/** Pulls page after page; returns why it stopped early, if it did. */
function* pullAll(
  { context, stamp }: Attempt,
  { target, source, slots }: Pull,
  pace: Pace,
): Script<string | undefined> {
  let after: Cursor | undefined;
  for (;;) {
    if (pace.cancelled()) return "cancelled";
    const from = context.peers.get(source);
    const to = context.peers.get(target);
    if (!from?.up || !to?.up) return `node ${from?.up ? target : source} does not answer`;
    const sourceStamps = slots.map((slot) => context.slots[slot]?.stamp ?? stamp);
    const { id, incarnation, address } = from.member;
    const op = {
      op: "pull",
      slots,
      stamp,
      source: { id, incarnation, address },
      sourceStamps,
      limit: PAGE_KEYS_MAX,
    } as const;
    const result = yield* wait(to.link.ask({ ...op, ...(after && { after }) }, PULL_TIMEOUT_MS));
    if (!context.active()) return "the leadership ended";
    if (result.status === "error") return `copying from ${source} to ${target}: ${why(result)}`;
    const page = result as PullResult;
    pace.copied(page.keys, page.bytes);
    if (!page.next) return undefined;
    after = page.next;
    const pauseMs = pace.pauseMs();
    if (pauseMs > 0) yield* wait(sleep(context.timers, pauseMs));
  }
}

/** @throws Abort unless every kept member is known to be durably a member: installs those that are not (before M1). */
export function* confirmKept(attempt: Attempt): Script<void> {
  const { context, changes } = attempt;
  const unknown = byNode(changes, ({ kept, slot }) =>
    kept.filter((id) => context.peers.get(id)?.confirmed[slot] !== 1),
  );
  for (const [id, slots] of unknown) {
    const peer = peerOf(context, id);
    for (const slot of slots) {
      const runtime = context.slots[slot];
      if (!runtime) continue;
      const op = { op: "install", slots: [slot], stamp: runtime.stamp, committed: runtime.committed } as const;
      const result = yield* wait(peer.link.ask(op, PULL_TIMEOUT_MS));
      if (!context.active()) throw new Abort("the leadership ended");
      if (!context.peers.confirm(peer, [slot], runtime.committed, result)) {
        throw new Abort(`node ${id} is not known to be a member of slot ${slot}: ${why(result)}`);
      }
    }
  }
}
