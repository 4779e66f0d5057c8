// Scenario: what one seed means. Each seed draws the size of its cluster, which kinds of faults are on (swarm testing: a run with few kinds
// of faults goes deeper than one with all of them), how clients behave, and which topology changes happen meanwhile.
import { between, chance, pick, type Random } from "./random.ts";
import type { ClientPlan } from "./clients.ts";

export interface Scenario {
  readonly slots: number;
  readonly nodes: number;
  /** Copies asked for; there may be fewer nodes. */
  readonly copies: number;
  readonly clients: ClientPlan;
  /** Coordinators that follow the first one. */
  readonly standbys: number;
  /** Topology changes, one after the other. */
  readonly changes: number;
  /** Chance that a change is cancelled while it runs. */
  readonly cancels: number;
  /** Mean time between two faults, ms; 0: none. */
  readonly faultEveryMs: number;
  readonly faults: readonly Fault[];
  readonly breakage: number;
  readonly lateness: number;
  readonly delayMsMax: number;
  readonly syncMsMax: number;
  /** Longest time that a node stays dead. */
  readonly downMsMax: number;
  /** Whether leaders keep what reads have found. */
  readonly readCache: boolean;
  /** Age from which on tombstones are collected, ms of a leader's running time; undefined: never within a run. */
  readonly collectAfterMs: number | undefined;
  /** When nodes that do not answer are done without, and replaced; undefined: as usual. */
  readonly awayAfterMs: number | undefined;
  readonly replaceAfterMs: number | undefined;
}

export const FAULTS = [
  "crash node",
  "pause node",
  "crash coordinator",
  "rival coordinator",
  "pause coordinator",
  "hand over",
  "partition",
  "one-way partition",
  "break connections",
  "disk full",
  "slow disks",
  "wipe disk",
] as const;
/** Drawn by shaped scenarios only (shapes.ts). */
export type ShapedFault = "freeze leader" | "stall disk" | "part leader" | "strand leader";
export type Fault = (typeof FAULTS)[number] | ShapedFault;

/** Names that hash to slots of their own; which slots does not matter. */
export const KEYS = ["apple", "pear", "plum", "fig", "quince"];

/**
 * Tombstones stay for longer than any client retries, and than a request can be on its way (C8). With few seconds instead of ten minutes
 * clients give up sooner, and what they sent is not as late as what nodes and coordinators send.
 */
const COLLECT_AFTER_MS = 5_000;
const RETRY_MS_WITH_COLLECTION = 1_000;
export const CLIENT_LATE_MS_WITH_COLLECTION = 1_000;

/** A tombstone has to be left alone for seconds: slower clients, and many deletes. */
function withCollection(random: Random, scenario: Scenario): Scenario {
  const clients = {
    ...scenario.clients,
    operations: between(random, 8, 20),
    pauseMsMax: pick(random, [1_000, 3_000, 6_000]),
    retryMsMax: RETRY_MS_WITH_COLLECTION,
    deletes: 0.5,
  };
  // Few kinds of faults: what matters is that nodes are away while others collect.
  const others = scenario.faults.filter((fault) => fault !== "slow disks" && chance(random, 0.3));
  const faults = [...new Set<Fault>(["crash node", ...others])];
  const faultEveryMs = pick(random, [1_500, 5_000]);
  return { ...scenario, clients, faults, faultEveryMs, downMsMax: 25_000, collectAfterMs: COLLECT_AFTER_MS };
}

/** Nodes that do not answer are done without, and replaced, after moments rather than minutes. */
function withReplacement(random: Random, scenario: Scenario): Scenario {
  const faults = [...new Set<Fault>([...scenario.faults, "crash node"])];
  const awayAfterMs = pick(random, [500, 2_000]);
  const replaceAfterMs = pick(random, [0, 1_000, 4_000]);
  return { ...scenario, faults, awayAfterMs, replaceAfterMs };
}

export function scenarioOf(random: Random): Scenario {
  const nodes = between(random, 1, 5);
  const scenario: Scenario = {
    slots: pick(random, [4, 16, 64]),
    nodes,
    copies: chance(random, 0.6) ? 3 : between(random, 1, 5),
    clients: {
      clients: between(random, 2, 5),
      operations: between(random, 10, 40),
      keys: KEYS.slice(0, between(random, 1, KEYS.length)),
      pauseMsMax: pick(random, [5, 50, 300]),
      levelAll: chance(random, 0.3) ? 0.2 : 0,
      levelOne: 0,
    },
    standbys: chance(random, 0.6) ? between(random, 1, 2) : 0,
    changes: chance(random, 0.8) ? between(random, 1, 4) : 0,
    cancels: chance(random, 0.3) ? 0.3 : 0,
    faultEveryMs: chance(random, 0.9) ? pick(random, [150, 500, 1_500]) : 0,
    faults: FAULTS.filter((fault) => chance(random, fault === "wipe disk" ? 0.3 : 0.45)),
    breakage: chance(random, 0.4) ? pick(random, [0.002, 0.01, 0.03]) : 0,
    lateness: chance(random, 0.6) ? 0.7 : 0,
    delayMsMax: pick(random, [1, 3, 20, 80]),
    syncMsMax: pick(random, [1, 3, 30]),
    downMsMax: 8_000,
    readCache: chance(random, 0.7),
    collectAfterMs: undefined,
    awayAfterMs: undefined,
    replaceAfterMs: undefined,
  };
  const collecting = chance(random, 0.35) ? withCollection(random, scenario) : scenario;
  return chance(random, 0.4) ? withReplacement(random, collecting) : collecting;
}

/** Any scenario; in some, clients send several operations on one key at once. */
export function anyScenario(random: Random): Scenario {
  const scenario = scenarioOf(random);
  return chance(random, 0.4) ? withBursts(random, scenario) : scenario;
}

export function withBursts(random: Random, scenario: Scenario): Scenario {
  const { clients } = scenario;
  // Each burst counts as one operation, and has several: a history of thousands would take long to judge.
  const operations = Math.ceil(clients.operations / 2);
  return { ...scenario, clients: { ...clients, operations, bursts: pick(random, [0.2, 0.6]) ?? 0 } };
}
