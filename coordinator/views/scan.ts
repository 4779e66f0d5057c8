// Scan: keys with a prefix, in pages, by slot and then key. A key that is there throughout the scan appears exactly once: pages follow
// one fixed order, and every slot is listed by a majority of its members, one of which knows the latest acknowledged write (C6).
//
// A value that some member holds is listed. A tombstone that a write quorum does not hold may be a delete that never takes effect, so
// a key that also has an older value is read by itself, which decides it for good (FIX). No other cost grows with disagreement.
// Slots that change hands are waited for (M2). A page may be shorter than asked for, even empty; only a missing cursor is the end.
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import { DEADLINE_MS_DEFAULT, PAGE_KEYS_MAX, SCAN_LIMIT_DEFAULT } from "../../shared/limits.ts";
import type { ScanAnswer, ScanRequest } from "../../shared/protocol/client-messages.ts";
import type { Refusal } from "../../shared/protocol/node-messages.ts";
import { all, Future, sleep, wait, type Script } from "../../shared/script.ts";
import { slotOf } from "../../shared/slot.ts";
import type { Timers } from "../../shared/timers.ts";
import type { Leader } from "../leader.ts";
import type { ClientNumber, ReadOutcome } from "../sequencer/operation.ts";
import { atEnd, comparePlaces, formatCursor, parseCursor, SPREAD_MAX, START, type Place } from "./scan-cursor.ts";
import { listWindow, type Found, type WindowResult } from "./scan-window.ts";

/** Pause before a window that was refused is asked for again. */
const AGAIN_MS = 20;
/** Entries asked of a node at least: tombstones take places too. */
const NODE_LIMIT_MIN = 64;
/** How far the guess of how many slots to look at moves from one window to the next. */
const SPREAD_FACTOR = 4;
/** Part of the deadline after which a page ends with what it has. */
const BUDGET = 0.5;

type Body = Omit<ScanAnswer, "id">;

/** Where a page is made: the leader, its clock, and who asked. */
export interface ScanHost {
  readonly leader: Leader;
  readonly timers: Timers;
  readonly client: ClientNumber;
}

/** Why a window gave nothing; `final` where waiting will not help. */
interface Obstacle {
  readonly error: KvError;
  readonly final?: boolean;
}

/**
 * One page of a scan.
 * @throws KvError BAD_REQUEST for a cursor that no scan gave, before anything is asked
 */
export function scan(host: ScanHost, request: ScanRequest): Script<Body | KvError> {
  return new Page(host, request).fill();
}

class Page {
  readonly #host: ScanHost;
  readonly #prefix: string;
  readonly #limit: number;
  readonly #startedAt: number;
  readonly #deadline: number;
  readonly #begin: Place;
  readonly #keys: string[] = [];
  readonly #avoid = new Set<NodeId>();
  #place: Place;
  #spread: number;

  constructor(host: ScanHost, { prefix = "", limit, cursor, timeoutMs }: ScanRequest) {
    const from = cursor === undefined ? START : parseCursor(cursor, prefix);
    this.#host = host;
    this.#prefix = prefix;
    this.#limit = limit ?? SCAN_LIMIT_DEFAULT;
    this.#startedAt = host.timers.now;
    this.#deadline = this.#startedAt + (timeoutMs ?? DEADLINE_MS_DEFAULT);
    this.#begin = from.place;
    this.#place = from.place;
    this.#spread = from.spread;
  }

