// Leader: everything that exists only while this coordinator leads one epoch: the state log, the peers, the sequencer and the topology
// operations, wired together. It ends when a higher epoch is seen anywhere (C4, C10), and then answers everything that is open.
import type { ClusterState } from "../shared/cluster-state.ts";
import { KvError } from "../shared/errors.ts";
import type { NodeId, OwnerId } from "../shared/ids.ts";
import { run, sleep, wait, type Script } from "../shared/script.ts";
import type { Timers } from "../shared/timers.ts";
import type { Ballot, Stamp, Version } from "../shared/version.ts";
import type { CoordinatorRole } from "../shared/protocol/client-messages.ts";
import { FailureDetector } from "./cluster/failure-detector.ts";
import { Pacer } from "./cluster/pacing.ts";
import { Peers } from "./cluster/peers.ts";
import { Rota } from "./cluster/rota.ts";
import { slotRuntimes, type SlotRuntime } from "./cluster/slot-runtime.ts";
import { StateLog } from "./election/state-log.ts";
import type { Agreement, Leading, Won } from "./election/agreement.ts";
import { Heartbeats } from "./election/heartbeats.ts";
import { Standbys } from "./election/standbys.ts";
import type { Voters } from "./election/voters.ts";
import { failure } from "./links/link.ts";
import type { Links } from "./links/links.ts";
import { ADOPT_TIMEOUT_MS, greetNewcomer, takenByOther } from "./newcomer.ts";
import type { SlotLoad } from "./rebalance/batch.ts";
import { slotLoads } from "./rebalance/loads.ts";
import type { RebalanceContext } from "./rebalance/context.ts";
import { Topology } from "./rebalance/topology.ts";
import { Absence } from "./repair/absence.ts";
import { AntiEntropy } from "./repair/anti-entropy.ts";
import { Behind } from "./repair/behind.ts";
import type { Remembered } from "./sequencer/remembered.ts";
import { Sequencer } from "./sequencer/sequencer.ts";
import type { SequencerContext } from "./sequencer/context.ts";

/** Silence after which a replica is asked last. */
const SLUGGISH_MS = 1_200;
/** Without a majority of the voters for this long, operations are refused rather than held. */
const FORLORN_MS = 2_000;
/** Hand-over: how long what is under way may take, and then the standby. */
const DRAIN_MS = 200;
const HAND_OVER_MS = 1_000;
const POLL_MS = 2;

export interface LeaderHost {
  readonly owner: OwnerId;
  /** Where clients reach this coordinator. */
  readonly address: string;
  readonly timers: Timers;
  readonly links: Links;
  readonly voters: Voters;
  readonly upkeep: Upkeep;
  /** What the cache of values takes at most. */
  readonly readCacheBytes: number;
  readonly agreement: Agreement;
  /** Rules switched off, by the mutation check of the simulator only. */
  readonly without: ReadonlySet<string>;
  /** A higher epoch was seen; this leader has ended. */
  readonly deposed: (epoch: number) => void;
  /** The map of in-doubt keys is full: win a new epoch, which empties it (C5). */
  readonly renew: () => void;
  /** A new state was accepted. */
  readonly accepted: (state: ClusterState) => void;
  /** Where this process serves REST, for the clients of standbys. */
  readonly http: () => string | undefined;
  /** Results of this process's writes, whichever epoch it led (C8). */
  readonly remembered: Remembered;
  /** Who is about to lead instead. */
  readonly successor: (address: string) => void;
  readonly notice: (about: NoticeSubject, text: string) => void;
}

/** What a leader does about the data by itself, and when. */
export interface Upkeep {
  /** Age from which on tombstones are collected (N9). */
  readonly collectAfterMs: number;
  /** Down for so long, slots that cannot write without a node do without it (M2). */
  readonly awayAfterMs: number;
  /** `--replace-after`: down for so long, a node's slots go to others; 0: never. */
  readonly replaceAfterMs: number;
}

