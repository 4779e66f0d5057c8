// Processes killed under load: a storage node, each of them in turn, everything at once. What was acknowledged is there
// afterwards, and every key's history has an order. Real processes; SIGKILL, so nothing is flushed or said.
// Tests of three copies share a cluster, whole again before each of them.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { closeEverything, expectAllServed, expectKept, loadOn, PATIENT } from "../support/cluster-checks.ts";
import { ClusterProcess } from "../support/cluster-process.ts";

/** Acknowledged operations between two events. */
const STRETCH = 600;

let cluster: ClusterProcess;

beforeAll(async () => {
  cluster = await ClusterProcess.start();
});
beforeEach(() => cluster.restore());
afterEach(() => closeEverything(cluster));
afterAll(() => closeEverything());

describe("a storage node killed under load, three copies", () => {
  test("no quorum operation fails or is in doubt, nothing is lost, and the node serves again", async () => {
    const load = await loadOn(cluster, PATIENT);
    await load.progress(STRETCH);
    await cluster.kill("B");
    await load.progress(STRETCH);
    await cluster.startNode("B");
    await cluster.healthy();
    // B takes part again: with another node dead, every quorum needs it.
    await cluster.kill("C");
    await load.progress(STRETCH);
    expectAllServed(await load.stop());
    await expectKept(load);
  });

  test("each node in turn is killed and comes back: nothing fails, nothing is lost", async () => {
    const load = await loadOn(cluster, PATIENT);
    for (const id of ["A", "B", "C"]) {
      await cluster.kill(id);
      await load.progress(STRETCH);
      await cluster.startNode(id);
      await cluster.healthy();
    }
    expectAllServed(await load.stop());
    await expectKept(load);
  });

  test("N10, SIGSTOP: a node that hangs holds up nothing for long, and goes on where it stopped", async () => {
    const load = await loadOn(cluster, PATIENT);
    await load.progress(STRETCH);
    cluster.node("A").child.kill("SIGSTOP");
    await load.progress(2 * STRETCH);
    cluster.node("A").child.kill("SIGCONT");
    await cluster.healthy();
    await load.progress(STRETCH);
    const report = await load.stop();
    expectAllServed(report);
    expect(report.longestGapMs).toBeLessThan(2_000);
    await expectKept(load);
  });
});

describe("everything killed at once under load", () => {
  test("C1: started again, all that was acknowledged is there, and the histories go on", async () => {
    const load = await loadOn(cluster);
    await load.progress(STRETCH);
    await cluster.killAll();
    await cluster.startAll();
    await cluster.healthy();
    await load.progress(STRETCH);
    await load.stop();
    await expectKept(load);
  });
});

describe("two copies: a quorum is both", () => {
  test("each replica in turn is killed and comes back: what was acknowledged is kept", async () => {
    const pair = await ClusterProcess.start({ nodes: 2 });
    const load = await loadOn(pair);
    for (const id of ["A", "B"]) {
      await load.progress(STRETCH);
      await pair.kill(id);
      await pair.startNode(id);
      await pair.healthy();
    }
    await load.progress(STRETCH);
    await load.stop();
    await expectKept(load);
  });
});
