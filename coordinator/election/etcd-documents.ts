// Etcd documents: what stands under the two keys of an etcd-agreement.ts, and how it is read back. `state` keeps the cluster state with its
// ballot and owner; `leader` says who leads, as long as its lease lives. Whoever shares the etcd may have written anything there.
import { encodeState, type ClusterState } from "../../shared/cluster-state.ts";
import type { ClusterId, OwnerId } from "../../shared/ids.ts";
import type { Ballot } from "../../shared/version.ts";
import type { Entry } from "./etcd-calls.ts";

export interface StateDocument {
  readonly format: 1;
  readonly cluster: ClusterId;
  readonly owner: OwnerId;
  readonly ballot: Ballot;
  /** As `encodeState` gives it. */
  readonly state: string;
}

export interface LeaderDocument {
  readonly owner: OwnerId;
  readonly address: string;
  readonly epoch: number;
}

/** A document, and the revision of its latest change. */
export interface Found<Document> {
  readonly document: Document;
  readonly revision: number;
}

/** What stands under the keys that were read. */
export interface Keys {
  readonly state: Found<StateDocument> | undefined;
  readonly leader: Found<LeaderDocument> | undefined;
}

export function stateText(owner: OwnerId, ballot: Ballot, state: ClusterState): string {
  const document: StateDocument = { format: 1, cluster: state.cluster, owner, ballot, state: encodeState(state) };
  return JSON.stringify(document);
}

/** Of a text that `stateText` made. */
export function ballotOf(text: string): Ballot {
  return (JSON.parse(text) as StateDocument).ballot;
}

/** @returns why the documents cannot be understood, where somebody else wrote them */
export function keysOf(entries: readonly Entry[], stateKey: string, leaderKey: string): Keys | string {
  const state = documentAt(entries, stateKey);
  const leader = documentAt(entries, leaderKey);
  if (state && Number(state.document["format"]) > 1) return `a newer version of holdfast wrote ${stateKey}: upgrade`;
  if (state && !isState(state.document)) return `${stateKey} holds something that is no cluster state`;
  if (leader && !isLeader(leader.document)) return `${leaderKey} holds something that names no leader`;
  return { state, leader } as unknown as Keys;
}

type Anything = Readonly<Record<string, unknown>>;

function documentAt(entries: readonly Entry[], wanted: string): Found<Anything> | undefined {
  const entry = entries.find(({ key }) => key === wanted);
  return entry && { document: objectIn(entry.value), revision: entry.revision };
}

function objectIn(text: string): Anything {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null ? (found as Anything) : {};
  } catch {
    return {};
  }
}

function isState({ format, cluster, owner, ballot, state }: Anything): boolean {
  const numbers = Array.isArray(ballot) && ballot.length === 2 && ballot.every(Number.isSafeInteger);
  return format === 1 && numbers && [cluster, owner, state].every((item) => typeof item === "string");
}

function isLeader({ owner, address, epoch }: Anything): boolean {
  return typeof owner === "string" && typeof address === "string" && Number.isSafeInteger(epoch);
}
