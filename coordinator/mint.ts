// Minting (C0): the first `addnode` of a coordinator that knows no cluster makes one of a blank node: a fresh id and hash seed, the node as
// only member and only voter (if any: agreement.ts), every slot on it, and this coordinator as the leader of epoch 1. The cluster file is created afterwards,
// exclusively, by the edge.
import { encodeState, type ClusterState } from "../shared/cluster-state.ts";
import { KvError } from "../shared/errors.ts";
import type { ClusterId, OwnerId } from "../shared/ids.ts";
import type { TopologyChange } from "../shared/protocol/client-messages.ts";
import { sleep, wait, type Script } from "../shared/script.ts";
import { allSlots } from "../shared/slot.ts";
import type { Timers } from "../shared/timers.ts";
import type { Ballot } from "../shared/version.ts";
import { FIRST_STAMP } from "./cluster/peers.ts";
import type { Agreement, Won } from "./election/agreement.ts";
import type { Links } from "./links/links.ts";
import { greetNewcomer, takenByOther, type Newcomer } from "./newcomer.ts";

export type AddNode = Extract<TopologyChange, { op: "addnode" }>;

export interface Minting {
  readonly timers: Timers;
  readonly links: Links;
  readonly agreement: Agreement;
  readonly owner: OwnerId;
  /** Where clients reach this coordinator. */
  readonly address: string;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** A fresh UUID. */
  readonly uuid: () => string;
}

const INIT_TIMEOUT_MS = 2_000;
/** For as long the same is asked again. */
const INIT_MS_MAX = 20_000;
const CONNECT_POLL_MS = 20;
const DEFAULT_RF = 3;

/**
 * @param wanted Whether there is still no cluster once the node has answered.
 * @returns the leadership of the new cluster; undefined where none is wanted any more
 */
export function* mint(minting: Minting, change: AddNode, wanted: () => boolean): Script<Won | KvError | undefined> {
  const { timers, links, agreement, owner, address } = minting;
  const occupied = yield* agreement.vacant();
  if (occupied) return occupied;
  const found = yield* greetNewcomer(timers, links, change.address);
  if (found instanceof KvError) return found;
  if (found.cluster !== null) return takenByOther(change.address, found.cluster);
  if (!wanted()) return undefined;
  const state = firstState(minting, change, found);
  const { cluster, seed } = state;
  const ballot: Ballot = [1, 1];
  const message = { op: "init", cluster, node: change.node, seed, owner, ballot, state: encodeState(state) };
  const link = links.to(change.address);
  const until = timers.now + INIT_MS_MAX;
  let answer = yield* wait(link.call("control", message, INIT_TIMEOUT_MS));
  // An answer that was lost may have been a yes, and the node then belongs to this cluster or to none: the same is asked again.
  while (answer["code"] === "LOST" && timers.now < until) {
    while (!link.isUp("control") && timers.now < until) yield* wait(sleep(timers, CONNECT_POLL_MS));
    answer = yield* wait(link.call("control", message, INIT_TIMEOUT_MS));
  }
  if (answer["status"] !== "ok") {
    const text = `${change.address} could not become the first node: ${String(answer["message"])}`;
    return new KvError("NODE_UNREACHABLE", text);
  }
  return (yield* agreement.found(owner, address, { ballot, state })) ?? { epoch: 1, ballot, state };
}

function firstState(
  { agreement, owner, address: own, random, uuid }: Minting,
  { node, address, weight }: AddNode,
  { incarnation }: Newcomer,
): ClusterState {
  return {
    cluster: uuid() as ClusterId,
    seed: Math.floor(random() * 2 ** 32),
    rf: DEFAULT_RF,
    leader: { owner, address: own },
    members: [{ id: node, incarnation, address, weight: weight ?? 1, state: "up" }],
    voters: agreement.place === undefined ? [{ id: node, kind: "node", address }] : [],
    operations: [],
    nextOperation: 1,
    slots: allSlots().map(() => ({ members: [node], stamp: FIRST_STAMP })),
  };
}
