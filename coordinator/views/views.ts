// Views: what operators and clients ask a leader to show. Read only; what only the nodes know is asked of them first.
import { effectiveCopies } from "../../shared/cluster-state.ts";
import type {
  NodeStatus,
  RingAnswer,
  StatsAnswer,
  StatusAnswer,
  WhereAnswer,
} from "../../shared/protocol/client-messages.ts";
import type { ReadResult } from "../../shared/protocol/node-messages.ts";
import { hash32 } from "../../shared/hash.ts";
import { all, wait, type Script } from "../../shared/script.ts";
import { slotOf } from "../../shared/slot.ts";
import { equal, format, isZero, ZERO } from "../../shared/version.ts";
import type { Peer } from "../cluster/peers.ts";
import { highestOf } from "../sequencer/register-io.ts";
import type { Leader } from "../leader.ts";

const STATS_TIMEOUT_MS = 500;

type Body<T> = Omit<T, "id">;

/** Status of every member, with what it says of itself. */
export function* nodeStatuses(leader: Leader, now: number): Script<NodeStatus[]> {
  const peers = leader.peers.all();
  const answers = yield* wait(all(peers.map(({ link }) => link.call("control", { op: "stats" }, STATS_TIMEOUT_MS))));
  const placements = leader.state.slots.reduce((sum, { members }) => sum + members.length, 0);
  return peers.map((peer, index) => nodeStatus(leader, peer, answers[index] ?? {}, { now, placements }));
}

function nodeStatus(
  leader: Leader,
  peer: Peer,
  stats: Readonly<Record<string, unknown>>,
  { now, placements }: { readonly now: number; readonly placements: number },
): NodeStatus {
  const { id, incarnation, address, weight } = peer.member;
  const slots = leader.state.slots.filter(({ members }) => members.includes(id)).length;
  const lag = leader.behind.lag(id);
  const number = (name: string): number | null => (typeof stats[name] === "number" ? stats[name] : null);
  return {
    id,
    address,
    incarnation,
    weight,
    state: peer.state(now),
    voter: leader.state.voters.some((seat) => seat.id === id),
    slots,
    share: placements === 0 ? 0 : slots / placements,
    keys: number("keys"),
    bytes: number("bytes"),
    lastHeardMs: peer.link.heardAt === undefined ? null : Math.max(0, Math.round(now - peer.link.heardAt)),
    eventLoopDelayMs: number("eventLoopDelayMs"),
    missed: lag.missed,
    unchecked: lag.unchecked,
    behindMs: lag.since === undefined ? null : Math.round(now - lag.since),
  };
}

export function* status(leader: Leader, now: number): Script<Body<StatusAnswer>> {
  const nodes = yield* nodeStatuses(leader, now);
  const { state, stateLog, epoch } = leader;
  const copies = effectiveCopies(state.rf, state.members.length);
  return {
    status: "ok",
    role: "leader",
    cluster: state.cluster,
    epoch,
    ballot: format(stateLog.ballot),
    leader: { address: state.leader.address, sinceMs: Math.round(now - leader.since) },
    standbys: leader.standbys.addresses,
    voters: state.voters.map(({ id, address }) => ({ id, address, answers: leader.heartbeats.answers(id) })),
    ...(leader.place && { stateAt: leader.place }),
    rf: state.rf,
    copies,
    underReplicatedSlots: state.slots.filter(({ members }) => members.length < state.rf).length,
    nodes,
    operations: leader.topology.operations(),
  };
}

export function* stats(leader: Leader, now: number): Script<Body<StatsAnswer>> {
  const nodes = yield* nodeStatuses(leader, now);
  const load = yield* leader.loads();
  const totalKeys = nodes.reduce((sum, { keys }) => sum + (keys ?? 0), 0);
  const distinctKeys = leader.slots.reduce((sum, { slot }) => sum + load(slot).keys, 0);
  const averageKeys = nodes.length === 0 ? 0 : Math.round((totalKeys / nodes.length) * 100) / 100;
  return { status: "ok", nodes: nodes.length, totalKeys, averageKeys, distinctKeys };
}

export function ring(leader: Leader): Body<RingAnswer> {
  const { state, stateLog, epoch } = leader;
  const index = new Map(state.members.map(({ id }, position) => [id, position]));
  return {
    status: "ok",
    cluster: state.cluster,
    seed: state.seed,
    ballot: format(stateLog.ballot),
    epoch,
    rf: state.rf,
    members: state.members.map(({ id, address, incarnation, weight }) => ({ id, address, incarnation, weight })),
    slots: state.slots.map(({ members }) => members.map((id) => index.get(id) ?? 0)),
  };
}

/** Slot and replicas of a key, and what each of them holds. */
export function* where(leader: Leader, key: string): Script<Body<WhereAnswer>> {
  const slot = slotOf(key, leader.state.seed);
  const runtime = leader.slots[slot];
  const members = runtime?.members ?? [];
  const asked = members.map((id) =>
    leader.peers.get(id)?.link.ask({ op: "read", slot, stamp: runtime?.stamp ?? ZERO, key }, STATS_TIMEOUT_MS),
  );
  const results = yield* wait(all(asked.filter((future) => future !== undefined)));
  const answers = results.filter((result): result is ReadResult => result.status === "ok");
  const newest = answers.length > 0 ? highestOf(answers).version : ZERO;
  const replicas = members.map((id, index) => {
    const result = results[index];
    const address = leader.peers.get(id)?.member.address ?? "";
    if (!result || result.status === "error") return { id, address, status: result?.code ?? "NODE_UNREACHABLE" };
    const { version, value } = result as ReadResult;
    const held = isZero(version) ? {} : { version: format(version), tombstone: value === null };
    const digest = value === null ? {} : { digest: hash32(JSON.stringify(value), 0).toString(16).padStart(8, "0") };
    return { id, address, status: "ok", ...held, ...digest, inStep: equal(version, newest) };
  });
  return { status: "ok", key, slot, replicas };
}
