// The probes: alive whatever the cluster does, ready by named checks.
import { afterEach, expect, test } from "vitest";
import { closeAll, RestCluster, type Got } from "./rest.ts";

afterEach(closeAll);

const named = ({ json }: Got): Record<string, boolean> =>
  Object.fromEntries((json["checks"] as { name: string; ok: boolean }[]).map(({ name, ok }) => [name, ok]));

test("a coordinator without a cluster is alive and not ready", async () => {
  const { api } = await RestCluster.start(0);
  expect((await api.get("/livez")).json).toEqual({ status: "ok" });
  const ready = await api.get("/readyz");
  expect(ready.json).toMatchObject({ status: 503, code: "NO_CLUSTER" });
  expect(named(ready)).toEqual({ role: false, leader: false });
});

test("a leader is ready while its voters and every slot have a quorum, and says what is missing", async () => {
  const cluster = await RestCluster.start(2);
  const { api } = cluster;
  expect((await api.get("/readyz")).json).toEqual({ status: "ok" });
  const verbose = await api.get("/readyz?verbose");
  expect(verbose.status).toBe(200);
  expect(named(verbose)).toEqual({ role: true, leader: true, voters: true, slots: true });
  cluster.nodes[1]?.child.kill("SIGKILL");
  const failed = await cluster.until(async () => {
    const ready = await api.get("/readyz");
    return ready.status === 503 && ready;
  });
  expect(failed.json).toMatchObject({ code: "NO_QUORUM" });
  expect(named(failed)).toMatchObject({ role: true, leader: true, slots: false });
  expect((await api.get("/livez")).status).toBe(200);
}, 60_000);