  get #open(): number {
    return this.#limit - this.#keys.length;
  }

  *fill(): Script<Body | KvError> {
    for (;;) {
      const obstacle = yield* this.#window();
      if (!this.#host.leader.active)
        return new KvError("NOT_LEADER", "this coordinator lost its leadership: ask again");
      if (atEnd(this.#place) || this.#open === 0) return this.#body();
      const got = comparePlaces(this.#place, this.#begin) > 0;
      const { now } = this.#host.timers;
      if (obstacle?.final === true || now >= this.#deadline) return got ? this.#body() : (obstacle?.error ?? moving());
      if (got && now - this.#startedAt >= (this.#deadline - this.#startedAt) * BUDGET) return this.#body();
    }
  }

  #body(): Body {
    const cursor = atEnd(this.#place) ? {} : { cursor: formatCursor({ place: this.#place, spread: this.#spread }) };
    return { status: "ok", keys: this.#keys, ...cursor };
  }

  /** One window further, or what stood in its way. */
  *#window(): Script<Obstacle | undefined> {
    const window = yield* listWindow(this.#host.leader, {
      from: this.#place,
      width: Math.ceil((this.#spread * this.#open) / 1_000),
      prefix: this.#prefix,
      limit: Math.min(Math.max(this.#open, NODE_LIMIT_MIN), PAGE_KEYS_MAX),
      avoid: this.#avoid,
      now: this.#host.timers.now,
    });
    if (window.type === "listed") return yield* this.#take(window.found, window.upTo);
    return yield* this.#waitOut(window);
  }

  /** Waits a moment for what may pass. */
  *#waitOut(window: Exclude<WindowResult, { readonly type: "listed" }>): Script<Obstacle> {
    switch (window.type) {
      case "held":
        yield* wait(this.#released(this.#place.slot));
        return { error: moving() };
      case "unreachable": {
        const { hopeful, needed } = window;
        const error = noQuorum(`${hopeful} of the replicas of slot ${this.#place.slot} answer, ${needed} are needed`);
        if (hopeful < needed) return { error, final: true };
        yield* wait(sleep(this.#host.timers, AGAIN_MS));
        return { error };
      }
      case "refused":
        yield* wait(sleep(this.#host.timers, AGAIN_MS));
        return { error: this.#blame(window.refusals) };
    }
  }

  /** Done when the slot is released, or at the deadline. */
  #released(slot: number): Future<void> {
    const { leader, timers } = this.#host;
    const free = new Future<void>();
    const timer = timers.after(this.#deadline - timers.now, () => free.resolve());
    free.whenDone(() => timer.cancel());
    leader.sequencer.whenFree(slot, () => free.resolve());
    return free;
  }

  /** Other members are asked from now on, where there are enough of them. */
  #blame(refusals: ReadonlyMap<NodeId, Refusal>): KvError {
    for (const [node, refusal] of refusals) {
      this.#avoid.add(node);
      if (refusal.code === "FENCED") this.#host.leader.depose(Number(refusal["fence"]));
    }
    const texts = [...refusals].map(([node, { code, message }]) => `node ${node}: ${code} ${message}`);
    return noQuorum(`too few replicas listed slot ${this.#place.slot} (${texts.join("; ")})`);
  }

  /** Lists what was found, until the page is full. */
  *#take(found: readonly Found[], upTo: Place): Script<Obstacle | undefined> {
    const { taken, place } = upToLimit(found, this.#open, upTo);
    const doubtful = taken.filter(isDoubtful);
    const outcomes = yield* wait(all(doubtful.map(({ key }) => this.#read(key))));
    const there = new Map(doubtful.map(({ key }, index) => [key, outcomes[index]]));
    const failed = outcomes.find((outcome) => outcome.type === "error");
    if (failed?.type === "error") return { error: failed.error };
    const keys = taken.filter((each) => (isDoubtful(each) ? hasValue(there.get(each.key)) : !each.tombstone));
    for (const { key } of keys) this.#keys.push(key);
    this.#guess(keys.length, place.slot - this.#place.slot + (place.key === undefined ? 0 : 1));
    this.#place = place;
    return undefined;
  }

  #read(key: string): Future<ReadOutcome> {
    const { leader, timers, client } = this.#host;
    const slot = slotOf(key, leader.state.seed);
    const outcome = new Future<ReadOutcome>();
    leader.sequencer.read(
      { type: "read", client, id: 0, key, slot, level: "quorum", startedAt: timers.now, deadline: this.#deadline },
      (read) => outcome.resolve(read),
    );
    return outcome;
  }

  /** Learns how far matching keys are spread. */
  #guess(keys: number, slots: number): void {
    if (slots === 0) return;
    const seen = keys === 0 ? SPREAD_MAX : (slots * 1_000) / keys;
    const bounded = Math.min(Math.max(seen, this.#spread / SPREAD_FACTOR), this.#spread * SPREAD_FACTOR);
    this.#spread = Math.min(Math.max(Math.ceil(bounded), 1), SPREAD_MAX);
  }
}

/** The part of a window that cannot bring more than `limit` keys, and where it ends. */
function upToLimit(found: readonly Found[], limit: number, upTo: Place): { taken: readonly Found[]; place: Place } {
  let keys = 0;
  for (const [index, each] of found.entries()) {
    if (!each.tombstone || isDoubtful(each)) keys++;
    if (keys === limit) return { taken: found.slice(0, index + 1), place: { slot: each.slot, key: each.key } };
  }
  return { taken: found, place: upTo };
}

/** A delete that may never take effect, above a value. */
function isDoubtful({ tombstone, older }: Found): boolean {
  return tombstone && older;
}

function hasValue(outcome: ReadOutcome | undefined): boolean {
  return outcome?.type === "value" && outcome.value !== null;
}

function noQuorum(text: string): KvError {
  return new KvError("NO_QUORUM", `${text}: see "nodes" for what is down`);
}

function moving(): KvError {
  return new KvError("MOVING", "a slot changed hands for longer than the deadline: ask again");
}
