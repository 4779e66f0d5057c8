// Voter seats (V5): who should vote, and the next single change towards it. One storage node: it alone. Two: both, and a record beside
// the coordinator's cluster file, so that either may die. Three or four: three of them. Five and more: five. Even sizes occur in between;
// majorities of neighbouring sets always meet. A set grows before it shrinks; what leaves or does not answer goes before the rest.
// Where the state is kept in an etcd there are no seats.
import { votesNeeded, type ClusterState, type VoterSeat } from "../../shared/cluster-state.ts";
import { VOTERS_MAX } from "../../shared/limits.ts";

export interface SeatWishes {
  /** Member that is about to be removed. */
  readonly leaving: string | undefined;
  /** Whether a seat answers. */
  readonly answers: (id: string) => boolean;
  /** The record beside our own cluster file, once it is there. */
  readonly local: VoterSeat | undefined;
}

/** The voter set one step nearer to what it should be; undefined when it is right, or when no such step could be agreed on now. */
export function nextVoters(state: ClusterState, wishes: SeatWishes): readonly VoterSeat[] | undefined {
  if (state.voters.length === 0) return undefined;
  // A change that is proposed must be carried through: only one for which both majorities answer is begun.
  const agreeable = (voters: readonly VoterSeat[]): boolean =>
    voters.filter(({ id }) => wishes.answers(id)).length >= votesNeeded(voters);
  return agreeable(state.voters) ? steps(state, wishes).find(agreeable) : undefined;
}

/** Voter sets that are one seat nearer to what is wanted, the best first. */
function steps(state: ClusterState, wishes: SeatWishes): (readonly VoterSeat[])[] {
  const wanted = wantedVoters(state, wishes);
  const unwanted = state.voters.filter((seat) => !wanted.some(({ id }) => id === seat.id));
  // The silent go first, then a record beside a cluster file, which is lost the easiest, then who is removed.
  const rank = ({ id, kind }: VoterSeat): number => {
    if (!wishes.answers(id)) return 0;
    if (kind === "coordinator") return 1;
    return id === wishes.leaving ? 2 : 3;
  };
  const open = wanted.filter(({ id }) => !state.voters.some((seat) => seat.id === id));
  // A record beside a cluster file comes last: with one node alone it would be a second one without which nothing goes.
  const nodesSeated = open.every(({ kind }) => kind === "coordinator");
  const missing = open.filter(({ id, kind }) => wishes.answers(id) && (kind === "node" || nodesSeated));
  // While somebody who should vote is not seated yet, nobody who votes and answers goes, unless it is removed: of two voters none may die.
  const mayGo = ({ id }: VoterSeat): boolean => open.length === 0 || id === wishes.leaving || !wishes.answers(id);
  const without = (gone: VoterSeat): readonly VoterSeat[] => state.voters.filter(({ id }) => id !== gone.id);
  const going = state.voters.length > 1 ? unwanted.toSorted((a, b) => rank(a) - rank(b)).filter(mayGo) : [];
  return [
    // Growing first: between two sets of three there is one of four, never one of two, which could lose nobody.
    ...missing.map((seat) => [...state.voters, seat]),
    ...going.map(without),
  ];
}

function wantedVoters(state: ClusterState, wishes: SeatWishes): VoterSeat[] {
  const staying = state.members.filter(({ id }) => id !== wishes.leaving);
  const seated = (id: string): boolean => state.voters.some((seat) => seat.id === id);
  // Those that vote already stay, then those that answer, then in the order in which they joined.
  const rank = ({ id }: { readonly id: string }): number => (seated(id) ? 0 : 2) + (wishes.answers(id) ? 0 : 1);
  const ordered = [...staying].sort((a, b) => rank(a) - rank(b));
  const nodes = ordered
    .slice(0, nodeSeats(staying.length))
    .map(({ id, address }): VoterSeat => ({ id, kind: "node", address }));
  return staying.length === 2 && wishes.local ? [...nodes, wishes.local] : nodes;
}

function nodeSeats(nodes: number): number {
  if (nodes >= VOTERS_MAX) return VOTERS_MAX;
  return nodes >= 3 ? 3 : nodes;
}
