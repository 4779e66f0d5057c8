// What happens to a coordinator, and what it wants done: the whole border between the pure core (coordinator.ts) and whoever carries its
// effects out, the server or the simulator. Effects are carried out in the order in which they are given.
import type { ClusterId } from "../shared/ids.ts";
import type { EtcdAnswer, EtcdEffect } from "./election/etcd-calls.ts";
import type { LocalVoterFile } from "./election/local-voter.ts";
import type { NoticeSubject, RoleNews } from "./leader.ts";
import type { Answer, Channel } from "./links/link.ts";
import type { LinkEffect } from "./links/links.ts";
import type { ClientNumber } from "./sequencer/operation.ts";

/** What is kept in the cluster file: enough to find the cluster again. */
export interface ClusterFile {
  readonly format: 1;
  readonly cluster: ClusterId;
  /** Last known addresses of voters and members; hints. */
  readonly addresses: readonly string[];
}

export type CoordinatorEvent =
  | { readonly type: "start" }
  | { readonly type: "tick" }
  /** Hand the leadership over, if there is somebody; `retired` follows. */
  | { readonly type: "retire" }
  | {
      readonly type: "lines";
      readonly client: ClientNumber;
      readonly lines: readonly Readonly<Record<string, unknown>>[];
    }
  | { readonly type: "clientGone"; readonly client: ClientNumber }
  | { readonly type: "linkUp" | "linkDown"; readonly address: string; readonly channel: Channel }
  | { readonly type: "linkLines"; readonly address: string; readonly lines: readonly Answer[] }
  /** The local voter's file of that token is durable. */
  | { readonly type: "voterSaved"; readonly token: number }
  /** What the etcd said to that call. */
  | { readonly type: "agreed"; readonly call: number; readonly answer: EtcdAnswer };

export type CoordinatorEffect =
  | LinkEffect
  | EtcdEffect
  | { readonly type: "answer"; readonly client: ClientNumber; readonly message: object }
  | { readonly type: "saveVoter"; readonly file: LocalVoterFile; readonly token: number }
  /** `create`: must not exist yet (C0). */
  | { readonly type: "saveCluster"; readonly file: ClusterFile; readonly create: boolean }
  | ({ readonly type: "role" } & RoleNews)
  | { readonly type: "retired" }
  | { readonly type: "notice"; readonly about: NoticeSubject; readonly text: string };
