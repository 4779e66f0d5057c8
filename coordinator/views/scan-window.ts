// Window of a scan: a run of slots, each listed by a majority of its members at the leader's epoch and stamp (C6, N6), merged into one
// list of what is there. One `list` a node serves all its slots of the window, so empty slots cost no message of their own. Answers of
// a membership that changed meanwhile do not count (M4); a slot that is held ends the window before it (M2).
import { compareKeys } from "../../shared/key-order.ts";
import type { NodeId } from "../../shared/ids.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { ListResult, OpResult, Refusal } from "../../shared/protocol/node-messages.ts";
import { all, wait, type Script } from "../../shared/script.ts";
import { compare, type Stamp, type Version } from "../../shared/version.ts";
import type { Peer } from "../cluster/peers.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { Leader } from "../leader.ts";
import { comparePlaces, earlier, type Place } from "./scan-cursor.ts";

const LIST_TIMEOUT_MS = 600;
/** Slots of one window with a prefix: a node looks into all of them in one go. Without one, it stops when its page is full. */
const SEARCHED_SLOTS_MAX = 512;

/** What the members of a majority say of one key. */
export interface Found {
  readonly slot: number;
  readonly key: string;
  /** The highest among them. */
  version: Version;
  tombstone: boolean;
  /** Whether some member holds a value below the highest. */
  older: boolean;
}

export type WindowResult =
  /** Everything from the beginning up to `upTo`, in order. Empty-handed where `upTo` is the beginning: ask again. */
  | { readonly type: "listed"; readonly found: readonly Found[]; readonly upTo: Place }
  | { readonly type: "held" }
  /** Too few members of the first slot are worth asking; `hopeful` of them may yet answer. */
  | { readonly type: "unreachable"; readonly hopeful: number; readonly needed: number }
  | { readonly type: "refused"; readonly refusals: ReadonlyMap<NodeId, Refusal> };

export interface WindowRequest {
  readonly from: Place;
  /** Slots to look at, where as many can be asked together. */
  readonly width: number;
  readonly prefix: string;
  /** Entries that one node lists at most. */
  readonly limit: number;
  /** Nodes that refused or were silent lately: asked only where there is no other. */
  readonly avoid: ReadonlySet<NodeId>;
  readonly now: number;
}

interface Asked {
  readonly peer: Peer;
  readonly slots: number[];
  readonly stamps: Stamp[];
}

interface Choice {
  readonly asked: ReadonlyMap<NodeId, Asked>;
  /** Memberships that the answers will belong to, from the first slot on. */
  readonly memberships: readonly (readonly NodeId[])[];
}

export function* listWindow(leader: Leader, request: WindowRequest): Script<WindowResult> {
  const choice = choose(leader, request);
  if ("type" in choice) return choice;
  const asked = [...choice.asked.values()];
  const answers = yield* wait(all(asked.map((each) => each.peer.link.ask(listOp(each, request), LIST_TIMEOUT_MS))));
  const refusals = new Map<NodeId, Refusal>();
  answers.forEach((answer, index) => {
    if (answer.status === "error") refusals.set((asked[index] as Asked).peer.id, answer);
  });
  if (refusals.size > 0) return { type: "refused", refusals };
  const pages = answers as readonly OpResult[] as readonly ListResult[];
  return merge(pages, covered(leader, request, choice, pages), request.from);
}

/** For each slot of the window, the majority of members to ask; fewer slots where one cannot be asked now. */
function choose(leader: Leader, request: WindowRequest): Choice | WindowResult {
  const asked = new Map<NodeId, Asked>();
  const memberships: (readonly NodeId[])[] = [];
  const most = request.prefix === "" ? SLOTS : SEARCHED_SLOTS_MAX;
  const end = Math.min(request.from.slot + Math.min(request.width, most), SLOTS);
  for (let slot = request.from.slot; slot < end; slot++) {
    const runtime = leader.slots[slot] as SlotRuntime;
    const readers = runtime.held ? [] : readersOf(leader, runtime, request);
    if (runtime.held || readers.length < runtime.quorum) {
      if (slot > request.from.slot) break;
      if (runtime.held) return { type: "held" };
      const hopeful = runtime.members.filter((id) => leader.peers.get(id)?.hopeful(request.now) === true).length;
      return { type: "unreachable", hopeful, needed: runtime.quorum };
    }
    memberships.push(runtime.members);
    for (const peer of readers) {
      const known = asked.get(peer.id) ?? { peer, slots: [], stamps: [] };
      asked.set(peer.id, known);
      known.slots.push(slot);
      known.stamps.push(runtime.stamp);
    }
  }
  return { asked, memberships };
}

/** As many members as a quorum read needs, those that are most likely to answer. */
function readersOf(leader: Leader, { slot, members, quorum }: SlotRuntime, { avoid }: WindowRequest): Peer[] {
  const peers = members.map((id) => leader.peers.get(id)).filter((peer) => peer?.up === true) as Peer[];
  const rank = (peer: Peer): number => (avoid.has(peer.id) ? 2 : 0) + (peer.confirmed[slot] === 1 ? 0 : 1);
  const ordered = peers.some((peer) => rank(peer) > 0) ? [...peers].sort((a, b) => rank(a) - rank(b)) : peers;
  return ordered.slice(0, quorum);
}

function listOp({ slots, stamps }: Asked, { from, prefix, limit }: WindowRequest): Parameters<Peer["link"]["ask"]>[0] {
  // Only the first slot is begun in the middle, and not every node lists it.
  const { slot, key } = from;
  const after = key !== undefined && slots[0] === slot ? { after: { slot, key } } : {};
  return { op: "list", slots, stamps, limit, ...(prefix !== "" && { prefix }), ...after };
}

/** How far every node's page reaches, through slots whose members are still those that were asked. */
function covered(leader: Leader, { from }: WindowRequest, choice: Choice, pages: readonly ListResult[]): Place {
  const { memberships } = choice;
  const changed = memberships.findIndex((members, index) => leader.slots[from.slot + index]?.members !== members);
  const slots = changed < 0 ? memberships.length : changed;
  const end: Place = slots === 0 ? from : { slot: from.slot + slots };
  return pages.reduce((place, { next }) => (next ? earlier(place, next) : place), end);
}

function merge(pages: readonly ListResult[], upTo: Place, from: Place): WindowResult {
  const bySlot = new Map<number, Map<string, Found>>();
  for (const { entries } of pages) {
    for (const [slot, key, version, tombstone] of entries) {
      if (comparePlaces({ slot, key }, upTo) > 0) break;
      const keys = bySlot.get(slot) ?? new Map<string, Found>();
      bySlot.set(slot, keys);
      const known = keys.get(key);
      if (known) combine(known, version, tombstone === 1);
      else keys.set(key, { slot, key, version, tombstone: tombstone === 1, older: false });
    }
  }
  const slots = [...bySlot.keys()].sort((a, b) => a - b);
  const found = slots.flatMap((slot) =>
    [...(bySlot.get(slot)?.values() ?? [])].sort((a, b) => compareKeys(a.key, b.key)),
  );
  return { type: "listed", found: comparePlaces(upTo, from) > 0 ? found : [], upTo };
}

function combine(known: Found, version: Version, tombstone: boolean): void {
  const order = compare(version, known.version);
  if (order < 0) known.older ||= !tombstone;
  if (order <= 0) return;
  known.older ||= !known.tombstone;
  known.version = version;
  known.tombstone = tombstone;
}
