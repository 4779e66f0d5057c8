// Requests: from a parsed line of a client to its answer. Data operations go to the sequencer, topology operations and views to the
// leader; whoever does not lead says who does (C11).
import { unreachable } from "../shared/assert.ts";
import { errorAnswer, KvError } from "../shared/errors.ts";
import { DEADLINE_MS_DEFAULT, SCANS_MAX } from "../shared/limits.ts";
import type {
  CoordinatorRequest,
  DataRequest,
  DeleteRequest,
  GetRequest,
  OperationStatus,
  PutRequest,
  ScanRequest,
  TopologyChange,
} from "../shared/protocol/client-messages.ts";
import { negotiate } from "../shared/protocol/version.ts";
import { run, type Script } from "../shared/script.ts";
import { slotOf } from "../shared/slot.ts";
import type { Timers } from "../shared/timers.ts";
import { format, parsePair } from "../shared/version.ts";
import type { LocalVoter } from "./election/local-voter.ts";
import type { Leader } from "./leader.ts";
import type { Watcher } from "./rebalance/topology.ts";
import type { ClientNumber, ReadOutcome, WriteOperation, WriteOutcome } from "./sequencer/operation.ts";
import { scan } from "./views/scan.ts";
import { nodeStatuses, ring, stats, status, where } from "./views/views.ts";

export interface RequestsHost {
  readonly timers: Timers;
  readonly leader: () => Leader | undefined;
  readonly send: (client: ClientNumber, message: object) => void;
  readonly notLeading: () => KvError;
  readonly hello: () => Readonly<Record<string, unknown>>;
  readonly voter: () => LocalVoter;
  readonly valueBytesMax: number;
  /** C0: makes a cluster of the first node. */
  readonly firstNode: (change: Extract<TopologyChange, { op: "addnode" }>) => Script<KvError | undefined>;
}

export class Requests {
  readonly #host: RequestsHost;
  readonly #watchers = new Map<ClientNumber, Set<Watcher>>();
  /** Pages of scans under way. */
  #scans = 0;

  constructor(host: RequestsHost) {
    this.#host = host;
  }

  /** The client's connection closed: nobody waits for progress any more. */
  gone(client: ClientNumber): void {
    for (const watcher of this.#watchers.get(client) ?? []) this.#host.leader()?.topology.unwatch(watcher);
    this.#watchers.delete(client);
  }

  /** @throws KvError what the request is refused with */
  handle(client: ClientNumber, request: CoordinatorRequest): void {
    switch (request.op) {
      case "hello":
        return this.#answer(client, request.id, { protocol: negotiate(request.versions), ...this.#host.hello() });
      case "ping":
        return this.#answer(client, request.id, {});
      case "batch":
        for (const item of request.ops) this.#data(client, item);
        return;
      case "put":
      case "delete":
      case "get":
        return this.#data(client, request);
      case "addnode":
      case "removenode":
      case "setreplica":
        return this.#change(client, request);
      case "join":
        return this.#change(client, { ...request, op: "addnode" });
      case "cancel": {
        const refusal = this.#leader().topology.cancel(request.operation);
        if (refusal) throw refusal;
        return this.#answer(client, request.id, {});
      }
      case "ops":
        return this.#answer(client, request.id, { operations: this.#leader().topology.operations() });
      case "ring":
        return this.#answer(client, request.id, ring(this.#leader()));
      case "status":
        return this.#show(client, request.id, status(this.#leader(), this.#host.timers.now));
      case "stats":
        return this.#show(client, request.id, stats(this.#leader(), this.#host.timers.now));
      case "where":
        return this.#show(client, request.id, where(this.#leader(), request.key));
      case "nodes":
        return this.#show(client, request.id, this.#nodes(this.#leader()));
      case "scan":
        return this.#scan(client, request);
      case "metrics":
      case "plan":
        throw new KvError("BAD_REQUEST", `op: ${request.op} is not answered by this version yet`);
      default:
        unreachable(request);
    }
  }

  #leader(): Leader {
    const leader = this.#host.leader();
    if (!leader?.active) throw this.#host.notLeading();
    return leader;
  }

