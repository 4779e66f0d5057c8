// Coordinator: one process's part in the cluster. It campaigns when it knows a cluster (C1), mints one when the first node is added (C0),
// leads until a higher epoch is seen, and answers clients: by itself while it leads, with a pointer to the leader otherwise.
//
// Pure: events come in through `handle` with the time, effects are returned; clock, random, network and disk belong to the edge.
import { unreachable } from "../shared/assert.ts";
import { encodeState, type ClusterState } from "../shared/cluster-state.ts";
import { errorAnswer, KvError } from "../shared/errors.ts";
import type { ClusterId, NodeId, OwnerId } from "../shared/ids.ts";
import type { CoordinatorRole, TopologyChange } from "../shared/protocol/client-messages.ts";
import { parseCoordinatorRequest } from "../shared/protocol/parse-client-request.ts";
import { PROTOCOL_VERSIONS } from "../shared/protocol/version.ts";
import { run, sleep, wait, type Script } from "../shared/script.ts";
import { allSlots } from "../shared/slot.ts";
import { Timers } from "../shared/timers.ts";
import type { Ballot } from "../shared/version.ts";
import { FIRST_STAMP } from "./cluster/peers.ts";
import { campaign, type CampaignResult, type Won } from "./election/campaign.ts";
import { LocalVoter, type LocalVoterFile } from "./election/local-voter.ts";
import { Voters } from "./election/voters.ts";
import { greetNewcomer, Leader, takenByOther, type NoticeSubject, type RoleNews } from "./leader.ts";
import type { Answer, Channel } from "./links/link.ts";
import { Links, type LinkEffect } from "./links/links.ts";
import type { Metrics } from "./metrics.ts";
import { Requests } from "./requests.ts";
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
  | {
      readonly type: "lines";
      readonly client: ClientNumber;
      readonly lines: readonly Readonly<Record<string, unknown>>[];
    }
  | { readonly type: "clientGone"; readonly client: ClientNumber }
  | { readonly type: "linkUp" | "linkDown"; readonly address: string; readonly channel: Channel }
  | { readonly type: "linkLines"; readonly address: string; readonly lines: readonly Answer[] }
  /** The local voter's file of that token is durable. */
  | { readonly type: "voterSaved"; readonly token: number };

export type CoordinatorEffect =
  | LinkEffect
  | { readonly type: "answer"; readonly client: ClientNumber; readonly message: object }
  | { readonly type: "saveVoter"; readonly file: LocalVoterFile; readonly token: number }
  /** `create`: must not exist yet (C0). */
  | { readonly type: "saveCluster"; readonly file: ClusterFile; readonly create: boolean }
  | ({ readonly type: "role" } & RoleNews)
  | { readonly type: "notice"; readonly about: NoticeSubject; readonly text: string };

export interface CoordinatorOptions {
  readonly owner: OwnerId;
  /** Where clients and nodes reach this coordinator. */
  readonly address: string;
  readonly clusterFile: ClusterFile | undefined;
  /** Further addresses to look for the cluster at. */
  readonly join: readonly string[];
  readonly voterFile: LocalVoterFile | undefined;
  /** Id of our voter's seat where there is no file yet: `coordinator:<uuid>`. */
  readonly seat: string;
  readonly valueBytesMax: number;
  /** Where this process serves REST, for standbys to send its clients to: `host:port`, undefined while it does not. */
  readonly http?: () => string | undefined;
  /** A fresh UUID. */
  readonly uuid: () => string;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Rules switched off, by the mutation check of the simulator only. */
  readonly without?: ReadonlySet<string>;
}

const CAMPAIGN_RETRY_MS = 300;
const RIVAL_TIMEOUT_MS = 1_000;
const DEFAULT_RF = 3;

