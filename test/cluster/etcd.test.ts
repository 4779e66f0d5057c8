// `--state etcd://…` with real processes: two coordinators, three nodes and an etcd of three members, under load. A leader is killed, a member
// of etcd is killed, all of etcd is gone for a while, and is emptied. Data flows all the while; what needs agreement waits.
import { afterEach, describe, expect, test } from "vitest";
import { openSession, type Session } from "../../shared/client/session.ts";
import type { NodeId } from "../../shared/ids.ts";
import { closeEverything, expectKept, loadOn } from "../support/cluster-checks.ts";
import { ClusterProcess, freePort, until } from "../support/cluster-process.ts";
import { closeEtcd, EtcdProcess, hasEtcd } from "../support/etcd-process.ts";
import { killProcess, startProgram } from "../support/node-process.ts";

/** Acknowledged operations between two events. */
const STRETCH = 250;

afterEach(async () => {
  await closeEverything();
  await closeEtcd();
});

describe.skipIf(!hasEtcd)("epoch and state in an etcd", () => {
  test("C1, C10: leader killed, a member of etcd killed, etcd gone and back: nothing acknowledged is lost", async () => {
    const etcd = await EtcdProcess.start(3);
    const cluster = await ClusterProcess.start({ coordinators: 2, state: `etcd://${etcd.endpoints.join(",")}/test` });
    const load = await loadOn(cluster, { addresses: cluster.addresses });
    await load.progress(STRETCH);
    expect(await cluster.call({ op: "status" })).toMatchObject({ voters: [], stateAt: { answers: true } });

    await cluster.killCoordinator("first");
    await load.progress(STRETCH);
    expect(await cluster.leader()).toBe("second");
    await cluster.startCoordinator("first");
    await cluster.standbys(1);

    await etcd.kill([0]);
    await load.progress(STRETCH);
    await cluster.setReplica(2);

    await etcd.kill();
    await until("etcd to be missed", async () => {
      const { stateAt } = await cluster.call({ op: "status" });
      return stateAt?.answers === false ? true : undefined;
    });
    const { epoch } = await cluster.call({ op: "status" });
    load.gapMs();
    let moved = false;
    const session = await openSession(cluster.addressOfCoordinator(await cluster.leader()), { timeoutMs: 30_000 });
    const moving = session.call({ op: "setreplica", rf: 3 }).then(() => (moved = true));
    await load.progress(5 * STRETCH);
    expect(moved).toBe(false);
    expect(load.gapMs()).toBeLessThan(2_000);

    etcd.startAll();
    await moving;
    await session.close();
    await load.progress(STRETCH);
    await load.stop();
    expect(await cluster.call({ op: "status" })).toMatchObject({ epoch, rf: 3, stateAt: { answers: true } });
    await expectKept(load);
  });

  test("a leader that ends as planned is succeeded at once; alone, it leads again at once", async () => {
    const etcd = await EtcdProcess.start(1);
    const cluster = await ClusterProcess.start({ coordinators: 2, state: `etcd://${etcd.endpoints.join(",")}` });
    const load = await loadOn(cluster, { addresses: cluster.addresses });
    await load.progress(STRETCH);
    await cluster.killCoordinator("first", "SIGTERM");
    await load.progress(STRETCH);
    expect(await cluster.leader()).toBe("second");
    await cluster.killCoordinator("second", "SIGTERM");
    // With nothing but the address of etcd.
    cluster.forgetCluster("second");
    await cluster.startCoordinator("second");
    await load.progress(STRETCH);
    await load.stop();
    await expectKept(load);
  });

  test("an etcd that was emptied learns again from the leader, and an election from the nodes goes on above their fences", async () => {
    const etcd = await EtcdProcess.start(1);
    const cluster = await ClusterProcess.start({ nodes: 1, state: `etcd://${etcd.endpoints.join(",")}/emptied` });
    const before = await cluster.call({ op: "status" });
    await etcd.empty("emptied/");
    await cluster.startNode("B");
    await cluster.addNode("B");
    await cluster.killCoordinator("first");
    await cluster.startCoordinator("first");
    const after = await cluster.call({ op: "status" });
    expect(after.nodes.map(({ id }) => id)).toEqual(["A", "B"]);
    expect(after).toMatchObject({ cluster: before.cluster, epoch: before.epoch + 1 });
  });

  test("a coordinator that looks in the wrong place says so, and leads nothing", async () => {
    const etcd = await EtcdProcess.start(1);
    const at = `etcd://${etcd.endpoints.join(",")}`;
    const cluster = await ClusterProcess.start({ nodes: 1, state: `${at}/right` });
    const addnode = { op: "addnode", node: "X" as NodeId, address: "127.0.0.1:1" } as const;
    await cluster.killCoordinator();
    expect(await refusalOf(cluster, addnode, ["--state", `${at}/wrong`])).toContain(`${at}/wrong keeps no cluster`);
    expect(await refusalOf(cluster, addnode, [])).toContain("start again with --state");
  });
});

/** What a coordinator that runs from the cluster's file, with other flags, answers. */
async function refusalOf(
  cluster: ClusterProcess,
  request: Parameters<Session["call"]>[0],
  flags: readonly string[],
): Promise<string> {
  const port = await freePort();
  const where = ["--port", String(port), "--cluster-file", cluster.clusterFileOf("first")];
  const coordinator = startProgram("runtime", ["serve", "--no-http", ...where, ...flags], cluster.folder);
  expect((await coordinator.ready).line).toContain("role=waiting");
  const session = await openSession(`127.0.0.1:${port}`);
  const refusal = await session.call(request).then(String, (error: Error) => error.message);
  await session.close();
  await killProcess(coordinator);
  return refusal;
}