/** What became of this coordinator. The first one is told when that is decided. */
export interface RoleNews {
  readonly role: CoordinatorRole;
  /** 0 where none is known. */
  readonly epoch: number;
  /** Where the leader is, where another one leads. */
  readonly leader?: string;
  /** With `waiting`: voters that do not answer; empty where not even the cluster's state was found. */
  readonly missing: readonly { readonly id: string; readonly address: string }[];
  /** With `waiting`: where the cluster was looked for. */
  readonly asked: readonly string[];
  /** With `waiting`: where it is not for voters. */
  readonly because?: string;
}

/** What a notice is about: what became of a node, or of a topology operation. */
export type NoticeSubject = "node" | "operation";

export class Leader {
  readonly epoch: number;
  /** When it began to lead, by the core's clock. */
  readonly since: number;
  readonly slots: readonly SlotRuntime[];
  readonly stateLog: StateLog;
  readonly peers: Peers;
  readonly sequencer: Sequencer;
  readonly topology: Topology;
  readonly heartbeats: Heartbeats;
  readonly standbys: Standbys;
  readonly behind: Behind;
  readonly antiEntropy: AntiEntropy;
  readonly #rebalancing: RebalanceContext;
  readonly #absence: Absence;
  readonly #failureDetector: FailureDetector;
  readonly #host: LeaderHost;
  #seq = 0;
  #stamps = 0;
  #active = true;
  /** C10: nothing new is begun while the leadership is handed over. */
  #handingOver = false;

