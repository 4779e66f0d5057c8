// Cluster state: what all voters agree on. Members, voters, the slot table with its stamps, and the topology operations that are
// under way, so that a new leader goes on where the old one stopped. Immutable: every change is a new state under a new ballot.
// Travels as small JSON, the slot table as its different placements and a base64 string of their numbers, slot by slot: mostly some 15 KB,
// which voters make durable while clients wait (M4). A voter keeps it opaque.
import { assert } from "./assert.ts";
import { KvError } from "./errors.ts";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "./ids.ts";
import { NODES_MAX, REPLICAS_MAX, SLOTS, VOTERS_MAX } from "./limits.ts";
import type { OperationChange } from "./protocol/client-messages.ts";
import { majority } from "./quorum.ts";
import type { Stamp } from "./version.ts";

export interface Member {
  readonly id: NodeId;
  readonly incarnation: Incarnation;
  readonly address: string;
  readonly weight: number;
  /**
   * `joining` until its slots are there; `draining` while they leave. `away`: it does not answer, and slots that cannot write without it
   * do without it. `replaced`: it has not answered for long, and others take its slots.
   */
  readonly state: "joining" | "up" | "draining" | "away" | "replaced";
}

/** A seat among the voters: a member, or a coordinator that keeps a record beside its cluster file (V5). */
export interface VoterSeat {
  /** Member id, or `coordinator:<uuid>` for a coordinator's record. */
  readonly id: string;
  readonly kind: "node" | "coordinator";
  /** Where it is reached; for a member, as of the state's making. */
  readonly address: string;
}

/** One slot: who holds it, and since which attempt. */
export interface Placement {
  readonly members: readonly NodeId[];
  readonly stamp: Stamp;
}

export interface TopologyOperation {
  readonly id: string;
  readonly change: OperationChange;
  /** Whether its first change of the state (a member joins, drains, another number of copies) was made. */
  readonly begun: boolean;
  /** Slots to move, as planned when it began. */
  readonly slotsTotal: number;
  /** setreplica: the number to go back to when it is cancelled. */
  readonly previousRf?: number;
}

export interface ClusterState {
  readonly cluster: ClusterId;
  /** Hash seed: key → slot. */
  readonly seed: number;
  /** Copies wanted; there are as many as nodes while there are fewer. */
  readonly rf: number;
  /** Who leads since this state's epoch, and where clients reach it. */
  readonly leader: { readonly owner: OwnerId; readonly address: string };
  readonly members: readonly Member[];
  /** Empty where the state is kept in an etcd: then nobody votes. */
  readonly voters: readonly VoterSeat[];
  /** The first is under way, the others wait. */
  readonly operations: readonly TopologyOperation[];
  readonly nextOperation: number;
  /** 4096 placements. */
  readonly slots: readonly Placement[];
}

/** Copies that `rf` comes to with so many nodes. */
export function effectiveCopies(rf: number, nodes: number): number {
  return Math.min(rf, nodes);
}

export function memberOf(state: ClusterState, id: string): Member | undefined {
  return state.members.find((member) => member.id === id);
}

/** Whether the state has written the member off for now. */
export function isAbsent(member: Member | undefined): boolean {
  return member?.state === "away" || member?.state === "replaced";
}

/** Votes needed among these voters. */
export function votesNeeded(voters: readonly unknown[]): number {
  return majority(voters.length);
}

/** Whose acknowledgements are a leader's confidence (C10): the voters; where nobody votes, the members. */
export function confirmersOf({
  voters,
  members,
}: ClusterState): readonly { readonly id: string; readonly address: string }[] {
  return voters.length > 0 ? voters : members;
}

/** The state with other placements for some slots. */
export function withPlacements(state: ClusterState, changed: ReadonlyMap<number, Placement>): ClusterState {
  return { ...state, slots: state.slots.map((placement, slot) => changed.get(slot) ?? placement) };
}

/** Of the states that are in use. Making one takes milliseconds, during which slots may be held (M4). */
const TEXTS = new WeakMap<ClusterState, string>();

const FORMAT = 2;

/** A placement in the text: stamp, and members by their places in `members`. */
type PlacementRow = readonly [epoch: number, n: number, ...members: number[]];

/** What the text says, beside what the state does. */
interface Encoded extends Omit<ClusterState, "slots"> {
  readonly format: number;
  /** Base64 of a number for each slot, 16 bits: its place in `placements`. */
  readonly table: string;
  readonly placements: readonly PlacementRow[];
}

/** The state as JSON text, for voters. */
export function encodeState(state: ClusterState): string {
  const known = TEXTS.get(state);
  if (known !== undefined) return known;
  const { slots, ...rest } = state;
  const encoded: Encoded = { format: FORMAT, ...rest, ...encodeSlots(state.members, slots) };
  const text = JSON.stringify(encoded);
  TEXTS.set(state, text);
  return text;
}

/**
 * The inverse of `encodeState`.
 * @throws KvError UNSUPPORTED_PROTOCOL for a newer format; BAD_REQUEST for anything that is no state
 */
