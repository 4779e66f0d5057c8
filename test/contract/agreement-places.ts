// The places that the contract of agreement is held against (agreement.ts): voters and an etcd of the simulator, on its virtual clock, and an
// etcd of real processes.
import { EtcdAgreement, type EtcdPlace } from "../../coordinator/election/etcd-agreement.ts";
import { EtcdCalls, type EtcdEffect } from "../../coordinator/election/etcd-calls.ts";
import { Heartbeats } from "../../coordinator/election/heartbeats.ts";
import { LocalVoter } from "../../coordinator/election/local-voter.ts";
import type { StateLog } from "../../coordinator/election/state-log.ts";
import { VoterAgreement } from "../../coordinator/election/voter-agreement.ts";
import { Voters } from "../../coordinator/election/voters.ts";
import { EtcdGateway } from "../../coordinator/etcd/gateway.ts";
import { CHANNELS, type Channel } from "../../coordinator/links/link.ts";
import { Links } from "../../coordinator/links/links.ts";
import type { ClusterState } from "../../shared/cluster-state.ts";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "../../shared/ids.ts";
import { simulateSlots } from "../../shared/limits.ts";
import { type Future, run } from "../../shared/script.ts";
import { allSlots } from "../../shared/slot.ts";
import { Timers } from "../../shared/timers.ts";
import { Process } from "../simulation/process.ts";
import { World } from "../simulation/world.ts";
import { EtcdProcess } from "../support/etcd-process.ts";
import type { AgreementHarness, Participant } from "./agreement.ts";

const NODES = ["127.0.0.1:5001", "127.0.0.1:5002", "127.0.0.1:5003"];
const FOUNDER = "127.0.0.1:7401";
const CLUSTER = "00000000-0000-4000-8000-000000000001" as ClusterId;
const REDIAL_MS = 30;
const TICK_MS = 2;

/** @param name One letter. */
const ownerOf = (name: string): OwnerId => `00000000-0000-4000-8000-0000000000${name.charCodeAt(0)}` as OwnerId;
const addressOf = (name: string): string => `127.0.0.1:80${name.charCodeAt(0)}`;

/** A founder mints a cluster of three nodes, and dies. */
function worldOfThree(seed: number, etcd: boolean): { readonly world: World; readonly cluster: ClusterId } {
  simulateSlots(16);
  const world = new World(seed, { etcd });
  world.startCoordinator();
  NODES.forEach((address, index) => {
    world.addNode(address);
    world.ask({ op: "addnode", node: ["A", "B", "C"][index], address });
  });
  const cluster = world.coordinator?.state?.cluster as ClusterId;
  world.crashCoordinator(FOUNDER);
  world.runFor(5_000);
  return { world, cluster };
}

/** Connections of a participant over the simulated network. */
function linksIn(world: World, process: Process): Links {
  const links = new Links(world.timers, (effect) => {
    if (effect.type === "dial") for (const channel of CHANNELS) dial(effect.address, channel);
    if (effect.type === "send") sending.get(`${effect.address} ${effect.channel}`)?.(effect.message);
  });
  const sending = new Map<string, (message: object) => void>();
  const dial = (address: string, channel: Channel): void =>
    world.network.connect(process, address, {
      up: (connection) => {
        sending.set(`${address} ${channel}`, (message) => connection.send(process, message));
        links.up(address, channel);
      },
      line: (_connection, message) => links.received(address, [message]),
      down: () => {
        sending.delete(`${address} ${channel}`);
        links.down(address, channel);
        process.after(REDIAL_MS, () => dial(address, channel));
      },
    });
  return links;
}

function votersOf(links: Links, name: string): Voters {
  const voters = new Voters(links, new LocalVoter(`coordinator:${name}`, undefined, () => undefined));
  for (const address of NODES) voters.hint(address);
  return voters;
}

function untilIn(world: World): AgreementHarness["until"] {
  return <T>(future: Future<T>): Promise<T> => {
    world.runUntil(() => future.done);
    return new Promise((resolve) => future.whenDone(resolve));
  };
}

