// Requests: every parsed line of a client goes from here to whoever answers it: data operations to the sequencer, topology operations and
// views to the leader, votes to the record beside the cluster file (V5). Whoever does not lead says who does (C11).
import { unreachable } from "../shared/assert.ts";
import { memberOf } from "../shared/cluster-state.ts";
import { errorAnswer, KvError } from "../shared/errors.ts";
import { SCANS_MAX } from "../shared/limits.ts";
import type {
  ClientHelloRequest,
  CoordinatorRequest,
  MetricsAnswer,
  ScanRequest,
} from "../shared/protocol/client-messages.ts";
import type { RepairRequest } from "../shared/protocol/repair-messages.ts";
import type { VoterRequest } from "../shared/protocol/node-messages.ts";
import { negotiate } from "../shared/protocol/version.ts";
import { run, wait, type Script } from "../shared/script.ts";
import { CompactAnswers } from "./compact-answers.ts";
import { DataRequests, type Replies } from "./data-requests.ts";
import type { Answer } from "./links/link.ts";
import type { Leader } from "./leader.ts";
import { Metrics } from "./metrics.ts";
import { noSuchNode } from "./rebalance/change.ts";
import type { Repaired } from "./repair/anti-entropy.ts";
import type { ClientNumber } from "./sequencer/operation.ts";
import { Tenure } from "./tenure.ts";
import { TopologyRequests, type TopologyRequestsHost } from "./topology-requests.ts";
import { plan } from "./views/plan.ts";
import { scan } from "./views/scan.ts";
import { nodeStatuses, ring, stats, status, where } from "./views/views.ts";

export interface RequestsHost extends Omit<TopologyRequestsHost, keyof Replies> {
  readonly send: (client: ClientNumber, message: object) => void;
  readonly hello: () => Readonly<Record<string, unknown>>;
  /** Where clients reach this coordinator. */
  readonly address: string;
}

export class Requests {
  /** What this process has answered, whoever it led. */
  readonly metrics = new Metrics();
  readonly #host: RequestsHost;
  readonly #data: DataRequests;
  readonly #topology: TopologyRequests;
  readonly #compact: CompactAnswers;
  readonly #tenure: Tenure;
  /** Pages of scans under way. */
  #scans = 0;

