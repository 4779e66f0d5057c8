// Pre-copy (M1): most of the data moves while operations go on. Added members become incoming at S, which wipes what they had; from then
// on they get uncounted copies of new writes, and they pull what is there from a member, node to node, page by page; while clients are
// served one page at a time, a small one, with rests in between (../cluster/pacing.ts). Then everybody counts up the digests of the slots,
// which takes a node milliseconds for some thousand new keys: done now, it does not have to be done while the slots are held. None of
// this has any weight for safety: the reconciliation compares everything again.
import type { NodeId } from "../../shared/ids.ts";
import { PAGE_KEYS_MAX, PAGE_KEYS_SERVING } from "../../shared/limits.ts";
import type { Cursor, OpResult, PullResult } from "../../shared/protocol/node-messages.ts";
import { all, run, wait, type Script } from "../../shared/script.ts";
import { CLIENTS_GET, WORTH } from "../cluster/pacing.ts";
import { byNode, everyone, why, type Attempt, type SlotChange } from "./attempt.ts";
import { Abort, peerOf } from "./context.ts";
import { countUp, type Holder } from "./count-up.ts";

const PULL_TIMEOUT_MS = 5_000;

export interface Pace {
  /** Whether the operation was cancelled: it stops between pages, and before more slots are held. */
  readonly cancelled: () => boolean;
  readonly copied: (keys: number, bytes: number) => void;
}

/** @throws Abort */
export function* precopy(attempt: Attempt, pace: Pace): Script<void> {
  const { context, stamp, changes } = attempt;
  const growing = growingOf(changes);
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
  const pulls = pullsOf(attempt, growing);
  const helpers = pulls.slice(1).map(() => run(pullEach(attempt, pulls, { ...pace, helping: true })));
  const failures = [yield* pullEach(attempt, pulls, { ...pace, helping: false }), ...(yield* wait(all(helpers)))];
  const failure = failures.find((text) => text !== undefined);
  if (failure !== undefined) throw new Abort(failure);
  yield* countUp(context, { holders: holdersOf(attempt), pacer: context.pacer });
}

/** Counts up what clients have changed since `precopy` did, without rests: while the slots are held there is little left to count. */
export function* recount(attempt: Attempt): Script<void> {
  const { context } = attempt;
  if (context.pacer.serving) yield* countUp(context, { holders: holdersOf(attempt), pacer: undefined });
}

/** Takes one pull after the other, until none is left or one fails; helpers do only where no client is served. Returns why it failed. */
function* pullEach(
  attempt: Attempt,
  pulls: Pull[],
  pace: Pace & { readonly helping: boolean },
): Script<string | undefined> {
  while (!pace.helping || !attempt.context.pacer.serving) {
    const pull = pulls.shift();
    if (!pull) return undefined;
    const failure = yield* pullAll(attempt, pull, pace);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

function growingOf(changes: readonly SlotChange[]): readonly SlotChange[] {
  return changes.filter(({ added }) => added.length > 0);
}

/** Whom to ask for each slot that gets members: those it has at their own stamp, as that of the attempt would seal them. */
function holdersOf({ context, stamp, changes }: Attempt): Map<number, Holder[]> {
  return new Map(
    growingOf(changes).map(({ slot, old, added }) => {
      const own = context.slots[slot]?.stamp ?? stamp;
      return [slot, [...old.map((node) => ({ node, stamp: own })), ...added.map((node) => ({ node, stamp }))]];
    }),
  );
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
  const { pacer } = context;
  let after: Cursor | undefined;
  for (;;) {
    if (pace.cancelled()) return "cancelled";
    const from = context.peers.get(source);
    const to = context.peers.get(target);
    if (!from?.up || !to?.up) return `node ${from?.up ? target : source} does not answer`;
    const { id, incarnation, address } = from.member;
    const ask = (): Script<OpResult> => {
      const op = {
        op: "pull",
        slots,
        stamp,
        source: { id, incarnation, address },
        sourceStamps: slots.map((slot) => context.slots[slot]?.stamp ?? stamp),
        limit: pacer.serving ? PAGE_KEYS_SERVING : PAGE_KEYS_MAX,
        ...(after && { after }),
      } as const;
      return wait(to.link.ask(op, PULL_TIMEOUT_MS));
    };
    const worth = (told: OpResult): number => (told.status === "error" ? 0 : (told as PullResult).keys * WORTH.pulled);
    const result = yield* pacer.step(ask, worth, CLIENTS_GET.rebalance);
    if (!context.active()) return "the leadership ended";
    if (result.status === "error") return `copying from ${source} to ${target}: ${why(result)}`;
    const page = result as PullResult;
    pace.copied(page.keys, page.bytes);
    if (!page.next) return undefined;
    after = page.next;
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
