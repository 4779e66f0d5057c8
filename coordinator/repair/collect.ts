// Collection of tombstones (N9): a delete may be forgotten only when no replica can hold anything older of the key. The slot is held and
// sealed with one stamp at *all* its members, their contents are compared once more under the seal and must be equal, nothing of it is
// in doubt, and only tombstones older than the grace period go. Then the slot goes on under a fresh stamp, which refuses whatever was
// sent before. Never while the slot changes hands (M1–M5). A purge that is lost leaves a tombstone too many, never one too few.
import type { NodeId } from "../../shared/ids.ts";
import { digestEqual } from "../../shared/digest.ts";
import { PAGE_KEYS_MAX, SETTLE_MS_MAX } from "../../shared/limits.ts";
import type { DigestResult, ListResult, OpResult } from "../../shared/protocol/node-messages.ts";
import { all, sleep, wait, type Script } from "../../shared/script.ts";
import { format, type Version } from "../../shared/version.ts";
import { accepted, askEach, byNode, newAttempt, STEP_TIMEOUT_MS, type Attempt } from "../rebalance/attempt.ts";
import { Abort, peerOf } from "../rebalance/context.ts";
import { checkHold, seal, type Sealed } from "../rebalance/seal.ts";
import { comparable, type Compared, type RepairContext } from "./compare.ts";
import { Ages } from "./ages.ts";

/** Slots held together. */
const SLOTS_AT_ONCE = 64;
const QUIET_POLL_MS = 5;

export class Collector {
  readonly #context: RepairContext;
  readonly #graceMs: number;
  readonly #ages: Ages;
  /** By slot: until when, in running time, it is not worth looking again. */
  readonly #notBefore = new Map<number, number>();
  /** Purges that all members of a slot acknowledged. */
  collected = 0;

  constructor(context: RepairContext, graceMs: number) {
    this.#context = context;
    this.#graceMs = graceMs;
    this.#ages = new Ages(graceMs);
  }

  /** Called often: time passes. */
  look(): void {
    this.#ages.look(this.#context.timers.now, () => this.#context.writing.nextVersion());
  }

  /** Collects in those of the slots where it is due and allowed. @param equal Slots whose members hold the same, as far as is known. */
  *collect(equal: readonly Compared[]): Script<void> {
    const upTo = this.#ages.oldUpTo;
    if (!upTo) return;
    const due = equal.filter((compared) => this.#due(compared)).map(({ runtime }) => runtime.slot);
    for (let start = 0; start < due.length && this.#context.active(); start += SLOTS_AT_ONCE) {
      const slots = due.slice(start, start + SLOTS_AT_ONCE).filter((slot) => this.#allowed(slot));
      if (slots.length > 0) yield* this.#collectIn(slots, upTo);
    }
  }

  #due({ runtime, held }: Compared): boolean {
    const tombstones = [...held.values()].some((found) => found.tombstones > 0);
    return tombstones && this.#ages.runMs >= (this.#notBefore.get(runtime.slot) ?? 0) && this.#allowed(runtime.slot);
  }

  /** All members there, and the slot not changing hands. */
  #allowed(slot: number): boolean {
    const present = comparable(this.#context, slot);
    if (this.#context.without.has("N9-all")) return present !== undefined;
    return present !== undefined && present.length === this.#context.slots[slot]?.members.length;
  }

  *#collectIn(slots: readonly number[], upTo: Version): Script<void> {
    const context = this.#context;
    const heldSince = context.timers.now;
    context.sequencer.hold(slots);
    const quiet = yield* this.#quietened(slots);
    if (quiet.length === 0) return;
    const moves = quiet.map((slot) => ({ slot, members: context.slots[slot]?.members ?? [] }));
    const attempt = newAttempt(context, moves);
    try {
      const sealed = yield* seal(attempt);
      const agreeing = yield* agreeingSlots(context, attempt, sealed);
      checkHold(attempt, heldSince);
      yield* this.#purge(attempt, agreeing, upTo);
    } catch (error) {
      if (!(error instanceof Abort)) throw error;
    }
    this.#resume(quiet);
  }

  /** Waits for what is in flight; slots that stay busy are let go again: nothing is worth an operation's outcome. */
  *#quietened(slots: readonly number[]): Script<number[]> {
    const { timers, slots: runtimes, sequencer } = this.#context;
    const busy = (slot: number): boolean => (runtimes[slot]?.inFlight ?? 0) > 0;
    const until = timers.now + SETTLE_MS_MAX;
    while (timers.now < until && slots.some(busy)) yield* wait(sleep(timers, QUIET_POLL_MS));
    sequencer.release(slots.filter(busy));
    return slots.filter((slot) => runtimes[slot]?.held === true);
  }

