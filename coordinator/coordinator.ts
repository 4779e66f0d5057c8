// Coordinator: one process's part in the cluster. It campaigns when it knows a cluster (C1), mints one when the first node is added (C0),
// leads until a higher epoch is seen, and answers clients: by itself while it leads, with a pointer to the leader otherwise.
//
// Pure: events come in through `handle` with the time, effects are returned; clock, random, network and disk belong to the edge.
import { unreachable } from "../shared/assert.ts";
import { confirmersOf, type ClusterState } from "../shared/cluster-state.ts";
import { errorAnswer, KvError } from "../shared/errors.ts";
import { fnv1a } from "../shared/fnv.ts";
import type { ClusterId, OwnerId } from "../shared/ids.ts";
import type { CoordinatorRole } from "../shared/protocol/client-messages.ts";
import { parseCoordinatorRequest } from "../shared/protocol/parse-client-request.ts";
import { AWAY_AFTER_MS, COLLECT_AFTER_MS, READ_CACHE_BYTES, REPLACE_AFTER_MS } from "../shared/limits.ts";
import { run, type Script } from "../shared/script.ts";
import { Timers } from "../shared/timers.ts";
import type { ClusterFile, CoordinatorEffect, CoordinatorEvent } from "./coordinator-events.ts";
import type { Agreement, Won } from "./election/agreement.ts";
import { EtcdAgreement, type EtcdPlace } from "./election/etcd-agreement.ts";
import { EtcdCalls } from "./election/etcd-calls.ts";
import { LocalVoter, type LocalVoterFile } from "./election/local-voter.ts";
import { Succession, type Occasion, type Rival } from "./election/succession.ts";
import { VoterAgreement } from "./election/voter-agreement.ts";
import { Voters } from "./election/voters.ts";
import { Leader, type RoleNews, type Upkeep } from "./leader.ts";
import { Links } from "./links/links.ts";
import { notLeading } from "./not-leading.ts";
import { mint, type AddNode } from "./mint.ts";
import type { Metrics } from "./metrics.ts";
import { Requests } from "./requests.ts";
import type { ClientNumber } from "./sequencer/operation.ts";
import { Remembered } from "./sequencer/remembered.ts";
import { gauges, type Gauges } from "./views/gauges.ts";

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
  /** The etcd that keeps epoch and state; undefined: storage nodes vote. */
  readonly etcd?: EtcdPlace;
  /** Where this process serves REST, for standbys to send its clients to: `host:port`, undefined while it does not. */
  readonly http?: () => string | undefined;
  /** A fresh UUID. */
  readonly uuid: () => string;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Rules switched off, by the mutation check of the simulator only. */
  readonly without?: ReadonlySet<string>;
  /** What the leader does by itself, and when; the defaults where left out. */
  readonly upkeep?: Partial<Upkeep>;
  /** What the leader's cache of values takes at most; the default where left out. 0: it keeps none. */
  readonly readCacheBytes?: number;
}

const UPKEEP: Upkeep = {
  collectAfterMs: COLLECT_AFTER_MS,
  awayAfterMs: AWAY_AFTER_MS,
  replaceAfterMs: REPLACE_AFTER_MS,
};

