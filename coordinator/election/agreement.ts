// Agreement: the place where it is agreed which epoch has begun, who leads it, and what the cluster state is (C1). There are two: voters among
// the storage nodes (voter-agreement.ts, the default), and an etcd that runs already (etcd-agreement.ts). Both pass test/contract/agreement.ts:
//
// - an epoch is won at most once, by one owner, and is above every epoch won before;
// - the winner has the newest state that was accepted, and no change of an earlier epoch is accepted after it has won;
// - a change is accepted or not, whatever becomes of the answers: it is repeated with the same ballot and the same state until that is known;
// - a leader that says that it lives is not disturbed, one that falls silent is succeeded.
//
// The place does not keep the data safe: the fences of the storage nodes do (N2), whoever elects. Nothing here depends on a clock.
import type { ClusterState, VoterSeat } from "../../shared/cluster-state.ts";
import type { KvError } from "../../shared/errors.ts";
import type { ClusterId, OwnerId } from "../../shared/ids.ts";
import type { Script } from "../../shared/script.ts";
import type { Ballot } from "../../shared/version.ts";

export interface Candidate {
  readonly owner: OwnerId;
  /** Where clients reach this coordinator. */
  readonly address: string;
  /** Undefined where this coordinator knows none. */
  readonly cluster: ClusterId | undefined;
  /** Last known addresses of nodes and coordinators; hints only. */
  readonly hints: readonly string[];
}

export interface CampaignTerms {
  /** Epochs up to this one are spent already. */
  readonly minEpoch: number;
  /** The newest state known. */
  readonly newest: Agreed | undefined;
  /** V4: whether a leader that lives is left alone; off for a planned hand-over. */
  readonly prevote: boolean;
}

/** A state and its ballot. */
export interface Agreed {
  readonly ballot: Ballot;
  readonly state: ClusterState;
}

export interface Won extends Agreed {
  readonly epoch: number;
}

export type CampaignResult =
  | ({ readonly type: "won" } & Won)
  /** The place keeps no cluster, and this coordinator knows none. */
  | { readonly type: "noCluster" }
  /** `missing`: voters that do not answer; empty where not even a state was found. `because`: where it is not about voters. */
  | { readonly type: "waiting"; readonly missing: readonly VoterSeat[]; readonly because?: string }
  | { readonly type: "leaderAlive"; readonly address: string; readonly epoch: number }
  /** Another candidate was ahead: try again after a random delay. */
  | { readonly type: "outPromised"; readonly epoch: number };

/** A change of the state by the leader of its ballot's epoch. */
export interface Proposal {
  readonly owner: OwnerId;
  readonly ballot: Ballot;
  /** The newest accepted state. */
  readonly before: ClusterState;
  readonly next: ClusterState;
}

/** Who proposes, and what it is to know meanwhile. */
export interface Proposing {
  /** Whether it still leads. */
  readonly active: () => boolean;
  /** A higher epoch was seen: to be given up (C10). */
  readonly outPromised: (epoch: number) => void;
  /** Nothing more will be accepted in this epoch: to be won anew. */
  readonly renew: () => void;
}

/** A leader, as far as the place is concerned. */
export interface Leading extends Omit<Proposing, "renew"> {
  readonly owner: OwnerId;
  readonly address: string;
  readonly epoch: number;
  /** C10: at this time nobody else had won. */
  readonly confirmed: (at: number) => void;
}

export interface Agreement {
  /** Where the state is kept, for people; undefined where storage nodes vote. */
  readonly place: string | undefined;
  /** Whether it answered when it was asked last. */
  readonly answers: boolean;
  /** C0: why no cluster can be founded here now; undefined where it can. */
  vacant(): Script<KvError | undefined>;
  /** C0: keeps the first state of a cluster, whose first node knows it already. */
  found(owner: OwnerId, address: string, first: Agreed): Script<KvError | undefined>;
  /** Stands for election, once. */
  campaign(candidate: Candidate, terms: CampaignTerms): Script<CampaignResult>;
  /**
   * Tries until the change is accepted, or this leader leads no longer.
   * @returns whether it was accepted; false: it may still be, by another leader
   */
  accept(proposal: Proposal, proposing: Proposing): Script<boolean>;
  /** Says that this leader lives, until it leads no longer. */
  lead(leading: Leading): Script<void>;
  /** A leader ends as planned: nobody has to wait for its silence. */
  resign(): Script<void>;
}
