// Topology requests: addnode, removenode, setreplica, join and cancel, each answered by progress lines until one is `done`. A client that
// goes away stops watching; the operation goes on. The first node makes the cluster (C0).
import { KvError } from "../shared/errors.ts";
import type {
  JoinRequest,
  OperationChange,
  OperationStatus,
  TopologyChange,
  TopologyRequest,
} from "../shared/protocol/client-messages.ts";
import { run, type Script } from "../shared/script.ts";
import type { Replies } from "./data-requests.ts";
import type { Leader } from "./leader.ts";
import { commandOf } from "./rebalance/progress.ts";
import type { Watcher } from "./rebalance/topology.ts";
import { rejoin, type RejoinHost } from "./rejoin.ts";
import type { ClientNumber } from "./sequencer/operation.ts";

type AddNode = Extract<TopologyChange, { op: "addnode" }>;

export interface TopologyRequestsHost extends Replies, RejoinHost {
  /** The leader, while this coordinator leads. */
  readonly leader: () => Leader | undefined;
  readonly notLeading: () => KvError;
  /** C0: makes a cluster of the first node. */
  readonly firstNode: (change: AddNode) => Script<KvError | undefined>;
}

/** Who asked, and how the answers are numbered. */
interface Asker {
  readonly client: ClientNumber;
  readonly id: number;
}

export class TopologyRequests {
  readonly #host: TopologyRequestsHost;
  readonly #watchers = new Map<ClientNumber, Set<Watcher>>();

  constructor(host: TopologyRequestsHost) {
    this.#host = host;
  }

  /** The client's connection closed: nobody waits for progress any more. */
  gone(client: ClientNumber): void {
    for (const watcher of this.#watchers.get(client) ?? []) this.#host.leader()?.topology.unwatch(watcher);
    this.#watchers.delete(client);
  }

  change(client: ClientNumber, { id, ...change }: TopologyRequest): void {
    this.#answer({ client, id }, this.#requested({ client, id }, change));
  }

  join(client: ClientNumber, { id, node, address, weight }: JoinRequest): void {
    const change: AddNode = { op: "addnode", node, address, ...(weight !== undefined && { weight }) };
    this.#answer({ client, id }, this.#joined({ client, id }, change));
  }

  #answer({ client, id }: Asker, script: Script<KvError | undefined>): void {
    run(script).whenDone((refusal) => {
      if (refusal) this.#host.refuse(client, id, refusal);
    });
  }

  *#requested(asker: Asker, change: TopologyChange): Script<KvError | undefined> {
    const leader = this.#host.leader();
    if (!leader?.active) {
      const why = this.#host.notLeading();
      if (why.code !== "NO_CLUSTER" || change.op !== "addnode") return why;
      const refusal = yield* this.#host.firstNode(change);
      if (!refusal) this.#nothingToDo(asker, change);
      return refusal;
    }
    const result = yield* leader.topology.request(change, this.#watcher(asker));
    return result instanceof KvError ? result : undefined;
  }

  /** A member is answered at once, with its address put right; one that is being added is told how that goes. */
  *#joined(asker: Asker, change: AddNode): Script<KvError | undefined> {
    const leader = this.#host.leader();
    if (!leader?.active) {
      // Perhaps a voter at a new address, without which nobody can lead.
      this.#host.voters.hint(change.address);
      return yield* this.#requested(asker, change);
    }
    const open = leader.state.operations.find(({ change: other }) => sameNode(other, change));
    if (open) {
      const watcher = this.#watcher(asker);
      leader.topology.watch(open.id, watcher);
      const status = leader.topology.operations().find(({ operation }) => operation === open.id);
      if (status) watcher(status, { done: false });
      return undefined;
    }
    const found = yield* rejoin(this.#host, leader, change);
    if (found instanceof KvError) return found;
    if (found === "newcomer") return yield* this.#requested(asker, change);
    if (found === "emptied") return yield* this.#replaced(asker, leader, change);
    this.#nothingToDo(asker, change);
    return undefined;
  }

  /** A member that has lost its disk: its old self is removed, then it is added; the asker is told of both. */
  *#replaced(asker: Asker, leader: Leader, change: AddNode): Script<KvError | undefined> {
    const { node } = change;
    const removed: Watcher = (progress, { done, error }) => {
      if (!done) this.#host.answer(asker.client, asker.id, { ...progress, done: false });
      else if (error) this.#host.refuse(asker.client, asker.id, error);
      else this.#answer(asker, this.#requested(asker, change));
    };
    const result = yield* leader.topology.request({ op: "removenode", node }, removed);
    return result instanceof KvError ? result : undefined;
  }

  #watcher({ client, id }: Asker): Watcher {
    const watchers = this.#watchers.get(client) ?? new Set();
    const watcher: Watcher = (progress, { done, error }) => {
      if (done) watchers.delete(watcher);
      if (error) this.#host.refuse(client, id, error);
      else this.#host.answer(client, id, { ...progress, done });
    };
    this.#watchers.set(client, watchers.add(watcher));
    return watcher;
  }

  #nothingToDo({ client, id }: Asker, change: AddNode): void {
    this.#host.answer(client, id, { ...NOTHING_MOVED, command: commandOf(change) });
  }
}

function sameNode(change: OperationChange, { node, address }: AddNode): boolean {
  return change.op === "addnode" && change.node === node && change.address === address;
}

/** The first node has nothing to move, and neither has one that is a member. */
const NOTHING_MOVED: Omit<OperationStatus, "command"> & { readonly done: true } = {
  operation: "0",
  kind: "addnode",
  phase: "done",
  slotsMoved: 0,
  slotsTotal: 0,
  keysMoved: 0,
  keysTotal: 0,
  bytesMoved: 0,
  elapsedMs: 0,
  done: true,
};