export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #timers: Timers;
  readonly #links: Links;
  readonly #voters: Voters;
  readonly #etcd: EtcdCalls;
  readonly #agreement: Agreement;
  readonly #requests: Requests;
  #effects: CoordinatorEffect[] = [];
  #leader: Leader | undefined;
  #cluster: ClusterId | undefined;
  #hints: readonly string[];
  /** Nothing is decided before it is told; but only who knows of no cluster is `new`, and may make one. */
  #role: CoordinatorRole;
  /** Who leads, as far as this coordinator knows. */
  #rival: Rival | undefined;
  /** Who takes over from us. */
  #successor: string | undefined;
  readonly #succession: Succession;
  readonly #remembered: Remembered;
  #waitingFor: readonly { readonly id: string; readonly address: string }[] = [];
  /** Why it waits, where that is not for voters. */
  #because: string | undefined;
  /** The latest role that was told. */
  #told: CoordinatorRole | undefined;
  #stopped = false;

  /** @param now Milliseconds of a monotonic clock. */
  constructor(options: CoordinatorOptions, now: number) {
    this.#options = options;
    this.#timers = new Timers(now);
    this.#links = new Links(this.#timers, (effect) => this.#effects.push(effect));
    this.#remembered = new Remembered(fnv1a(options.owner, 0));
    const seat = options.voterFile?.seat ?? options.seat;
    const persist = (file: LocalVoterFile, token: number): void =>
      void this.#effects.push({ type: "saveVoter", file, token });
    this.#voters = new Voters(this.#links, new LocalVoter(seat, options.voterFile, persist));
    this.#etcd = new EtcdCalls((effect) => void this.#effects.push(effect));
    this.#agreement = this.#agreementIn(options.etcd);
    this.#cluster = options.clusterFile?.cluster;
    this.#role = this.#cluster === undefined ? "new" : "waiting";
    this.#hints = [...new Set([...(options.clusterFile?.addresses ?? []), ...options.join])];
    this.#links.onUp = (link) => this.#leader?.peers.connected(link);
    this.#links.onDown = (link) => this.#leader?.peers.disconnected(link);
    this.#requests = new Requests({
      address: options.address,
      timers: this.#timers,
      leader: () => this.#leader,
      send: (client, message) => void this.#effects.push({ type: "answer", client, message }),
      notLeading: () => this.#notLeading(),
      hello: () => this.#hello(),
      links: this.#links,
      voters: this.#voters,
      firstNode: (change) => this.#firstNode(change),
    });
    const { owner, address, random } = options;
    this.#succession = new Succession({
      timers: this.#timers,
      links: this.#links,
      agreement: this.#agreement,
      owner,
      address,
      random,
      cluster: () => this.#cluster,
      hints: () => this.#hints,
      stopped: () => this.#stopped,
      following: (rival) => this.#following(rival),
      waiting: (missing, because) => this.#waiting(missing, because),
      unfounded: () => this.#unfounded(),
      learned: (state) => this.#learned(state),
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

  /** What is counted beside; undefined while this coordinator does not lead. */
  get gauges(): Gauges | undefined {
    return this.#leader?.active === true ? gauges(this.#leader) : undefined;
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
    this.#requests.flush();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #one(event: CoordinatorEvent): void {
    switch (event.type) {
      case "start":
        if (this.#cluster === undefined && !this.#options.etcd) this.#setRole("new");
        else run(this.#succeed("vacant"));
        return;
      case "retire":
        run(this.#retire());
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
      case "agreed":
        this.#etcd.answered(event.call, event.answer);
        return;
      default:
        unreachable(event);
    }
  }

  /** Ends the leadership, if there is one: what is open is answered. */
  stop(): CoordinatorEffect[] {
    this.#stopped = true;
    this.#leader?.stop("the coordinator is shutting down");
    this.#requests.flush();
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
    this.#told = role;
    const missing = role === "waiting" ? this.#waitingFor : [];
    const because = role === "waiting" ? this.#because : undefined;
    const news = { role, epoch: this.#leader?.epoch ?? this.#succession.epochSeen, missing, asked: this.#hints };
    const leader = this.#rival?.address;
    this.#effects.push({ type: "role", ...news, ...(leader !== undefined && { leader }), ...(because && { because }) });
  }

  #notLeading(): KvError {
    return notLeading({
      role: this.#role,
      rival: this.#rival,
      because: this.#because,
      missing: this.#waitingFor,
      asked: this.#hints,
    });
  }

  #hello(): Readonly<Record<string, unknown>> {
    const leading = this.#leader?.active === true ? this.#leader : undefined;
    return {
      role: this.#role,
      cluster: this.#cluster ?? null,
      epoch: this.#leader?.epoch ?? this.#rival?.epoch ?? 0,
      owner: this.#options.owner,
      valueBytesMax: this.#options.valueBytesMax,
      leader: leading ? this.#options.address : this.#rival?.address,
      others: leading?.others,
      http: this.#options.http?.(),
    };
  }

  // Leading, and what comes before.

  /** Stands for election, or follows who leads, until this coordinator has won. */
  *#succeed(occasion: Occasion): Script<void> {
    const won = yield* this.#succession.untilWon(occasion);
    if (won) this.#lead(won);
  }

  #agreementIn(etcd: EtcdPlace | undefined): Agreement {
    if (!etcd) return new VoterAgreement(this.#timers, this.#voters);
    return new EtcdAgreement({ timers: this.#timers, calls: this.#etcd, voters: this.#voters, ...etcd });
  }

  /** The etcd answers, and keeps no cluster yet. */
  #unfounded(): void {
    if (this.#told !== "new") this.#setRole("new");
  }

  #waiting(missing: RoleNews["missing"], because: string | undefined): void {
    const same = because === this.#because && JSON.stringify(missing) === JSON.stringify(this.#waitingFor);
    if (this.#told === "waiting" && same) return;
    this.#waitingFor = missing;
    this.#because = because;
    this.#rival = undefined;
    this.#setRole("waiting");
  }

  #following(rival: Rival): void {
    const told =
      this.#role === "standby" && this.#rival?.address === rival.address && this.#rival.epoch === rival.epoch;
    this.#rival = rival;
    if (!told) this.#setRole("standby");
  }

  #lead(won: Won): void {
    const { owner, address, http, without, upkeep, readCacheBytes } = this.#options;
    this.#succession.saw(won.epoch);
    this.#waitingFor = [];
    this.#because = undefined;
    this.#rival = undefined;
    this.#leader = new Leader(
      {
        owner,
        address,
        timers: this.#timers,
        links: this.#links,
        voters: this.#voters,
        agreement: this.#agreement,
        without: without ?? new Set(),
        upkeep: { ...UPKEEP, ...upkeep },
        readCacheBytes: readCacheBytes ?? READ_CACHE_BYTES,
        http: () => http?.(),
        remembered: this.#remembered,
        successor: (successor) => (this.#successor = successor),
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

  /** C10: somebody else leads; this coordinator becomes a standby. */
  #deposed(epoch: number): void {
    this.#succession.saw(epoch);
    this.#leader = undefined;
    this.#rival = this.#successor === undefined ? undefined : { address: this.#successor, epoch };
    this.#successor = undefined;
    this.#setRole("standby");
    run(this.#succeed("vacant"));
  }

  /** C5: a new epoch empties the map of in-doubt keys. */
  #renew(): void {
    this.#leader?.stop("a new epoch begins");
    this.#leader = undefined;
    run(this.#succeed("own"));
  }

  /** Planned end: a standby, if there is one, leads on before this coordinator stops. */
  *#retire(): Script<void> {
    if (this.#leader?.active === true) yield* this.#leader.retire();
    this.#effects.push({ type: "retired" });
  }

  #accepted(state: ClusterState): void {
    const create = this.#cluster === undefined;
    this.#cluster = state.cluster;
    this.#learned(state, create);
  }

  /** Keeps in touch with those that the state names, and remembers where they are. */
  #learned(state: ClusterState, create = false): void {
    this.#cluster ??= state.cluster;
    const { address: own } = this.#options;
    const addresses = [...new Set([...state.voters, ...state.members].map(({ address }) => address))];
    this.#links.keepOnly(new Set([...addresses, ...this.#hints, ...(this.#rival ? [this.#rival.address] : [])]));
    // Connected already, a standby takes over the sooner.
    for (const { address } of confirmersOf(state)) if (address !== own) this.#links.to(address);
    if (!create && addresses.every((address) => this.#hints.includes(address))) return;
    this.#hints = addresses;
    this.#effects.push({ type: "saveCluster", file: { format: 1, cluster: state.cluster, addresses }, create });
  }

  /** C0. */
  *#firstNode(change: AddNode): Script<KvError | undefined> {
    const { owner, address, random, uuid } = this.#options;
    const minting = {
      timers: this.#timers,
      links: this.#links,
      agreement: this.#agreement,
      owner,
      address,
      random,
      uuid,
    };
    const minted = yield* mint(minting, change, () => this.#role === "new");
    if (minted instanceof KvError) return minted;
    if (minted) {
      this.#succession.cease();
      this.#lead(minted);
    }
    return undefined;
  }
}