  *#purge(attempt: Attempt, slots: ReadonlySet<number>, upTo: Version): Script<void> {
    const changes = attempt.changes.filter(({ slot }) => slots.has(slot));
    const everyoneIsThere = !this.#context.without.has("N9-all");
    const byMember = byNode(changes, ({ old }) =>
      old.filter((id) => everyoneIsThere || this.#context.peers.get(id)?.up === true),
    );
    const results = yield* askEach(this.#context, byMember, (id, list) => {
      const op = { op: "purge", slots: list, stamp: attempt.stamp, upTo } as const;
      return peerOf(this.#context, id).link.ask(op, STEP_TIMEOUT_MS);
    });
    const done = (slot: number): boolean =>
      [...results].every(([id, result]) => {
        const list = byMember.get(id) ?? [];
        return !list.includes(slot) || accepted(result, list).includes(slot);
      });
    for (const { slot } of changes) {
      if (!done(slot)) continue;
      this.collected++;
      this.#notBefore.set(slot, this.#ages.runMs + this.#graceMs);
    }
  }

  /** The slots go on under a stamp that is above the seal: whatever was sent at an older one is refused. */
  #resume(slots: readonly number[]): void {
    const context = this.#context;
    if (!context.active()) return;
    const fresh = context.nextStamp();
    for (const slot of slots) {
      const runtime = context.slots[slot];
      if (runtime) runtime.stamp = fresh;
    }
    context.sequencer.release(slots);
  }
}

/** Slots that are sealed at all members, with equal contents and nothing in doubt. @throws Abort */
function* agreeingSlots(context: RepairContext, attempt: Attempt, sealed: Sealed): Script<Set<number>> {
  const slots = new Set(attempt.changes.map(({ slot }) => slot));
  const doubtful = new Set(context.sequencer.inDoubt.inSlots(slots).map(({ slot }) => slot));
  const complete = attempt.changes.filter(
    ({ slot, old }) => !doubtful.has(slot) && old.every((id) => sealed.get(slot)?.includes(id)),
  );
  if (context.without.has("N9-all")) return slots;
  const different = yield* differentDigests(context, attempt, complete);
  const agreeing = new Set(complete.map(({ slot }) => slot));
  for (const change of complete) {
    if (!different.has(change.slot) || (yield* sameEntries(context, attempt, change.slot, change.old))) continue;
    agreeing.delete(change.slot);
  }
  return agreeing;
}

function* differentDigests(
  context: RepairContext,
  attempt: Attempt,
  changes: Attempt["changes"],
): Script<ReadonlySet<number>> {
  const byMember = byNode(changes, ({ old }) => old);
  const results = yield* askEach(context, byMember, (id, list) => {
    const op = { op: "digest", slots: list, stamps: list.map(() => attempt.stamp) } as const;
    return peerOf(context, id).link.ask(op, STEP_TIMEOUT_MS);
  });
  const first = new Map<number, readonly [number, number]>();
  const different = new Set<number>();
  for (const [id, result] of results) {
    if (result.status === "error") throw new Abort(`digests of node ${id}: ${result.code}`);
    (byMember.get(id) ?? []).forEach((slot, index) => {
      const [lane0, lane1] = (result as DigestResult).slots[index] ?? [0, 0];
      const known = first.get(slot);
      if (!known) first.set(slot, [lane0, lane1]);
      else if (!digestEqual(known, [lane0, lane1])) different.add(slot);
    });
  }
  return different;
}

/**
 * Digests leave out what a member has purged already: after a purge that reached some members only, they differ although the members
 * hold the same. Looked up key by key where the slot fits in one page.
 */
function* sameEntries(
  context: RepairContext,
  { stamp }: Attempt,
  slot: number,
  members: readonly NodeId[],
): Script<boolean> {
  const op = { op: "list", slots: [slot], stamps: [stamp], limit: PAGE_KEYS_MAX } as const;
  const asked = members.map((id) => peerOf(context, id).link.ask(op, STEP_TIMEOUT_MS));
  const pages = yield* wait(all(asked));
  const [first, ...others] = pages.map(entriesText);
  return first !== undefined && others.every((text) => text === first);
}

/** Keys and versions of a whole slot as one text; undefined where it is more than a page. */
function entriesText(result: OpResult): string | undefined {
  if (result.status === "error" || (result as ListResult).next) return undefined;
  return (result as ListResult).entries
    .map(([, key, version]) => `${format(version)} ${JSON.stringify(key)}`)
    .join("\n");
}
