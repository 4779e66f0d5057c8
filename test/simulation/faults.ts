// Faults of a run: drawn one after the other while it lasts, each undone after a while, all of them undone at its end.
import type { Message } from "./network.ts";
import { between, chance, pick } from "./random.ts";
import type { Fault, Scenario } from "./scenario.ts";
import type { World } from "./world.ts";

export const COORDINATORS = ["127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403"] as const;
const STALL_MS_MIN = 300;
const STALL_MS_MAX = 6_000;
const PART_MS_MAX = 5_000;
const FREEZE_MS_MAX = 6_000;
/** How soon an operator looks after what does not get on. */
const OPERATOR_MS = 5_000;
/** How long the cluster may be without a leader before somebody starts a coordinator again. */
const LEADERLESS_MS = 3_000;

export class Faults {
  readonly #world: World;
  readonly #scenario: Scenario;
  #on = false;
  /** Whether a node that has lost its disk is not back yet. */
  emptied = false;
  #leaderlessSince: number | undefined;

  constructor(world: World, scenario: Scenario) {
    this.#world = world;
    this.#scenario = scenario;
  }

  begin(): void {
    const { network, disks } = this.#world;
    const { breakage, lateness, delayMsMax, syncMsMax } = this.#scenario;
    this.#on = true;
    Object.assign(network.faults, { breakage, lateness, delayMsMax });
    disks.syncMsMax = syncMsMax;
    this.#later();
    this.#watch();
  }

  /** Undoes everything. */
  end(): void {
    const world = this.#world;
    this.#on = false;
    Object.assign(world.network.faults, { breakage: 0, delayMsMax: 2 });
    world.disks.syncMsMax = 2;
    world.network.heal();
    for (const [address, node] of world.nodes) {
      node.disk.full = false;
      if (!node.process.up) world.startNode(address);
      else node.process.resume();
    }
    for (const [address, { process }] of world.coordinators) {
      if (process.up) process.resume();
      else if (this.#scenario.standbys > 0) world.startCoordinator(address);
    }
  }

  #later(): void {
    const { faultEveryMs, faults } = this.#scenario;
    if (faultEveryMs === 0 || faults.length === 0) return;
    this.#world.timers.after(this.#world.random() * 2 * faultEveryMs, () => {
      if (!this.#on) return;
      const fault = pick(this.#world.random, faults);
      if (fault) this.#strike(fault);
      this.#later();
    });
  }