  constructor(host: LeaderHost, won: Won) {
    this.#host = host;
    this.epoch = won.epoch;
    this.since = host.timers.now;
    this.slots = slotRuntimes(won.state, won.epoch);
    const active = (): boolean => this.#active;
    const outPromised = (epoch: number): void => this.depose(epoch);
    this.stateLog = new StateLog(
      {
        agreement: host.agreement,
        owner: host.owner,
        active,
        outPromised,
        renew: () => host.renew(),
        accepted: (state) => this.#accepted(state),
      },
      won,
    );
    this.peers = new Peers({
      links: host.links,
      epoch: won.epoch,
      address: host.address,
      state: () => this.state,
      slots: this.slots,
      active,
      fenced: outPromised,
      moving: (slot) => this.topology.moving(slot),
      notice: (text) => host.notice("node", text),
      cut: (node) => this.behind.uncheck(this.state, node),
    });
    this.behind = new Behind(() => host.timers.now);
    this.behind.uncheck(won.state);
    this.#failureDetector = new FailureDetector({
      timers: host.timers,
      peers: () => this.peers.all(),
      active,
      notice: (text) => host.notice("node", text),
    });
    const { timers, voters, owner, address, http } = host;
    const { stateLog, epoch } = this;
    const newest = (): { ballot: Ballot; state: ClusterState } => ({ ballot: stateLog.ballot, state: stateLog.state });
    this.standbys = new Standbys({ timers, epoch, owner, address, http, newest });
    const resumed = (): void => this.sequencer.resume();
    this.heartbeats = new Heartbeats({ timers, voters, stateLog, epoch, owner, address, active, outPromised, resumed });
    const context = this.#sequencerContext();
    this.sequencer = new Sequencer(context, host.remembered, host.readCacheBytes);
    const rebalancing = this.#rebalanceContext(context);
    this.#rebalancing = rebalancing;
    this.topology = new Topology({
      context: rebalancing,
      adopt: (node, address) => this.#adopt(node, address),
      wishes: (leaving) => ({ leaving, answers: (id) => this.#answers(id), local: this.#localSeat() }),
      notice: (text) => host.notice("operation", text),
    });
    const moving = (slot: number): boolean => this.topology.moving(slot);
    this.antiEntropy = new AntiEntropy({ ...rebalancing, behind: this.behind, moving }, host.upkeep.collectAfterMs);
    const { peers, topology } = this;
    this.#absence = new Absence({
      timers: host.timers,
      active,
      state: () => this.state,
      peers,
      topology,
      ...host.upkeep,
    });
  }

  get state(): ClusterState {
    return this.stateLog.state;
  }

  get active(): boolean {
    return this.#active;
  }

  /** Addresses of who else knows who leads: voters and standbys. */
  get others(): readonly string[] {
    return [...this.state.voters.map(({ address }) => address), ...this.standbys.addresses];
  }

  /** Greets the nodes, watches them, goes on with what stands in the state. */
  start(): void {
    this.#host.voters.local.establish(this.state.cluster);
    run(this.heartbeats.run());
    run(this.#host.agreement.lead(this.#leading()));
    run(this.#failureDetector.run());
    run(this.antiEntropy.run());
    run(this.#absence.run());
    run(this.topology.tendVoters());
    this.topology.resume();
  }

  #leading(): Leading {
    const { owner, address } = this.#host;
    const confirmed = (at: number): void => this.heartbeats.confirmed(at);
    const outPromised = (epoch: number): void => this.depose(epoch);
    return { owner, address, epoch: this.epoch, active: () => this.#active, outPromised, confirmed };
  }

  /** Where the state is kept, if not by nodes that vote, and whether it answers. */
  get place(): { readonly place: string; readonly answers: boolean } | undefined {
    const { place, answers } = this.#host.agreement;
    return place === undefined ? undefined : { place, answers };
  }

  /** Planned end: a standby leads on, if there is one; if not, nobody has to wait for this leader's silence. */
  *retire(): Script<void> {
    const found = yield* this.stepDown();
    if (found instanceof KvError && this.#active) yield* this.#host.agreement.resign();
  }

  /** C4, C10: a higher epoch exists. What was sent is unknown from here on. */
  depose(epoch: number): void {
    if (!this.#active || epoch <= this.epoch) return;
    this.#end(`epoch ${epoch} has begun elsewhere`);
    this.#host.deposed(epoch);
  }

  /** Ends without a rival: shutting down, or about to win a new epoch. */
  stop(reason: string): void {
    if (this.#active) this.#end(reason);
  }

  #end(reason: string): void {
    this.#active = false;
    this.sequencer.end((sent) =>
      sent
        ? new KvError("LOST", `${reason}: the operation may or may not have happened`)
        : new KvError("NOT_LEADER", `${reason}: nothing was sent`),
    );
    this.topology.end();
    for (const peer of this.peers.all()) peer.link.direct(undefined);
  }

  #accepted(state: ClusterState): void {
    this.peers.refresh();
    this.heartbeats.beat();
    this.behind.follow(state);
    this.#host.accepted(state);
  }

  #sequencerContext(): SequencerContext {
    const { timers } = this.#host;
    const rota = new Rota(timers);
    return {
      epoch: this.epoch,
      timers,
      without: this.#host.without,
      slot: (slot) => this.slots[slot] as SlotRuntime,
      send: (node, op, listener) => {
        const peer = this.peers.get(node);
        // Under its own name, which a link that is not greeted does not know.
        if (peer?.up) peer.link.enqueue(op, listener);
        else listener.settled(node, failure("NODE_UNREACHABLE", `node ${node} does not answer`));
      },
      confirmEpoch: (node, listener) => {
        const peer = this.peers.get(node);
        if (peer?.up) peer.link.confirmEpoch(listener);
        else listener.epochTold(failure("NODE_UNREACHABLE", `node ${node} does not answer`));
      },
      reachable: (node) => this.peers.get(node)?.up === true,
      hopeful: (node) => this.peers.get(node)?.hopeful(timers.now) === true,
      sluggish: (node) => timers.now - (this.peers.get(node)?.link.heardAt ?? 0) > SLUGGISH_MS,
      inTurn: (members, several) => rota.order(members, several),
      nextVersion: () => this.#nextVersion(),
      missed: (node, slot, version) => this.behind.missed(node, slot, version),
      fenced: (epoch) => this.depose(epoch),
      paused: () => this.#paused(),
    };
  }

  #paused(): false | "waiting" | "forlorn" {
    if (this.#handingOver) return "waiting";
    if (!this.heartbeats.paused) return false;
    return this.heartbeats.silentMs > FORLORN_MS ? "forlorn" : "waiting";
  }

  /** Planned hand-over: holds what comes in, lets what is under way end, and tells a standby to lead. @returns where it leads */
  *stepDown(): Script<string | KvError> {
    const { timers } = this.#host;
    if (this.#handingOver || this.standbys.addresses.length === 0)
      return new KvError("NO_STANDBY", "no standby follows this leader: start one with ./runtime serve --join …");
    this.#handingOver = true;
    const drained = timers.now + DRAIN_MS;
    while (this.sequencer.inFlight > 0 && timers.now < drained) yield* wait(sleep(timers, POLL_MS));
    const until = timers.now + HAND_OVER_MS;
    let successor: string | undefined;
    while (this.#active && timers.now < until) {
      successor ??= this.standbys.handOver();
      if (successor !== undefined) this.#host.successor(successor);
      yield* wait(sleep(timers, POLL_MS));
    }
    if (!this.#active && successor !== undefined) return successor;
    this.#handingOver = false;
    this.sequencer.resume();
    return new KvError("NO_STANDBY", "the standby did not take over; this coordinator leads on");
  }

  #nextVersion(): Version {
    if (this.sequencer.inDoubt.overfull) this.#host.renew();
    return [this.epoch, ++this.#seq];
  }

  #rebalanceContext(writing: SequencerContext): RebalanceContext {
    return {
      timers: this.#host.timers,
      slots: this.slots,
      peers: this.peers,
      sequencer: this.sequencer,
      writing,
      pacer: new Pacer(this.#host.timers, this.sequencer),
      without: this.#host.without,
      active: () => this.#active,
      nextStamp: (): Stamp => [this.epoch, ++this.#stamps],
      state: () => this.state,
      propose: (change) => this.stateLog.propose(change),
    };
  }

  #localSeat(): ClusterState["voters"][number] | undefined {
    if (!this.#host.voters.local.established) return undefined;
    return { id: this.#host.voters.local.seat, kind: "coordinator", address: this.#host.address };
  }

  /** Whether a voter's seat answers: our own record always does. */
  #answers(id: string): boolean {
    if (id === this.#host.voters.local.seat) return true;
    const peer = this.peers.get(id as NodeId);
    // Another coordinator's record is no peer.
    if (!peer) return this.heartbeats.answers(id);
    return peer.up && peer.state(this.#host.timers.now) !== "down";
  }

  /** Keys and bytes of each slot, from whichever replica knows. */
  loads(): Script<(slot: number) => SlotLoad> {
    return slotLoads(this.#rebalancing);
  }

  /** Brings a blank node, or one that was removed, into the cluster. */
  *#adopt(node: NodeId, address: string): Script<ClusterState["members"][number]["incarnation"] | KvError> {
    const { links, timers } = this.#host;
    const link = links.to(address);
    const found = yield* greetNewcomer(timers, links, address);
    if (found instanceof KvError) return found;
    const { cluster, seed } = this.state;
    if (found.cluster !== null && found.cluster !== cluster) return takenByOther(address, found.cluster);
    const message = { op: "adopt", cluster, node, incarnation: found.incarnation, seed, epoch: this.epoch };
    const answer = yield* wait(link.call("control", message, ADOPT_TIMEOUT_MS));
    if (answer["status"] === "ok") return found.incarnation;
    if (answer["code"] === "FENCED") this.depose(Number(answer["fence"]));
    if (answer["code"] === "NODE_TAKEN") return new KvError("NODE_TAKEN", String(answer["message"]));
    return new KvError("NODE_UNREACHABLE", `${address} could not be added: ${String(answer["message"])}`);
  }
}