  constructor(host: RequestsHost) {
    this.#host = host;
    const { timers } = host;
    const { metrics } = this;
    const replies: Replies = {
      send: host.send,
      answer: (client, id, body) => this.#answer(client, id, body),
      refuse: (client, id, error) => this.#refuse(client, id, error),
    };
    const compact = new CompactAnswers(host.send);
    this.#compact = compact;
    this.#tenure = new Tenure(host.address);
    this.#data = new DataRequests({
      ...replies,
      timers,
      metrics,
      compact,
      leader: () => this.#leader(),
      tenure: this.#tenure,
    });
    this.#topology = new TopologyRequests({ ...host, ...replies });
  }

  /** The client's connection closed. */
  gone(client: ClientNumber): void {
    this.#host.voters.local.connectionGone(client, this.#host.timers.now);
    this.#topology.gone(client);
    this.#compact.gone(client);
    this.#tenure.gone(client);
  }

  /** End of turn: answers that were gathered are sent. */
  flush(): void {
    this.#compact.flush();
    this.#tenure.look(this.#host.leader());
  }

  /** @throws KvError what the request is refused with */
  handle(client: ClientNumber, request: CoordinatorRequest | VoterRequest): void {
    const { id } = request;
    const { now } = this.#host.timers;
    switch (request.op) {
      case "hello":
        return this.#hello(client, request);
      case "ping":
        return this.#answer(client, id, {});
      case "batch":
        for (const item of request.ops) this.#data.handle(client, item);
        return;
      case "put":
      case "delete":
      case "get":
        return this.#data.handle(client, request);
      case "addnode":
      case "removenode":
      case "setreplica":
        return this.#topology.change(client, request);
      case "join":
        return this.#topology.join(client, request);
      case "cancel": {
        const refusal = this.#leader().topology.cancel(request.operation);
        if (refusal) throw refusal;
        return this.#answer(client, id, {});
      }
      case "ops":
        return this.#answer(client, id, { operations: this.#leader().topology.operations() });
      case "ring":
        return this.#answer(client, id, ring(this.#leader()));
      case "status":
        return this.#show(client, id, status(this.#leader(), now));
      case "stats":
        return this.#show(client, id, stats(this.#leader(), now));
      case "where":
        return this.#show(client, id, where(this.#leader(), request.key));
      case "nodes":
        return this.#show(client, id, this.#nodes(this.#leader()));
      case "metrics":
        return this.#answer(client, id, this.#measured(this.#leader()));
      case "plan":
        return this.#show(client, id, plan(this.#leader(), request.change));
      case "repair":
        return this.#repair(client, request);
      case "scan":
        return this.#scan(client, request);
      case "follow":
        return this.#leader().standbys.follow(request, (answer) => this.#host.send(client, { id, ...answer }));
      case "stepdown":
        return this.#show(client, id, handedOver(this.#leader()));
      case "inspect":
      case "prevote":
      case "heartbeat":
      case "prepare":
      case "accept":
        return this.#vote(client, request);
      default:
        unreachable(request);
    }
  }

  #hello(client: ClientNumber, { id, versions, compact }: ClientHelloRequest): void {
    const body = { protocol: negotiate(versions), ...this.#host.hello(), compact: true };
    this.#answer(client, id, body);
    this.#tenure.greeted(client);
    if (compact === true) this.#compact.known(client);
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
    run(view).whenDone((body) => {
      if (body instanceof KvError) this.#refuse(client, id, body);
      else this.#answer(client, id, body);
    });
  }

  *#nodes(leader: Leader): Script<object> {
    return { nodes: yield* nodeStatuses(leader, this.#host.timers.now) };
  }

  #measured({ epoch, sequencer }: Leader): Omit<MetricsAnswer, "id"> {
    const { inFlight, queued, shed, inDoubt, fixes } = sequencer;
    const operations = this.metrics.rows(this.#host.timers.now);
    return { status: "ok", epoch, operations, inFlight, queued, shed, inDoubt: inDoubt.size, fixes };
  }

  #repair(client: ClientNumber, { id, node }: RepairRequest): void {
    const leader = this.#leader();
    if (node !== undefined && !memberOf(leader.state, node)) throw noSuchNode(leader.state, node);
    const say = (so: Repaired, done: boolean): void => this.#answer(client, id, { ...so, done });
    run(leader.antiEntropy.repair(node, (so) => say(so, false))).whenDone((end) => {
      if (end instanceof KvError) this.#refuse(client, id, end);
      else say(end, true);
    });
  }

  #scan(client: ClientNumber, request: ScanRequest): void {
    if (this.#scans >= SCANS_MAX) {
      throw new KvError("OVERLOADED", `${SCANS_MAX} pages are being listed: ask for fewer at a time`);
    }
    const page = scan({ leader: this.#leader(), timers: this.#host.timers, client }, request);
    this.#scans++;
    this.#show(client, request.id, this.#measuredScan(page));
  }

  *#measuredScan(page: Script<object>): Script<object> {
    const startedAt = this.#host.timers.now;
    const body = yield* page;
    this.#scans--;
    const outcome = body instanceof KvError ? body.outcome : "ok";
    this.metrics.record("scan", "-", outcome, { startedAt, now: this.#host.timers.now });
    return body;
  }

  /** V5: our record is asked like a node's; what it answers is durable. */
  #vote(client: ClientNumber, request: VoterRequest): void {
    const { id } = request;
    run(this.#voted(client, request)).whenDone((answer) => this.#host.send(client, { id, ...answer }));
  }

  *#voted(client: ClientNumber, request: VoterRequest): Script<Answer> {
    const { local } = this.#host.voters;
    switch (request.op) {
      case "inspect":
        return yield* wait(local.inspection());
      case "prevote":
        return yield* wait(local.prevote(request, this.#host.timers.now));
      case "heartbeat":
        return yield* wait(local.heartbeat(request, client, this.#host.timers.now));
      case "prepare":
        return yield* wait(local.prepare(request));
      case "accept":
        return yield* wait(local.accept(request));
    }
  }
}

function* handedOver(leader: Leader): Script<object> {
  const found = yield* leader.stepDown();
  return found instanceof KvError ? found : { leader: found };
}