  #strike(fault: Fault): void {
    const world = this.#world;
    const { random, network } = world;
    const address = pick(random, [...world.nodes.keys()]) ?? "";
    const node = world.nodes.get(address);
    switch (fault) {
      case "crash node":
        return this.#crashNode(address);
      case "pause node":
        world.trace(`node ${address} is paused`);
        node?.process.pause();
        return this.#undo(between(random, 50, 5_000), () => node?.process.resume());
      case "crash coordinator":
        return this.#crashCoordinator();
      case "rival coordinator":
        return this.#rival();
      case "pause coordinator":
        return this.#pauseCoordinator();
      case "hand over":
        if (world.leader) world.request({ op: "stepdown" }, () => undefined, world.leader.process.name);
        return;
      case "partition":
      case "one-way partition":
        return this.#partition(address, fault === "partition");
      case "break connections":
        world.trace(`connections of ${address} break`);
        return node && network.breakAll(node.process);
      case "disk full":
        if (!node) return;
        world.trace(`disk of ${address} is full`);
        node.disk.full = true;
        return this.#undo(between(random, 50, 3_000), () => {
          node.disk.full = false;
        });
      case "wipe disk":
        return this.#wipe(address);
      case "freeze leader":
        return this.#freeze();
      case "part leader":
        return this.#part(this.#anyMember());
      case "strand leader":
        return this.#strand(this.#anyMember());
      case "stall disk":
        return this.#stall(this.#anyMember());
      case "slow disks":
        world.disks.syncMsMax = 300;
        return this.#undo(between(random, 50, 1_000), () => {
          world.disks.syncMsMax = this.#scenario.syncMsMax;
        });
    }
  }

  #undo(delayMs: number, undo: () => void): void {
    this.#world.timers.after(delayMs, () => {
      if (this.#on) undo();
    });
  }

  #crashNode(address: string): void {
    const world = this.#world;
    if (world.nodes.get(address)?.process.up !== true) return;
    world.crashNode(address);
    const downMs = chance(world.random, 0.5)
      ? between(world.random, 10, 300)
      : between(world.random, 300, this.#scenario.downMsMax);
    this.#undo(downMs, () => {
      if (world.nodes.get(address)?.process.up === false) world.startNode(address);
    });
  }

  /**
   * A node loses its disk and comes back empty; an operator has it join again. One at a time, until it has everything again, and only
   * where every slot has another copy: W − 1 disks are what a write at quorum survives.
   */
  #wipe(address: string): void {
    const world = this.#world;
    const { leader } = world;
    const state = leader?.core?.state;
    const newest = Math.max(...world.epochs.keys());
    const member = state?.members.find((candidate) => candidate.address === address);
    // A voter's record goes with its disk: of fewer than three, the loss of one is the loss of the majority.
    const safe =
      state?.operations.length === 0 &&
      state.voters.length >= 3 &&
      state.slots.every(({ members }) => members.length > 1);
    if (this.emptied || !member || !safe || leader?.core?.epoch !== newest) return;
    this.emptied = true;
    world.crashNode(address);
    world.trace(`disk of ${address} is lost`);
    world.nodes.get(address)?.wipe();
    world.timers.after(between(world.random, 10, 1_000), () => {
      if (world.nodes.get(address)?.process.up === false) world.startNode(address);
    });
    this.#joinLater({ op: "join", node: member.id, address });
    this.#unblock(member.id);
  }

  /** What waits for the node that has lost its disk is in the way of its return: the operator cancels it. */
  #unblock(node: string): void {
    const world = this.#world;
    world.timers.after(OPERATOR_MS, () => {
      if (!this.emptied) return;
      const { leader } = world;
      const [first] = leader?.core?.state?.operations ?? [];
      const own = first && "node" in first.change && first.change.node === node;
      if (leader && first && !own) {
        world.trace(`cancelled: ${first.change.op}`);
        world.request({ op: "cancel", operation: first.id }, () => undefined, leader.process.name);
      }
      this.#unblock(node);
    });
  }

  #joinLater(message: Message): void {
    const world = this.#world;
    world.timers.after(between(world.random, 300, 1_500), () => {
      const { leader } = world;
      if (!leader) return this.#joinLater(message);
      world.request(
        message,
        (answer) => {
          if (answer["status"] !== "ok") return this.#joinLater(message);
          world.trace(`${String(message["node"])} is back`);
          this.emptied = false;
        },
        leader.process.name,
      );
    });
  }

  #crashCoordinator(): void {
    const world = this.#world;
    const { leader } = world;
    if (!leader) return;
    world.crashCoordinator(leader.process.name);
    this.#undo(between(world.random, 1, 1_000), () => {
      if (!leader.process.up) world.startCoordinator(leader.process.name);
    });
  }

  /** The leader stops for a while, another coordinator takes over, then the leader goes on: a zombie. */
  #rival(): void {
    const world = this.#world;
    const { leader } = world;
    if (!leader) return;
    const other = COORDINATORS.find((address) => address !== leader.process.name) ?? COORDINATORS[0];
    world.trace(`coordinator ${leader.process.name} is paused`);
    leader.process.pause();
    if (world.coordinators.get(other)?.process.up !== true) world.startCoordinator(other);
    this.#undo(between(world.random, 10, 6_000), () => {
      world.trace(`coordinator ${leader.process.name} goes on`);
      leader.process.resume();
    });
  }

  #pauseCoordinator(): void {
    const world = this.#world;
    const { process } = pick(world.random, [...world.coordinators.values()]) ?? {};
    world.trace(`coordinator ${process?.name ?? ""} is paused`);
    process?.pause();
    this.#undo(between(world.random, 10, 4_000), () => {
      world.trace(`coordinator ${process?.name ?? ""} goes on`);
      process?.resume();
    });
  }

  #partition(address: string, both: boolean): void {
    const world = this.#world;
    const from = pick(world.random, [...world.nodes.keys(), ...COORDINATORS]) ?? "";
    const [a, b] = chance(world.random, 0.5) ? [from, address] : [address, from];
    world.trace(`nothing passes from ${a} to ${b}${both ? " and back" : ""}`);
    world.network.block(a, b);
    if (both) world.network.block(b, a);
    this.#undo(between(world.random, 50, 4_000), () => world.network.heal());
  }

  #anyMember(): string {
    const { random, leader, nodes } = this.#world;
    const members = leader?.core?.state?.members.map(({ address }) => address) ?? [...nodes.keys()];
    return pick(random, members) ?? "";
  }

  #stall(address: string): void {
    const { random, timers, nodes } = this.#world;
    const node = nodes.get(address);
    if (!node) return;
    this.#world.trace(`disk of ${address} stands still`);
    node.stalledUntil = timers.now + between(random, STALL_MS_MIN, STALL_MS_MAX);
  }

  /** The leader stands still for so long that another one takes over. Half of its connections, to clients or nodes, are lost. */
  #freeze(): void {
    const { leader, random, network } = this.#world;
    if (!leader) return;
    this.#world.trace(`coordinator ${leader.process.name} stands still`);
    leader.process.pause();
    for (const connection of network.connectionsOf(leader.process.name)) if (chance(random, 0.5)) connection.break();
    this.#undo(between(random, 2_000, FREEZE_MS_MAX), () => leader.process.resume());
  }

  /** The leader, though not others, loses a node. */
  #part(address: string): void {
    const { leader } = this.#world;
    if (!leader) return;
    this.#separate(leader.process.name, address);
    this.#healLater();
  }

  /** The leader and one node are cut off from all others. They notice, and soon have another leader; it may not. */
  #strand(companion: string): void {
    const { leader, nodes } = this.#world;
    if (!leader) return;
    const { name } = leader.process;
    for (const address of [...nodes.keys(), ...COORDINATORS]) {
      if (address === companion || address === name) continue;
      this.#separate(name, address);
      this.#separate(companion, address);
    }
    this.#healLater();
  }

  #separate(a: string, b: string): void {
    const { network } = this.#world;
    this.#world.trace(`nothing passes between ${a} and ${b}`);
    network.block(a, b);
    network.block(b, a);
    for (const connection of network.connectionsOf(a)) {
      const { client, server } = connection;
      if (client.process.name === b || server.process.name === b) connection.break();
    }
  }

  #healLater(): void {
    const { random, network } = this.#world;
    this.#undo(between(random, 1_000, PART_MS_MAX), () => network.heal());
  }

  /** An operator who starts a coordinator again when nobody leads. */
  #watch(): void {
    const world = this.#world;
    const { now } = world.timers;
    world.timers.after(200, () => this.#watch());
    if (world.leader) {
      this.#leaderlessSince = undefined;
      return;
    }
    this.#leaderlessSince ??= now;
    if (now - this.#leaderlessSince < LEADERLESS_MS || this.#scenario.standbys > 0) return;
    this.#leaderlessSince = undefined;
    const [first] = COORDINATORS;
    world.crashCoordinator(first);
    world.startCoordinator(first);
  }
}
