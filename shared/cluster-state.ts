// Cluster state: what all voters agree on. Members, voters, the slot table with its stamps, and the topology operations that are
// under way, so that a new leader goes on where the old one stopped. Immutable: every change is a new state under a new ballot.
// Travels as small JSON, with the slot table as one base64 string (77 KB at three copies): a voter keeps it opaque.
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
  readonly format: 1;
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

/** The state as JSON text, for voters. */
export function encodeState(state: ClusterState): string {
  const known = TEXTS.get(state);
  if (known !== undefined) return known;
  const { slots, ...rest } = state;
  const text = JSON.stringify({ ...rest, table: encodeTable(state.members, slots) });
  TEXTS.set(state, text);
  return text;
}

/**
 * The inverse of `encodeState`.
 * @throws KvError UNSUPPORTED_PROTOCOL for a newer format; BAD_REQUEST for anything that is no state
 */
export function decodeState(text: string): ClusterState {
  let parsed: Omit<ClusterState, "slots"> & { readonly table: string };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch (error) {
    throw new KvError("BAD_REQUEST", `cluster state: not JSON (${String(error)})`);
  }
  if (parsed.format !== 1) {
    throw new KvError(
      "UNSUPPORTED_PROTOCOL",
      `cluster state has format ${String(parsed.format)}: upgrade this program`,
    );
  }
  const { table, ...rest } = parsed;
  return { ...rest, slots: decodeTable(parsed.members, table) };
}

/** Bytes of one slot: stamp epoch u32, stamp n u48, count u8, then u16 indices into the members. */
const STAMP_BYTES = 4 + 6 + 1;

function encodeTable(members: readonly Member[], slots: readonly Placement[]): string {
  const index = new Map(members.map((member, position) => [member.id, position]));
  const length = slots.reduce((sum, { members: ids }) => sum + STAMP_BYTES + 2 * ids.length, 0);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const { members: ids, stamp } of slots) {
    view.setUint32(offset, stamp[0]);
    view.setUint16(offset + 4, Math.floor(stamp[1] / 2 ** 32));
    view.setUint32(offset + 6, stamp[1] % 2 ** 32);
    view.setUint8(offset + 10, ids.length);
    offset += STAMP_BYTES;
    for (const id of ids) {
      const position = index.get(id);
      assert(position !== undefined, "the slot table names members");
      view.setUint16(offset, position);
      offset += 2;
    }
  }
  return base64(bytes);
}

function decodeTable(members: readonly Member[], table: string): Placement[] {
  const binary = atob(table);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  const view = new DataView(bytes.buffer);
  const slots: Placement[] = [];
  let offset = 0;
  while (offset < view.byteLength) {
    const stamp: Stamp = [view.getUint32(offset), view.getUint16(offset + 4) * 2 ** 32 + view.getUint32(offset + 6)];
    const count = view.getUint8(offset + 10);
    offset += STAMP_BYTES;
    const ids: NodeId[] = [];
    for (let copy = 0; copy < count; copy++, offset += 2) {
      const member = members[view.getUint16(offset)];
      if (!member) throw new KvError("BAD_REQUEST", "cluster state: the slot table names an unknown member");
      ids.push(member.id);
    }
    slots.push({ members: ids, stamp });
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
