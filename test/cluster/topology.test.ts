// Changes of the topology while clients read and write: every acknowledged write is read back afterwards, every key's
// history has an order (M1–M6), and nothing fails for longer than an operation waits by itself. Real processes.
import { afterEach, describe, expect, test } from "vitest";
import type { NodeId } from "../../shared/ids.ts";
import type { StatusAnswer } from "../../shared/protocol/client-messages.ts";
import {
  closeEverything,
  expectAllServed,
  expectFilled,
  expectKept,
  fill,
  loadOn,
  PATIENT,
} from "../support/cluster-checks.ts";
import { ClusterProcess } from "../support/cluster-process.ts";

const STRETCH = 300;
const FILLED = 500;
const FILLED_TO_INTERRUPT = 10_000;

afterEach(() => closeEverything());

/** Slots of each node, by id. */
const slotsOf = ({ nodes }: StatusAnswer): Record<string, number> =>
  Object.fromEntries(nodes.map(({ id, slots }) => [id, slots]));

describe("under load", () => {
  test("addnode, removenode of a live node, setreplica down and up: all operations are served, nothing is lost", async () => {
    const cluster = await ClusterProcess.start();
    await fill(cluster, FILLED);
    const load = await loadOn(cluster, PATIENT);
    await load.progress(STRETCH);
    await cluster.startNode("D");
    await cluster.addNode("D");
    expect(slotsOf(await cluster.call({ op: "status" }))).toEqual({ A: 3072, B: 3072, C: 3072, D: 3072 });
    await load.progress(STRETCH);
    await cluster.removeNode("A");
    expect(slotsOf(await cluster.call({ op: "status" }))).toEqual({ B: 4096, C: 4096, D: 4096 });
    await cluster.kill("A");
    await cluster.setReplica(1);
    await load.progress(STRETCH);
    await cluster.setReplica(3);
    expect(await cluster.call({ op: "status" })).toMatchObject({ rf: 3, copies: 3, underReplicatedSlots: 0 });
    await load.progress(STRETCH);
    expectAllServed(await load.stop());
    await expectKept(load);
    await expectFilled(cluster, FILLED);
  });

  test("removenode of a dead node: its slots find new replicas, nothing is lost", async () => {
    const cluster = await ClusterProcess.start({ nodes: 4 });
    await fill(cluster, FILLED);
    const load = await loadOn(cluster, PATIENT);
    await load.progress(STRETCH);
    await cluster.kill("D");
    await load.progress(STRETCH);
    await cluster.removeNode("D");
    const status = await cluster.call({ op: "status" });
    expect(slotsOf(status)).toEqual({ A: 4096, B: 4096, C: 4096 });
    expect(status.voters.map(({ id }) => id)).not.toContain("D");
    expectAllServed(await load.stop());
    await expectKept(load);
    await expectFilled(cluster, FILLED);
    // All copies are whole: any one node may die now.
    await cluster.kill("A");
    await expectFilled(cluster, FILLED);
  });
});

describe("cancel half-way", () => {
  test("what was moved stays moved, nothing is lost, and the same command goes on and finishes", async () => {
    const cluster = await ClusterProcess.start();
    await fill(cluster, FILLED_TO_INTERRUPT);
    await cluster.startNode("D");
    const load = await loadOn(cluster, PATIENT);
    const command = { op: "addnode", node: "D" as NodeId, address: cluster.addressOf("D") } as const;
    let cancelled = false;
    const first = cluster.call(command, ({ operation, slotsMoved, slotsTotal }) => {
      if (cancelled || slotsMoved === 0 || slotsMoved === slotsTotal) return;
      cancelled = true;
      void cluster.call({ op: "cancel", operation });
    });
    await expect(first).rejects.toMatchObject({ code: "CANCELLED" });
    const half = slotsOf(await cluster.call({ op: "status" }))["D"] ?? 0;
    expect(half).toBeGreaterThan(0);
    expect(half).toBeLessThan(3072);
    await load.progress(STRETCH);
    const last = await cluster.call(command);
    expect(last).toMatchObject({ done: true, phase: "done" });
    expect(slotsOf(await cluster.call({ op: "status" }))).toEqual({ A: 3072, B: 3072, C: 3072, D: 3072 });
    expectAllServed(await load.stop());
    await expectKept(load);
    await expectFilled(cluster, FILLED_TO_INTERRUPT);
  });
});

describe("the coordinator killed half-way through a rebalance", () => {
  test("C1: started again it goes on by itself and finishes; nothing is lost", async () => {
    const cluster = await ClusterProcess.start();
    await fill(cluster, FILLED_TO_INTERRUPT);
    await cluster.startNode("D");
    const load = await loadOn(cluster);
    const command = { op: "addnode", node: "D" as NodeId, address: cluster.addressOf("D") } as const;
    const halfWay = new Promise<void>((resolve) => {
      const begun = cluster.call(command, ({ slotsMoved }) => {
        if (slotsMoved > 0) resolve();
      });
      begun.catch(() => {}); // its connection dies with the coordinator
    });
    await halfWay;
    await cluster.killCoordinator();
    await cluster.startCoordinator();
    await cluster.operationsEnded();
    const status = await cluster.call({ op: "status" });
    expect(slotsOf(status)).toEqual({ A: 3072, B: 3072, C: 3072, D: 3072 });
    expect(status.nodes.map(({ state }) => state)).toEqual(["up", "up", "up", "up"]);
    await load.progress(STRETCH);
    await load.stop();
    await expectKept(load);
    await expectFilled(cluster, FILLED_TO_INTERRUPT);
  });
});