export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #timers: Timers;
  readonly #links: Links;
  readonly #voters: Voters;
  readonly #requests: Requests;
  #effects: CoordinatorEffect[] = [];
  #leader: Leader | undefined;
  #cluster: ClusterId | undefined;
  #hints: readonly string[];
  #role: CoordinatorRole = "new";
  #rival: { readonly address: string; readonly epoch: number } | undefined;
  /** Where the rival serves REST, if it said so. */
  #rivalHttp: string | undefined;
  #waitingFor: readonly { readonly id: string; readonly address: string }[] = [];
  #epochSeen = 0;
  #stopped = false;

  /** @param now Milliseconds of a monotonic clock. */
  constructor(options: CoordinatorOptions, now: number) {
    this.#options = options;
    this.#timers = new Timers(now);
    this.#links = new Links(this.#timers, (effect) => this.#effects.push(effect));
    const seat = options.voterFile?.seat ?? options.seat;
    const persist = (file: LocalVoterFile, token: number): void =>
      void this.#effects.push({ type: "saveVoter", file, token });
    this.#voters = new Voters(this.#links, new LocalVoter(seat, options.voterFile, persist));
    this.#cluster = options.clusterFile?.cluster;
    this.#hints = [...new Set([...(options.clusterFile?.addresses ?? []), ...options.join])];
    this.#links.onUp = (link) => this.#leader?.peers.connected(link);
    this.#links.onDown = (link) => this.#leader?.peers.disconnected(link);
    this.#requests = new Requests({
      timers: this.#timers,
      leader: () => this.#leader,
      send: (client, message) => void this.#effects.push({ type: "answer", client, message }),
      notLeading: () => this.#notLeading(),
      hello: () => this.#hello(),
      links: this.#links,
      voters: this.#voters,
      firstNode: (change) => this.#mint(change),
    });
  }

  get role(): CoordinatorRole {
    return this.#role;
  }

  /** The newest accepted state, while this coordinator leads. */
  get state(): ClusterState | undefined {
    return this.#leader?.state;
  }

  /** The epoch that this coordinator leads; undefined while it does not. */
  get epoch(): number | undefined {
    return this.#leader?.epoch;
  }

  /** What was answered, how often and how fast. */
  get metrics(): Metrics {
    return this.#requests.metrics;
  }

  /** When `handle({type: "tick"})` is wanted next, by the same clock. */
  get wakeAt(): number | undefined {
    return this.#timers.nextAt;
  }

  /** Events in, effects out, in the order in which they are to be carried out. */
  handle(events: readonly CoordinatorEvent[], now: number): CoordinatorEffect[] {
    this.#timers.advance(now);
    for (const event of events) this.#one(event);
    this.#links.flush();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #one(event: CoordinatorEvent): void {
    switch (event.type) {
      case "start":
        if (this.#cluster === undefined) this.#setRole("new");
        else run(this.#campaignUntilDecided());
        return;
      case "tick":
        return;
      case "lines":
        for (const line of event.lines) this.#line(event.client, line);
        return;
      case "clientGone":
        this.#requests.gone(event.client);
        return;
      case "linkUp":
        this.#links.up(event.address, event.channel);
        return;
      case "linkDown":
        this.#links.down(event.address, event.channel);
        return;
      case "linkLines":
        this.#links.received(event.address, event.lines);
        return;
      case "voterSaved":
        this.#voters.local.persisted(event.token);
        return;
      default:
        unreachable(event);
    }
  }

  /** Ends the leadership, if there is one: what is open is answered. */
  stop(): CoordinatorEffect[] {
    this.#stopped = true;
    this.#leader?.stop("the coordinator is shutting down");
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #line(client: ClientNumber, line: Readonly<Record<string, unknown>>): void {
    try {
      this.#requests.handle(client, parseCoordinatorRequest(line, this.#options.valueBytesMax));
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      const id = typeof line["id"] === "number" ? line["id"] : null;
      this.#effects.push({ type: "answer", client, message: { id, ...errorAnswer(error) } });
    }
  }

  // Roles.

  #setRole(role: CoordinatorRole): void {
    this.#role = role;
    const missing = role === "waiting" ? this.#waitingFor : [];
    const news = { role, epoch: this.#leader?.epoch ?? this.#epochSeen, missing, asked: this.#hints };
    this.#effects.push({ type: "role", ...news, ...(this.#rival && { leader: this.#rival.address }) });
  }

  #notLeading(): KvError {
    if (this.#role === "new")
      return new KvError("NO_CLUSTER", "no node was added yet: start one and type addnode <id> <port>");
    if (this.#rival) {
      const { address } = this.#rival;
      const text = `another coordinator leads, at ${address}: ./runtime shell --connect ${address}`;
      const leaderHttp = this.#rivalHttp;
      return new KvError("NOT_LEADER", text, { leader: address, ...(leaderHttp !== undefined && { leaderHttp }) });
    }
    if (this.#role === "standby")
      return new KvError("NO_LEADER", "another coordinator took over; start this one again to find out where it is");
    const missing = this.#waitingFor.map(({ id, address }) => `${id} (${address})`).join(", ");
    const who = missing === "" ? `none answers at ${this.#hints.join(", ")}` : `missing: ${missing}`;
    return new KvError("NO_LEADER", `waiting for a majority of the voters; ${who}; start them with ./node_server`);
  }

  #hello(): Readonly<Record<string, unknown>> {
    const leader = this.#leader?.active === true ? this.#options.address : this.#rival?.address;
    return {
      role: this.#role,
      cluster: this.#cluster ?? null,
      epoch: this.#leader?.epoch ?? this.#rival?.epoch ?? 0,
      owner: this.#options.owner,
      valueBytesMax: this.#options.valueBytesMax,
      ...(leader !== undefined && { leader }),
      http: this.#options.http?.(),
    };
  }

  // Campaigning.

  *#campaignUntilDecided(): Script<void> {
    this.#role = "waiting"; // told once it is decided
    let told = "";
    while (!this.#stopped && this.#cluster !== undefined) {
      const result = yield* campaign(this.#candidate(this.#cluster), this.#epochSeen);
      if (this.#decided(result)) return;
      const missing = JSON.stringify(this.#waitingFor);
      if (result.type === "waiting" && missing !== told) this.#setRole("waiting");
      told = missing;
      yield* wait(sleep(this.#timers, CAMPAIGN_RETRY_MS * (1 + this.#options.random())));
    }
  }

  #candidate(cluster: ClusterId): Parameters<typeof campaign>[0] {
    const { owner, address } = this.#options;
    const leads = (rival: string, rivalOwner: OwnerId): Script<boolean> => this.#leads(rival, rivalOwner);
    return { owner, address, cluster, hints: this.#hints, timers: this.#timers, voters: this.#voters, leads };
  }

  #decided(result: CampaignResult): boolean {
    switch (result.type) {
      case "won":
        this.#lead(result);
        return true;
      case "leaderAlive":
        this.#rival = result;
        this.#epochSeen = Math.max(this.#epochSeen, result.epoch);
        this.#setRole("standby");
        return true;
      case "outPromised":
        this.#epochSeen = Math.max(this.#epochSeen, result.epoch);
        return false;
      case "waiting":
        this.#waitingFor = result.missing;
        return false;
      default:
        return unreachable(result);
    }
  }

  /** Whether a leader lives at the address. */
  *#leads(address: string, owner: OwnerId): Script<boolean> {
    if (address === this.#options.address) return false;
    const link = this.#links.to(address);
    const until = this.#timers.now + RIVAL_TIMEOUT_MS;
    while (!link.isUp("control") && this.#timers.now < until) yield* wait(sleep(this.#timers, RIVAL_TIMEOUT_MS / 20));
    const answer = yield* wait(link.call("control", { op: "hello", versions: PROTOCOL_VERSIONS }, RIVAL_TIMEOUT_MS));
    this.#rivalHttp = typeof answer["http"] === "string" ? answer["http"] : undefined;
    return answer["role"] === "leader" && (answer["owner"] === undefined || answer["owner"] === owner);
  }

  #lead(won: Won): void {
    const { owner, address, without } = this.#options;
    this.#epochSeen = won.epoch;
    this.#waitingFor = [];
    this.#leader = new Leader(
      {
        owner,
        address,
        timers: this.#timers,
        links: this.#links,
        voters: this.#voters,
        without: without ?? new Set(),
        deposed: (epoch) => this.#deposed(epoch),
        renew: () => this.#renew(),
        accepted: (state) => this.#accepted(state),
        notice: (about, text) => void this.#effects.push({ type: "notice", about, text }),
      },
      won,
    );
    this.#setRole("leader");
    this.#accepted(won.state);
    this.#leader.start();
  }

  /** Once fenced, this coordinator does not campaign again: somebody else leads. */
  #deposed(epoch: number): void {
    this.#epochSeen = Math.max(this.#epochSeen, epoch);
    this.#leader = undefined;
    this.#setRole("standby");
  }

  /** C5: a new epoch empties the map of in-doubt keys. */
  #renew(): void {
    this.#leader?.stop("a new epoch begins");
    this.#leader = undefined;
    run(this.#campaignUntilDecided());
  }

  #accepted(state: ClusterState): void {
    const addresses = [...new Set([...state.voters, ...state.members].map(({ address }) => address))];
    this.#links.keepOnly(new Set([...addresses, ...this.#hints]));
    const known = new Set(this.#hints);
    if (this.#cluster === state.cluster && addresses.every((address) => known.has(address))) return;
    const create = this.#cluster === undefined;
    this.#cluster = state.cluster;
    this.#hints = addresses;
    this.#effects.push({ type: "saveCluster", file: { format: 1, cluster: state.cluster, addresses }, create });
  }

  // C0: the first node.

  *#mint(change: Extract<TopologyChange, { op: "addnode" }>): Script<KvError | undefined> {
    const found = yield* greetNewcomer(this.#timers, this.#links, change.address);
    if (found instanceof KvError) return found;
    if (found.cluster !== null) return takenByOther(change.address, found.cluster);
    if (this.#role !== "new") return undefined;
    const cluster = this.#options.uuid() as ClusterId;
    const state = this.#firstState(cluster, change, found.incarnation);
    const ballot: Ballot = [1, 1];
    const { owner } = this.#options;
    const message = {
      op: "init",
      cluster,
      node: change.node,
      seed: state.seed,
      owner,
      ballot,
      state: encodeState(state),
    };
    const answer = yield* wait(this.#links.to(change.address).call("control", message, RIVAL_TIMEOUT_MS * 2));
    if (answer["status"] !== "ok") {
      return new KvError(
        "NODE_UNREACHABLE",
        `${change.address} could not become the first node: ${String(answer["message"])}`,
      );
    }
    this.#lead({ epoch: 1, ballot, state, answering: new Set([change.node]) });
    return undefined;
  }

  #firstState(
    cluster: ClusterId,
    { node, address, weight }: { readonly node: NodeId; readonly address: string; readonly weight?: number },
    incarnation: ClusterState["members"][number]["incarnation"],
  ): ClusterState {
    const { owner, address: own, random } = this.#options;
    return {
      format: 1,
      cluster,
      seed: Math.floor(random() * 2 ** 32),
      rf: DEFAULT_RF,
      leader: { owner, address: own },
      members: [{ id: node, incarnation, address, weight: weight ?? 1, state: "up" }],
      voters: [{ id: node, kind: "node", address }],
      operations: [],
      nextOperation: 1,
      slots: allSlots().map(() => ({ members: [node], stamp: FIRST_STAMP })),
    };
  }
}