/** Storage nodes vote. */
export function votersPlace(seed: number): AgreementHarness {
  const { world, cluster } = worldOfThree(seed, false);
  const join = (name: string): Participant => {
    const [owner, address] = [ownerOf(name), addressOf(name)];
    const process = new Process(address, world.timers);
    process.start();
    const voters = votersOf(linksIn(world, process), name);
    const lives = ({ epoch }: { epoch: number }, stateLog: StateLog, active: () => boolean): void => {
      const signs = { epoch, owner, address, active, outPromised: () => undefined, resumed: () => undefined };
      run(new Heartbeats({ timers: world.timers, voters, stateLog, ...signs }).run());
    };
    return { owner, address, agreement: new VoterAgreement(world.timers, voters), lives };
  };
  const gone = (away: boolean): Promise<void> => {
    for (const address of NODES.slice(1)) if (away) world.crashNode(address);
    for (const address of NODES.slice(1)) if (!away) world.startNode(address);
    return Promise.resolve();
  };
  return { timers: world.timers, cluster, join, until: untilIn(world), gone, dispose: () => Promise.resolve() };
}

/** @param loss Chance that a call or its answer is lost, or that it is carried out twice. */
export function simulatedEtcdPlace(seed: number, loss: number): AgreementHarness {
  const { world, cluster } = worldOfThree(seed, true);
  const { etcd } = world;
  if (!etcd) throw new Error("no etcd");
  etcd.loss = loss;
  const join = (name: string): Participant => {
    const [owner, address] = [ownerOf(name), addressOf(name)];
    const process = new Process(address, world.timers);
    process.start();
    const calls: EtcdCalls = new EtcdCalls(({ call, request }: EtcdEffect) =>
      etcd.call(process, request, (answer) => calls.answered(call, answer)),
    );
    const voters = votersOf(linksIn(world, process), name);
    const place: EtcdPlace = { place: "etcd://simulated/k", prefix: "k" };
    const agreement = new EtcdAgreement({ timers: world.timers, calls, voters, ...place });
    return { owner, address, agreement, lives: () => undefined };
  };
  const gone = (away: boolean): Promise<void> => {
    etcd.gone = away;
    return Promise.resolve();
  };
  return { timers: world.timers, cluster, join, until: untilIn(world), gone, dispose: () => Promise.resolve() };
}

/** A real etcd, over its gateway; the only node does not exist, so it has nothing to say about epochs. */
export async function realEtcdPlace(): Promise<AgreementHarness> {
  const etcd = await EtcdProcess.start(1);
  const timers = new Timers(performance.now());
  const clock = setInterval(() => timers.advance(performance.now()), TICK_MS);
  const gateways: EtcdGateway[] = [];
  const join = (name: string): Participant => {
    const gateway = new EtcdGateway(etcd.endpoints);
    gateways.push(gateway);
    const calls: EtcdCalls = new EtcdCalls(({ call, request }) => {
      void gateway.call(request).then((answer) => calls.answered(call, answer));
    });
    const voters = votersOf(new Links(timers, () => undefined), name);
    const agreement = new EtcdAgreement({ timers, calls, voters, place: "etcd://real/k", prefix: "k" });
    return {
      owner: ownerOf(name),
      address: addressOf(name),
      agreement,
      lives: () => undefined,
    };
  };
  const until = <T>(future: Future<T>): Promise<T> => new Promise((resolve) => future.whenDone(resolve));
  const founder = join("Z");
  await until(
    run(founder.agreement.found(founder.owner, founder.address, { ballot: [1, 1], state: firstState(founder) })),
  );
  await until(run(founder.agreement.resign()));
  const gone = async (away: boolean): Promise<void> => {
    if (away) return await etcd.kill();
    etcd.startAll();
    await etcd.answers();
  };
  const dispose = async (): Promise<void> => {
    clearInterval(clock);
    for (const gateway of gateways) gateway.close();
    await etcd.close();
  };
  return { timers, cluster: CLUSTER, join, until, gone, dispose };
}

function firstState({ owner, address }: Participant): ClusterState {
  const node = "A" as NodeId;
  return {
    cluster: CLUSTER,
    seed: 1,
    rf: 3,
    leader: { owner, address },
    members: [{ id: node, incarnation: "i" as Incarnation, address: "127.0.0.1:1", weight: 1, state: "up" }],
    voters: [],
    operations: [],
    nextOperation: 1,
    slots: allSlots().map(() => ({ members: [node], stamp: [1, 0] })),
  };
}
