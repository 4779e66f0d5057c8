// Shapes: scenarios in which one kind of trouble happens over and over, for rules whose absence hurts only where several rare things
// meet. They choose sizes, rates and kinds of faults; when what strikes whom is drawn as everywhere. The healthy core has to stand all of
// them, and the mutation check tells which rule each of them is good for.
import { between, pick, type Random } from "./random.ts";
import { anyScenario, KEYS, scenarioOf, withBursts, type Scenario } from "./scenario.ts";

export type Shape = keyof typeof SHAPES;

/** No faults, no changes, three nodes with three copies, a quick network: what the shapes below begin with. */
function quiet(random: Random, keys: number): Scenario {
  const scenario = scenarioOf(random);
  return {
    ...scenario,
    slots: 4,
    nodes: 3,
    copies: 3,
    clients: { clients: 5, operations: 40, keys: KEYS.slice(0, keys), pauseMsMax: 20, levelAll: 0, levelOne: 0 },
    standbys: 0,
    changes: 0,
    cancels: 0,
    faultEveryMs: 0,
    faults: [],
    breakage: 0,
    lateness: 0,
    delayMsMax: 3,
    syncMsMax: 3,
    collectAfterMs: undefined,
    awayAfterMs: undefined,
    replaceAfterMs: undefined,
  };
}

/**
 * Writes are in doubt all the time (C5, N4): deadlines pass while they wait for slow disks, reads show what is durable, and what waits
 * becomes durable later. Nodes die before it does.
 */
function doubtful(random: Random): Scenario {
  const scenario = quiet(random, between(random, 1, 2));
  return {
    ...scenario,
    clients: { ...scenario.clients, conditional: 0.6, timeoutsMs: [300, 300, 1_000] },
    faults: ["crash node", "pause node", "partition", "break connections"],
    faultEveryMs: pick(random, [300, 1_000]),
    delayMsMax: pick(random, [3, 80]),
    syncMsMax: pick(random, [300, 600, 1_000]),
    breakage: 0.005,
    downMsMax: 1_000,
  };
}

/**
 * Two leaders at once, and one node that both of them reach (N2, N3, N6). What the old one has sent waits for that node's disk while the new
 * one reads there, and is acknowledged by the old one afterwards.
 */
function rivals(random: Random): Scenario {
  const scenario = quiet(random, 1);
  return {
    ...scenario,
    clients: {
      ...scenario.clients,
      clients: 6,
      operations: 60,
      conditional: 0.7,
      timeoutsMs: [15_000],
      // What is lost is left alone: a retry is careful (C8), and in the way of the writes that are not.
      retryMsMax: 300,
      anyCoordinator: true,
    },
    standbys: 2,
    faults: ["freeze leader", "stall disk", "part leader"],
    faultEveryMs: pick(random, [300, 600]),
    delayMsMax: pick(random, [3, 20]),
    syncMsMax: pick(random, [3, 30]),
  };
}

/** The leader is cut off together with one node, and may serve on for a moment while the others have a new leader (C6). */
function stranded(random: Random): Scenario {
  const scenario = quiet(random, 1);
  const clients = { clients: 6, operations: 150, pauseMsMax: 50, gets: 0.8, timeoutsMs: [300] };
  return {
    ...scenario,
    clients: { ...scenario.clients, ...clients, anyCoordinator: true },
    standbys: 2,
    faults: ["strand leader"],
    faultEveryMs: pick(random, [500, 1_500]),
  };
}

/** Tombstones go soon, while connections break and what was on its way arrives seconds later (N4, N6, N9). */
function late(random: Random): Scenario {
  const scenario = quiet(random, between(random, 1, 2));
  return {
    ...scenario,
    clients: {
      ...scenario.clients,
      operations: between(random, 10, 20),
      pauseMsMax: pick(random, [1_000, 3_000]),
      deletes: 0.4,
      retryMsMax: 1_000,
    },
    // A message that breaks its connection is the one that comes late.
    breakage: pick(random, [0.01, 0.03]),
    delayMsMax: pick(random, [3, 20]),
    lateness: 1,
    collectAfterMs: 1_000,
  };
}

/** Slots go from node to node and back, while tombstones are collected from those that are there (M3, N7). */
function wandering(random: Random): Scenario {
  const scenario = quiet(random, between(random, 2, 5));
  return {
    ...scenario,
    copies: between(random, 1, 3),
    nodes: between(random, 2, 3),
    clients: {
      ...scenario.clients,
      clients: 3,
      operations: between(random, 20, 30),
      pauseMsMax: pick(random, [1_000, 3_000]),
      deletes: 0.4,
      retryMsMax: 1_000,
    },
    changes: 10,
    cancels: pick(random, [0, 0.3]),
    collectAfterMs: 1_000,
  };
}

/** Slots go from node to node while replicas miss what is written: connections break, and nodes die for a moment (M3). */
function lagging(random: Random): Scenario {
  const scenario = wandering(random);
  return {
    ...scenario,
    copies: 3,
    nodes: 3,
    clients: {
      ...scenario.clients,
      operations: 60,
      keys: scenario.clients.keys.slice(0, 2),
      pauseMsMax: 300,
      deletes: 0.2,
    },
    faults: ["partition", "break connections", "crash node"],
    faultEveryMs: 300,
    breakage: 0.03,
    downMsMax: 500,
    collectAfterMs: undefined,
  };
}

/** One connection's operations on a key are many at once: their order, and what shares a sending (C3, C6). */
function hasty(random: Random): Scenario {
  const scenario = quiet(random, between(random, 1, 2));
  return withBursts(random, {
    ...scenario,
    clients: { ...scenario.clients, clients: between(random, 1, 3) },
    faults: ["crash node", "pause node", "partition", "break connections", "freeze leader"],
    faultEveryMs: pick(random, [0, 500, 1_500]),
    standbys: between(random, 0, 1),
    changes: between(random, 0, 2),
    delayMsMax: pick(random, [3, 20]),
    syncMsMax: pick(random, [3, 30]),
    downMsMax: 1_000,
  });
}

export const SHAPES = { any: anyScenario, hasty, doubtful, rivals, stranded, late, wandering, lagging } as const;