export function decodeState(text: string): ClusterState {
  let parsed: Encoded;
  try {
    parsed = JSON.parse(text) as Encoded;
  } catch (error) {
    throw new KvError("BAD_REQUEST", `cluster state: not JSON (${String(error)})`);
  }
  const { format, table, placements, ...rest } = parsed;
  if (format !== 1 && format !== FORMAT)
    throw new KvError("UNSUPPORTED_PROTOCOL", `cluster state has format ${String(format)}: upgrade this program`);
  if (typeof table !== "string" || (format === FORMAT && !Array.isArray(placements)))
    throw new KvError("BAD_REQUEST", "cluster state: no slot table");
  const bytes = bytesOf(table);
  const { members } = rest;
  return { ...rest, slots: format === 1 ? decodeTable1(members, bytes) : decodeSlots(members, placements, bytes) };
}

function encodeSlots(members: readonly Member[], slots: readonly Placement[]): Pick<Encoded, "table" | "placements"> {
  const placeOf = new Map(members.map(({ id }, place) => [id, place]));
  const numbers = new Map<string, number>();
  const placements: PlacementRow[] = [];
  const bytes = new Uint8Array(2 * slots.length);
  slots.forEach(({ members: ids, stamp }, slot) => {
    const name = `${stamp[0]}.${stamp[1]} ${ids.join(" ")}`;
    let number = numbers.get(name);
    if (number === undefined) {
      number = placements.length;
      numbers.set(name, number);
      placements.push([...stamp, ...ids.map((id) => placeAmong(placeOf, id))]);
    }
    bytes[2 * slot] = number >> 8;
    bytes[2 * slot + 1] = number;
  });
  return { placements, table: base64(bytes) };
}

function placeAmong(places: ReadonlyMap<NodeId, number>, id: NodeId): number {
  const place = places.get(id);
  assert(place !== undefined, "the slot table names members");
  return place;
}

function decodeSlots(members: readonly Member[], rows: readonly PlacementRow[], bytes: Uint8Array): Placement[] {
  const placements = rows.map(([epoch, n, ...ids]): Placement => ({
    stamp: [epoch, n],
    members: ids.map((place) => memberAt(members, place)),
  }));
  return Array.from({ length: bytes.length / 2 }, (_, slot) => {
    const placement = placements[((bytes[2 * slot] ?? 0) << 8) | (bytes[2 * slot + 1] ?? 0)];
    if (!placement) throw new KvError("BAD_REQUEST", "cluster state: the slot table names an unknown placement");
    return placement;
  });
}

function memberAt(members: readonly Member[], place: number): NodeId {
  const member = members[place];
  if (!member) throw new KvError("BAD_REQUEST", "cluster state: the slot table names an unknown member");
  return member.id;
}

function bytesOf(table: string): Uint8Array {
  try {
    return Uint8Array.from(atob(table), (unit) => unit.charCodeAt(0));
  } catch (error) {
    throw new KvError("BAD_REQUEST", `cluster state: the slot table is no Base64 (${String(error)})`);
  }
}

/**
 * The table of format 1, which is read so that a cluster can be upgraded process by process: of each slot the stamp's epoch (32 bits) and n
 * (48), how many members it has (8), and their places (16 each).
 */
function decodeTable1(members: readonly Member[], bytes: Uint8Array): Placement[] {
  const view = new DataView(bytes.buffer);
  const slots: Placement[] = [];
  for (let offset = 0; offset < view.byteLength;) {
    const left = view.byteLength - offset;
    if (left < 11 || left < 11 + 2 * view.getUint8(offset + 10))
      throw new KvError("BAD_REQUEST", "cluster state: the slot table is cut short");
    const stamp: Stamp = [view.getUint32(offset), view.getUint16(offset + 4) * 2 ** 32 + view.getUint32(offset + 6)];
    const count = view.getUint8(offset + 10);
    offset += 11;
    const places = Array.from({ length: count }, (_, copy) => view.getUint16(offset + 2 * copy));
    offset += 2 * count;
    slots.push({ members: places.map((place) => memberAt(members, place)), stamp });
  }
  return slots;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** The two characters of twelve bits. */
const PAIRS = Array.from({ length: 0x1000 }, (_, bits) => ALPHABET.charAt(bits >> 6) + ALPHABET.charAt(bits & 0x3f));

/** A seventh of the time of `btoa`, which was half of what it took to encode a state. */
function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const bits = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += (PAIRS[bits >> 12] ?? "") + (PAIRS[bits & 0xfff] ?? "");
  }
  const beyond = (3 - (bytes.length % 3)) % 3;
  return beyond === 0 ? text : text.slice(0, -beyond) + "=".repeat(beyond);
}

/** Of the states that are in use: they never change, and looking at one takes a millisecond. */
const SOUND = new WeakSet<ClusterState>();

/** What must hold of every state a leader proposes. A violation is our own bug. */
export function assertState(state: ClusterState): void {
  if (SOUND.has(state)) return;
  const ids = new Set(state.members.map(({ id }) => id));
  assert(ids.size === state.members.length && ids.size <= NODES_MAX, "members are distinct and within the limit");
  assert(state.slots.length === SLOTS, "every slot has a placement");
  assert(state.voters.length <= VOTERS_MAX + 1, "voters within the limit");
  assert(state.rf >= 1 && state.rf <= REPLICAS_MAX, "copies within the limit");
  for (const { members } of state.slots) {
    const distinct = members.every((id, place) => members.indexOf(id) === place);
    assert(members.length >= 1 && distinct, "a slot has distinct members");
    for (const id of members) assert(ids.has(id), "a slot's member is a member of the cluster");
  }
  SOUND.add(state);
}
