// Agreement in an etcd that runs already, for those who do not want storage nodes to vote. Two keys under a prefix: `state` holds the cluster
// state with its ballot and owner, `leader` says who leads, for as long as a lease is kept alive. An epoch is won by one transaction that
// requires the revision of the state that was read (and, V4, that nobody is leading), and raises the epoch in it; every change of the state
// requires the revision of the one before. So the keys are changed by one owner an epoch, in the order of ballots.
//
// What this relies on: only etcd's transactions. The lease decides when somebody else may stand, never what is safe: a leader whose
// lease is over goes on until a node's fence stops it (N2), which is why data flows while etcd is gone (heartbeats.ts, C10). An etcd that
// was restored from a backup has gone back: nodes are asked too what epoch and state they know before an epoch is won.
import { decodeState, type ClusterState } from "../../shared/cluster-state.ts";
import { KvError } from "../../shared/errors.ts";
import type { ClusterId, OwnerId } from "../../shared/ids.ts";
import type { InspectResult } from "../../shared/protocol/node-messages.ts";
import { majority } from "../../shared/quorum.ts";
import { gather, sleep, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import { compare, type Ballot } from "../../shared/version.ts";
import type { Answer } from "../links/link.ts";
import type {
  Agreed,
  Agreement,
  CampaignResult,
  CampaignTerms,
  Candidate,
  Leading,
  Proposal,
  Proposing,
} from "./agreement.ts";
import type { Entry, EtcdAnswer, EtcdCalls, EtcdRequest, LeaseId, Put } from "./etcd-calls.ts";
import {
  ballotOf,
  keysOf,
  stateText,
  type Found,
  type Keys,
  type LeaderDocument,
  type StateDocument,
} from "./etcd-documents.ts";
import type { Voters } from "./voters.ts";

/** The least that etcd grants as it is set up usually. A leader that dies is missed when it is over. */
export const LEASE_SECONDS = 2;
const KEEP_ALIVE_MS = 500;
const RETRY_MS = 100;
/** How long nodes that do not answer hold up an election. */
const INSPECT_MS = 300;

/** Where in which etcd. */
export interface EtcdPlace {
  /** For people: `etcd://host:port,…/prefix`. */
  readonly place: string;
  /** Of the two keys. One cluster has it for itself. */
  readonly prefix: string;
}

export interface EtcdHost extends EtcdPlace {
  readonly timers: Timers;
  readonly calls: EtcdCalls;
  /** Asks nodes what they know. */
  readonly voters: Pick<Voters, "inspect" | "addressOf">;
}

export class EtcdAgreement implements Agreement {
  readonly place: string;
  readonly #host: EtcdHost;
  readonly #stateKey: string;
  readonly #leaderKey: string;
  /** The state that this leader had accepted last, and its revision. */
  #kept = { text: "", revision: 0 };
  #lease: LeaseId | undefined;
  #resigned = false;
  /** A cluster is being founded: its first leader is not to be found by us. */
  #founding = false;

  constructor(host: EtcdHost) {
    this.#host = host;
    this.place = host.place;
    this.#stateKey = `${host.prefix}/state`;
    this.#leaderKey = `${host.prefix}/leader`;
  }

  get answers(): boolean {
    return this.#host.calls.answers;
  }

  *vacant(): Script<KvError | undefined> {
    const keys = yield* this.#read();
    if (typeof keys === "string") return new KvError("NO_LEADER", keys);
    return keys.state && this.#occupied(keys.state.document.cluster);
  }

  *found(owner: OwnerId, address: string, { ballot, state }: Agreed): Script<KvError | undefined> {
    this.#founding = true;
    const text = stateText(owner, ballot, state);
    for (;;) {
      const lease = yield* this.#leased();
      const changed = lease && (yield* this.#found(text, this.#sign({ owner, address, epoch: ballot[0] }, lease)));
      if (changed === true) return undefined;
      if (typeof changed === "object" && changed.state) {
        this.#founding = false;
        return this.#occupied(changed.state.document.cluster);
      }
      yield* wait(sleep(this.#host.timers, RETRY_MS));
    }
  }

  *#found(text: string, sign: Put): Script<true | Keys | string> {
    const expected = [{ key: this.#stateKey, revision: 0 }];
    const puts = [{ key: this.#stateKey, value: text }, sign];
    return yield* this.#change({ op: "change", expected, puts, otherwise: [this.#stateKey] }, text);
  }

  *campaign(candidate: Candidate, terms: CampaignTerms): Script<CampaignResult> {
    const keys = yield* this.#read();
    if (typeof keys === "string") return waiting(keys);
    if (this.#founding) return { type: "noCluster" };
    const { state: kept, leader } = keys;
    const { cluster, address } = candidate;
    if (!kept) return cluster === undefined ? { type: "noCluster" } : waiting(this.#empty(cluster));
    if (cluster !== undefined && kept.document.cluster !== cluster) return waiting(this.#other(kept.document, cluster));
    // Whoever led at our address is dead, since we listen there.
    if (terms.prevote && leader && leader.document.address !== address)
      return { type: "leaderAlive", address: leader.document.address, epoch: leader.document.epoch };
    const newest = yield* this.#newest(candidate, kept.document);
    const lease = yield* this.#leased();
    if (lease === undefined) return waiting(this.#silent("no lease was granted"));
    const epoch = 1 + Math.max(terms.minEpoch, newest.epoch);
    const won = { epoch, ballot: [epoch, 1] as const, state: this.#led(candidate, newest.state) };
    return yield* this.#win(candidate, won, { kept, leader, lease, prevote: terms.prevote });
  }

  *accept({ owner, ballot, next }: Proposal, { active, outPromised }: Proposing): Script<boolean> {
    const text = stateText(owner, ballot, next);
    while (active()) {
      const expected = [{ key: this.#stateKey, revision: this.#kept.revision }];
      const puts = [{ key: this.#stateKey, value: text }];
      const changed = yield* this.#change({ op: "change", expected, puts, otherwise: [this.#stateKey] }, text);
      if (!active()) return false;
      if (changed === true) return true;
      if (typeof changed !== "string") this.#overtaken(changed, ballot, outPromised);
      yield* wait(sleep(this.#host.timers, RETRY_MS));
    }
    return false;
  }

  *lead(leading: Leading): Script<void> {
    const { timers } = this.#host;
    this.#resigned = false;
    this.#founding = false;
    const leads = (): boolean => leading.active() && !this.#resigned;
    while (leads()) {
      const sentAt = timers.now;
      const signed = yield* this.#signed(leading.owner);
      if (!leads()) return;
      if (signed === "ours") leading.confirmed(sentAt);
      else if (signed === "gone") yield* this.#signAgain(leading, leads);
      if (leads()) yield* wait(sleep(timers, KEEP_ALIVE_MS));
    }
  }

  *resign(): Script<void> {
    this.#resigned = true;
    const lease = this.#lease;
    this.#lease = undefined;
    if (lease !== undefined) yield* wait(this.#host.calls.call({ op: "revoke", lease }));
  }

  // Winning.

  *#win(
    { owner, address }: Candidate,
    won: Agreed & { readonly epoch: number },
    found: {
      readonly kept: Found<StateDocument>;
      readonly leader: Found<LeaderDocument> | undefined;
      readonly lease: LeaseId;
      readonly prevote: boolean;
    },
  ): Script<CampaignResult> {
    const text = stateText(owner, won.ballot, won.state);
    const expected = [
      { key: this.#stateKey, revision: found.kept.revision },
      ...(found.prevote ? [{ key: this.#leaderKey, revision: found.leader?.revision ?? 0 }] : []),
    ];
    const sign = this.#sign({ owner, address, epoch: won.epoch }, found.lease);
    const puts = [{ key: this.#stateKey, value: text }, sign];
    const changed = yield* this.#change({ op: "change", expected, puts, otherwise: [this.#stateKey] }, text);
    if (changed === true) return { type: "won", ...won };
    if (typeof changed === "string") return waiting(changed);
    return { type: "outPromised", epoch: changed.state?.document.ballot[0] ?? 0 };
  }

  /** The highest epoch spent and the newest state, by etcd and by the nodes that answer soon (C1). */
  *#newest({ address: own }: Candidate, kept: StateDocument): Script<{ epoch: number; state: ClusterState }> {
    const { timers, voters } = this.#host;
    let newest = { ballot: kept.ballot, state: decodeState(kept.state) };
    let [epoch] = kept.ballot;
    const { members } = newest.state;
    const asked = members
      .map((member) => voters.addressOf({ kind: "node", ...member }))
      .filter((address) => address !== own)
      .map((address) => voters.inspect(address));
    const enough = (found: readonly Answer[]): boolean => found.filter(isOk).length >= majority(members.length);
    const answers = yield* wait(gather(timers, asked, INSPECT_MS, enough));
    for (const answer of answers) {
      if (!isOk(answer) || answer["cluster"] !== kept.cluster) continue;
      const { fence, promised, ballot, state } = answer as unknown as InspectResult;
      epoch = Math.max(epoch, fence, promised, ballot[0]);
      if (state !== "" && compare(ballot, newest.ballot) > 0) newest = { ballot, state: decodeState(state) };
    }
    return { epoch, state: newest.state };
  }

  /** The state of a new epoch: who leads it, and that nobody votes. */
  #led({ owner, address }: Candidate, state: ClusterState): ClusterState {
    return { ...state, leader: { owner, address }, voters: [] };
  }

  /** A change was refused since the state is not the one before: by a higher epoch, or by an etcd that has gone back. */
  #overtaken({ state }: Keys, ballot: Ballot, outPromised: (epoch: number) => void): void {
    if (state && state.document.ballot[0] > ballot[0]) outPromised(state.document.ballot[0]);
    // Nobody has won since: candidates ask the nodes, whose fences are at this epoch.
    else this.#kept = { ...this.#kept, revision: state?.revision ?? 0 };
  }

  // The lease.

  *#leased(): Script<LeaseId | undefined> {
    const { calls } = this.#host;
    const kept =
      this.#lease === undefined ? undefined : yield* wait(calls.call({ op: "keepAlive", lease: this.#lease }));
    if (kept?.type === "lease") return kept.lease;
    const granted = yield* wait(calls.call({ op: "grant", seconds: LEASE_SECONDS }));
    this.#lease = granted.type === "lease" ? granted.lease : undefined;
    return this.#lease;
  }

  /** Keeps the lease alive, and looks whose sign is up. */
  *#signed(owner: OwnerId): Script<"ours" | "gone" | "silent"> {
    const { calls } = this.#host;
    const lease = this.#lease;
    const read = calls.call({ op: "read", keys: [this.#leaderKey] });
    const kept = lease === undefined ? undefined : yield* wait(calls.call({ op: "keepAlive", lease }));
    if (kept?.type === "leaseOver") this.#lease = undefined;
    const found = yield* wait(read);
    const keys = found.type === "entries" ? this.#parse(found.entries) : "";
    if (typeof keys === "string") return "silent";
    return keys.leader?.document.owner === owner && this.#lease !== undefined ? "ours" : "gone";
  }

  /**
   * The lease ended: etcd was gone, or this process stood still. If nobody has won since, this leader says again that it leads, and brings
   * an etcd that has gone back (restored from a backup, or emptied) up to date.
   */
  *#signAgain({ owner, address, epoch, outPromised }: Leading, leads: () => boolean): Script<void> {
    const keys = yield* this.#read();
    if (typeof keys === "string" || !leads()) return;
    const { state, leader } = keys;
    const seen = Math.max(leader?.document.epoch ?? 0, state?.document.ballot[0] ?? 0);
    if (seen > epoch) return outPromised(seen);
    const lease = yield* this.#leased();
    if (lease === undefined || !leads()) return;
    const { text } = this.#kept;
    const expected = [
      { key: this.#stateKey, revision: state?.revision ?? 0 },
      { key: this.#leaderKey, revision: leader?.revision ?? 0 },
    ];
    const older = state === undefined || compare(state.document.ballot, ballotOf(text)) < 0;
    const puts = [
      ...(older ? [{ key: this.#stateKey, value: text }] : []),
      this.#sign({ owner, address, epoch }, lease),
    ];
    const answer = yield* wait(this.#host.calls.call({ op: "change", expected, puts, otherwise: [] }));
    if (answer.type === "changed" && older && this.#kept.text === text)
      this.#kept = { text, revision: answer.revision };
  }

  #sign(leader: LeaderDocument, lease: LeaseId): Put {
    return { key: this.#leaderKey, value: JSON.stringify(leader), lease };
  }

  // Calls.

  /** @returns the keys, or why they could not be read */
  *#read(): Script<Keys | string> {
    const answer = yield* wait(this.#host.calls.call({ op: "read", keys: [this.#stateKey, this.#leaderKey] }));
    return answer.type === "entries" ? this.#parse(answer.entries) : this.#silent(messageOf(answer));
  }

  /**
   * Changes the state to this text. An earlier copy of the same request may have come through, then ours is refused: what counts is
   * whether the state is ours now.
   */
  *#change(request: EtcdRequest, text: string): Script<true | Keys | string> {
    const answer = yield* wait(this.#host.calls.call(request));
    if (answer.type === "changed") {
      this.#kept = { text, revision: answer.revision };
      return true;
    }
    if (answer.type === "leaseOver") this.#lease = undefined;
    if (answer.type !== "entries") return this.#silent(messageOf(answer));
    const own = answer.entries.find(({ key, value }) => key === this.#stateKey && value === text);
    if (!own) return this.#parse(answer.entries);
    this.#kept = { text, revision: own.revision };
    return true;
  }

  #parse(entries: readonly Entry[]): Keys | string {
    const keys = keysOf(entries, this.#stateKey, this.#leaderKey);
    return typeof keys === "string" ? `${this.place}: ${keys}` : keys;
  }

  // What people are told.

  #silent(why: string): string {
    return `${this.place} does not answer: ${why}`;
  }

  #empty(cluster: ClusterId): string {
    return `${this.place} keeps no cluster, and the cluster file names ${cluster}: is that the right etcd, or do nodes vote (no --state)?`;
  }

  #other(kept: StateDocument, cluster: ClusterId): string {
    return `${this.place} keeps another cluster (${kept.cluster}) than the cluster file names (${cluster})`;
  }

  #occupied(cluster: ClusterId): KvError {
    const text = `${this.place} keeps a cluster already (${cluster}): give another prefix, --state etcd://host:port/prefix`;
    return new KvError("NODE_TAKEN", text);
  }
}

function waiting(because: string): CampaignResult {
  return { type: "waiting", missing: [], because };
}

function isOk(answer: Answer): boolean {
  return answer["status"] === "ok";
}

function messageOf(answer: EtcdAnswer): string {
  return answer.type === "silent" ? answer.message : answer.type;
}