  #answer(client: ClientNumber, id: number, body: object): void {
    this.#host.send(client, { id, status: "ok", ...body });
  }

  #refuse(client: ClientNumber, id: number, error: KvError): void {
    this.#host.send(client, { id, ...errorAnswer(error) });
  }

  #show(client: ClientNumber, id: number, view: Script<object>): void {
    run(view).whenDone((body) => this.#answer(client, id, body));
  }

  #scan(client: ClientNumber, request: ScanRequest): void {
    const { timers } = this.#host;
    if (this.#scans >= SCANS_MAX) {
      throw new KvError("OVERLOADED", `${SCANS_MAX} pages are being listed: ask for fewer at a time`);
    }
    const page = scan({ leader: this.#leader(), timers, client }, request);
    this.#scans++;
    run(page).whenDone((body) => {
      this.#scans--;
      if (body instanceof KvError) this.#refuse(client, request.id, body);
      else this.#answer(client, request.id, body);
    });
  }

  *#nodes(leader: Leader): Script<object> {
    return { nodes: yield* nodeStatuses(leader, this.#host.timers.now) };
  }

  // Data.

  #data(client: ClientNumber, request: DataRequest): void {
    try {
      const leader = this.#leader();
      if (request.op === "get") this.#get(leader, client, request);
      else this.#write(leader, client, request);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      this.#refuse(client, request.id, error);
    }
  }

  #get(leader: Leader, client: ClientNumber, { id, key, consistency, timeoutMs }: GetRequest): void {
    const { now } = this.#host.timers;
    const operation = {
      type: "read" as const,
      client,
      key,
      slot: slotOf(key, leader.state.seed),
      level: consistency ?? "quorum",
      startedAt: now,
      deadline: now + (timeoutMs ?? DEADLINE_MS_DEFAULT),
    };
    leader.sequencer.read(operation, (outcome) => this.#readDone(client, id, key, outcome));
  }

  #readDone(client: ClientNumber, id: number, key: string, outcome: ReadOutcome): void {
    if (outcome.type === "error") return this.#refuse(client, id, outcome.error);
    const { value, origin, stale } = outcome;
    if (value === null) return this.#refuse(client, id, new KvError("NOT_FOUND", `no value under "${key}"`));
    this.#answer(client, id, { value, version: format(origin), ...(stale && { stale }) });
  }

  #write(leader: Leader, client: ClientNumber, request: PutRequest | DeleteRequest): void {
    const { now } = this.#host.timers;
    const level = request.consistency ?? "quorum";
    const condition = conditionOf(request);
    if (condition !== undefined && level === "one") {
      throw new KvError("BAD_REQUEST", "consistency: a conditional write needs quorum or all");
    }
    const operation: WriteOperation = {
      type: "write",
      client,
      key: request.key,
      slot: slotOf(request.key, leader.state.seed),
      value: request.op === "put" ? request.value : null,
      level,
      condition,
      wantsFound: request.op === "delete" && (request.report === true || request.found === true) && level !== "one",
      operation: request.operation ?? "",
      firstEpoch: request.firstEpoch,
      report: request.report === true,
      startedAt: now,
      deadline: now + (request.timeoutMs ?? DEADLINE_MS_DEFAULT),
    };
    leader.sequencer.write(operation, (outcome) => this.#writeDone(client, request.id, outcome));
  }

  #writeDone(client: ClientNumber, id: number, outcome: WriteOutcome): void {
    if (outcome.type === "error") return this.#refuse(client, id, outcome.error);
    const { version, replicas, found } = outcome;
    this.#answer(client, id, {
      version: format(version),
      ...(replicas && { replicas }),
      ...(found !== undefined && { found }),
    });
  }

  // Topology.

  #change(client: ClientNumber, request: { readonly id: number } & TopologyChange): void {
    const { id, ...change } = request;
    run(this.#requested(client, id, change)).whenDone((refusal) => {
      if (refusal) this.#refuse(client, id, refusal);
    });
  }

  *#requested(client: ClientNumber, id: number, change: TopologyChange): Script<KvError | undefined> {
    const leader = this.#host.leader();
    if (!leader?.active) {
      const why = this.#host.notLeading();
      if (why.code !== "NO_CLUSTER" || change.op !== "addnode") return why;
      const refusal = yield* this.#host.firstNode(change);
      if (!refusal) this.#answer(client, id, { ...FIRST_DONE, command: `addnode ${change.node} ${change.address}` });
      return refusal;
    }
    const watcher: Watcher = (progress, { done, error }) => {
      if (error) this.#refuse(client, id, error);
      else this.#answer(client, id, { ...progress, done });
    };
    const watchers = this.#watchers.get(client) ?? new Set();
    this.#watchers.set(client, watchers.add(watcher));
    const result = yield* leader.topology.request(change, watcher);
    return result instanceof KvError ? result : undefined;
  }
}

/** The first node has nothing to move. */
const FIRST_DONE: Omit<OperationStatus, "command"> & { readonly done: true } = {
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

/** @throws KvError BAD_REQUEST */
function conditionOf(request: PutRequest | DeleteRequest): WriteOperation["condition"] {
  const ifAbsent = request.op === "put" && request.ifAbsent === true;
  if (request.ifVersion === undefined) return ifAbsent ? "absent" : undefined;
  if (ifAbsent) throw new KvError("BAD_REQUEST", "ifVersion, ifAbsent: give one of them");
  const version = parsePair(request.ifVersion);
  if (!version)
    throw new KvError("BAD_REQUEST", `ifVersion: "${request.ifVersion}" is no version; one looks like 3.1042`);
  return version;
}
