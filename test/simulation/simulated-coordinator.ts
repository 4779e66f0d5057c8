// A coordinator in the simulator: the real core, its connections, files and clock virtual. Its two files survive its death.
import type { ClusterFile, CoordinatorEffect, CoordinatorEvent } from "../../coordinator/coordinator-events.ts";
import { Coordinator } from "../../coordinator/coordinator.ts";
import type { LocalVoterFile } from "../../coordinator/election/local-voter.ts";
import { CHANNELS, type Channel } from "../../coordinator/links/link.ts";
import type { Upkeep } from "../../coordinator/leader.ts";
import type { OwnerId } from "../../shared/ids.ts";
import { VALUE_BYTES_MAX_DEFAULT } from "../../shared/limits.ts";
import type { CoordinatorRole } from "../../shared/protocol/client-messages.ts";
import type { Timers } from "../../shared/timers.ts";
import type { Connection, Network } from "./network.ts";
import { asSent } from "../support/compact-line.ts";
import type { Process } from "./process.ts";
import type { SimulatedEtcd } from "./simulated-etcd.ts";
import { uuid, type Random } from "./random.ts";

const REDIAL_MS_MAX = 200;
const FILE_MS_MAX = 3;

export interface CoordinatorHost {
  readonly timers: Timers;
  readonly network: Network;
  readonly random: Random;
  /** Rules switched off. */
  readonly without: ReadonlySet<string>;
  readonly upkeep: Partial<Upkeep>;
  readonly readCache: boolean;
  /** Where the state is kept, if not by voters. */
  readonly etcd: SimulatedEtcd | undefined;
  /** Told of every change of role. */
  readonly role: (coordinator: SimulatedCoordinator, role: CoordinatorRole) => void;
  readonly notice: (coordinator: SimulatedCoordinator, text: string) => void;
}

export class SimulatedCoordinator {
  readonly process: Process;
  clusterFile: ClusterFile | undefined;
  core: Coordinator | undefined;
  owner = "" as OwnerId;
  readonly #host: CoordinatorHost;
  readonly #clients = new Map<number, Connection>();
  readonly #links = new Map<string, Map<Channel, Connection | undefined>>();
  #voterFile: LocalVoterFile | undefined;
  #wakeAt: number | undefined;

  constructor(process: Process, host: CoordinatorHost) {
    this.process = process;
    this.#host = host;
    host.network.listen(process, {
      line: (connection, message) => {
        this.#clients.set(connection.id, connection);
        this.#happened({ type: "lines", client: connection.id, lines: [message] });
      },
      down: ({ id }) => {
        this.#clients.delete(id);
        this.#happened({ type: "clientGone", client: id });
      },
    });
  }

  start(): void {
    const { random, timers, without, upkeep, readCache, etcd } = this.#host;
    this.process.start();
    this.#clients.clear();
    this.#links.clear();
    this.#wakeAt = undefined;
    this.owner = uuid(random) as OwnerId;
    this.core = new Coordinator(
      {
        owner: this.owner,
        address: this.process.name,
        clusterFile: this.clusterFile,
        join: [],
        voterFile: this.#voterFile,
        seat: `coordinator:${uuid(random)}`,
        valueBytesMax: VALUE_BYTES_MAX_DEFAULT,
        uuid: () => uuid(random),
        random,
        without,
        upkeep,
        ...(!readCache && { readCacheBytes: 0 }),
        ...(etcd && { etcd: { place: "etcd://simulated/k", prefix: "k" } }),
      },
      timers.now,
    );
    this.#happened({ type: "start" });
  }

  /** SIGKILL. */
  crash(): void {
    if (!this.process.up) return;
    this.process.die();
    this.core = undefined;
    this.#host.network.breakAll(this.process);
  }

  #happened(event: CoordinatorEvent): void {
    const { core } = this;
    if (!core) return;
    for (const effect of core.handle([event], this.#host.timers.now)) this.#carryOut(effect);
    this.#wake(core.wakeAt);
  }

  #wake(at: number | undefined): void {
    const { now } = this.#host.timers;
    if (at === undefined || (this.#wakeAt !== undefined && this.#wakeAt <= at && this.#wakeAt > now)) return;
    this.#wakeAt = at;
    this.process.after(at - now, () => {
      if (this.#wakeAt !== at) return;
      this.#wakeAt = undefined;
      this.#happened({ type: "tick" });
    });
  }

  #carryOut(effect: CoordinatorEffect): void {
    switch (effect.type) {
      case "answer":
        return this.#clients.get(effect.client)?.send(this.process, effect.message);
      case "send":
        return this.#links.get(effect.address)?.get(effect.channel)?.send(this.process, asSent(effect.message));
      case "dial":
        this.#links.set(effect.address, new Map());
        for (const channel of CHANNELS) this.#dial(effect.address, channel);
        return;
      case "hangUp":
        return this.#hangUp(effect.address);
      case "saveVoter":
        return this.process.after(this.#host.random() * FILE_MS_MAX, () => {
          this.#voterFile = effect.file;
          this.#happened({ type: "voterSaved", token: effect.token });
        });
      case "saveCluster":
        this.clusterFile = effect.file;
        return;
      case "agree":
        return this.#host.etcd?.call(this.process, effect.request, (answer) =>
          this.#happened({ type: "agreed", call: effect.call, answer }),
        );
      case "role":
        return this.#host.role(this, effect.role);
      case "retired":
        return;
      case "notice":
        return this.#host.notice(this, effect.text);
    }
  }

  #dial(address: string, channel: Channel): void {
    const channels = this.#links.get(address);
    if (!channels) return;
    const wanted = (): boolean => this.#links.get(address) === channels;
    this.#host.network.connect(this.process, address, {
      up: (connection) => {
        if (!wanted()) return connection.break();
        channels.set(channel, connection);
        this.#happened({ type: "linkUp", address, channel });
      },
      line: (_connection, message) => {
        if (wanted()) this.#happened({ type: "linkLines", address, lines: [message] });
      },
      down: (connection) => {
        if (!wanted()) return;
        if (channels.get(channel) === connection) {
          channels.set(channel, undefined);
          this.#happened({ type: "linkDown", address, channel });
        }
        if (wanted())
          this.process.after(this.#host.random() * REDIAL_MS_MAX, () => this.#redial(address, channel, channels));
      },
    });
  }

  #redial(address: string, channel: Channel, channels: unknown): void {
    if (this.#links.get(address) === channels) this.#dial(address, channel);
  }

  #hangUp(address: string): void {
    const channels = this.#links.get(address);
    this.#links.delete(address);
    for (const connection of channels?.values() ?? []) connection?.break();
  }
}
