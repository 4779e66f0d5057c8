// Rejoin: who a node is that asks to be let in (`node_server --join`). The node itself is asked, at the address it gives, so that nobody
// can move another one. A known incarnation at a new address just gets its address updated. A blank node under the id of a member that
// does not answer has lost its disk: under the old incarnation it counts in no quorum, so the member is removed, and then it is added.
import type { ClusterState, Member } from "../shared/cluster-state.ts";
import { KvError } from "../shared/errors.ts";
import type { NodeId } from "../shared/ids.ts";
import type { Script } from "../shared/script.ts";
import type { Timers } from "../shared/timers.ts";
import type { Voters } from "./election/voters.ts";
import type { Leader } from "./leader.ts";
import type { Links } from "./links/links.ts";
import { greetNewcomer, takenByOther } from "./newcomer.ts";

export interface RejoinHost {
  readonly timers: Timers;
  readonly links: Links;
  readonly voters: Voters;
}

/** `member`: it is one, at that address. `newcomer`: to be added. `emptied`: a member that has lost its disk. */
export type Rejoined = "member" | "newcomer" | "emptied" | KvError;

export function* rejoin(
  { timers, links, voters }: RejoinHost,
  leader: Leader,
  { node, address }: { readonly node: NodeId; readonly address: string },
): Script<Rejoined> {
  const found = yield* greetNewcomer(timers, links, address);
  if (found instanceof KvError) return found;
  const { cluster, members } = leader.state;
  if (found.cluster !== null && found.cluster !== cluster) return takenByOther(address, found.cluster);
  const known = members.find(({ incarnation }) => incarnation === found.incarnation);
  if (!known && found.cluster === null && isLost(leader, node)) return "emptied";
  const refusal = refusalOf(members, known, { node, address });
  if (refusal) return refusal;
  if (!known) return "newcomer";
  if (known.address === address) return "member";
  // Its vote is asked for where it is now.
  voters.found(node, address);
  const proposed = yield* leader.stateLog.propose((state) => moved(state, known, address));
  return proposed ? "member" : new KvError("NOT_LEADER", "this coordinator lost its leadership: ask again");
}

/** Whether a member of that id is gone, and every slot of it has another copy. */
function isLost(leader: Leader, node: NodeId): boolean {
  const peer = leader.peers.get(node);
  if (!peer || peer.up) return false;
  return leader.state.slots.every(({ members }) => !members.includes(node) || members.length > 1);
}

function refusalOf(
  members: readonly Member[],
  known: Member | undefined,
  { node, address }: { readonly node: NodeId; readonly address: string },
): KvError | undefined {
  if (known && known.id !== node) {
    return new KvError(
      "NODE_EXISTS",
      `the data directory of ${address} is node ${known.id}'s: it cannot join as ${node}`,
    );
  }
  const other = members.find((member) => member.id !== node && member.address === address);
  // Two members at one address would answer for each other.
  if (other) {
    return new KvError("NODE_EXISTS", `${address} is node ${other.id}'s address: let ${other.id} join elsewhere first`);
  }
  if (known || !members.some(({ id }) => id === node)) return undefined;
  const text = `there is a node ${node} already, with other data: removenode ${node} first (--force where it had the only copy), or join under another id`;
  return new KvError("NODE_EXISTS", text);
}

/** The state with the member, and the seat it may have, at another address. */
function moved(state: ClusterState, { id, incarnation }: Member, address: string): ClusterState {
  const same = (member: Member): boolean => member.id === id && member.incarnation === incarnation;
  const taken = state.members.some((member) => !same(member) && member.address === address);
  if (taken || !state.members.some(same)) return state;
  return {
    ...state,
    members: state.members.map((member) => (same(member) ? { ...member, address } : member)),
    voters: state.voters.map((seat) => (seat.id === id ? { ...seat, address } : seat)),
  };
}
