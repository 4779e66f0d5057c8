// `recover --unsafe`: two of three voters are gone with their disks, and the one that is left becomes the only voter. What it holds is
// served again; it is refused where an election does, and changes nothing until it is confirmed twice. Real processes.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { connect } from "../../shared/client/connect.ts";
import { closeEverything, expectFilled, fill } from "../support/cluster-checks.ts";
import { ClusterProcess, until } from "../support/cluster-process.ts";

const RUNTIME = fileURLToPath(new URL("../../runtime", import.meta.url));
const LIMIT_MS = 60_000;
const FILLED = 500;

afterEach(() => closeEverything());

/** Runs `runtime recover` beside the first coordinator, with these lines typed. */
function recover(
  cluster: ClusterProcess,
  args: readonly string[],
  typed: readonly string[] = [],
): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [RUNTIME, "recover", "--cluster-file", "cluster.json", ...args],
    {
      cwd: cluster.folder,
      input: typed.map((line) => `${line}\n`).join(""),
      encoding: "utf8",
      timeout: LIMIT_MS,
      env: { ...process.env, HOLDFAST_SKIP_BUILD: "1" },
    },
  );
  return { status, said: stdout + stderr };
}

/** Two nodes with two copies; then node A, its disk and the coordinator's vote are gone, and a new coordinator waits. */
async function bereft(): Promise<{ cluster: ClusterProcess; id: string }> {
  const cluster = await ClusterProcess.start({ nodes: 2 });
  await fill(cluster, FILLED);
  const { cluster: id } = await cluster.call({ op: "status" });
  expect(recover(cluster, ["--unsafe", "--yes", "--yes"])).toMatchObject({ status: 1 });
  await Promise.all([cluster.kill("A"), cluster.killCoordinator()]);
  fs.rmSync(cluster.dataOf("A"), { recursive: true });
  cluster.forgetCluster("first");
  await cluster.startCoordinator("first", [cluster.addressOf("B")]);
  expect(await cluster.roleOf("first")).toBe("waiting");
  return { cluster, id: String(id) };
}

test("V1–V3: with two of three voters gone for good, the one that is left elects a leader, and what it holds is served", async () => {
  const { cluster, id } = await bereft();
  const refused = recover(cluster, ["--unsafe"], ["gone", "another cluster"]);
  expect(refused.status, refused.said).toBe(1);
  expect(refused.said).toMatch(
    /Voters that do not answer, 2 of 3:\n {2}A \(127\.0\.0\.1:\d+\)\n {2}coordinator:\S+ \(\S+\)\nVoters from now on:\n {2}B /,
  );
  expect(refused.said).toContain("Nothing was changed.");
  expect(await cluster.roleOf("first")).toBe("waiting");
  const done = recover(cluster, ["--unsafe"], ["gone", id]);
  expect(done.status, done.said).toBe(0);
  expect(done.said).toContain("writes at level one in 4096 slots of which a replica does not answer");
  expect(done.said).toContain("removenode A");
  expect(await cluster.leader()).toBe("first");
  // M2: the survivor serves alone before long, and nothing of what it held is missing.
  const kv = await connect(cluster.addresses, { timeoutMs: 5_000 });
  await until(
    "a write on the survivor",
    () =>
      kv.put("after", "it").then(
        () => true,
        () => undefined,
      ),
    LIMIT_MS,
  );
  await kv.close();
  await expectFilled(cluster, FILLED);
  await cluster.removeNode("A");
  const { nodes, voters } = await cluster.call({ op: "status" });
  expect(nodes.map((node) => node.id)).toEqual(["B"]);
  expect(voters.map((voter) => voter.id)).not.toContain("A");
  // Once is enough: now an election does.
  expect(recover(cluster, ["--unsafe", "--yes", "--yes"])).toMatchObject({ status: 1 });
});

test("without --unsafe nothing is asked; `--yes` twice stands for both answers, once for the first only", async () => {
  const { cluster, id } = await bereft();
  expect(recover(cluster, [])).toMatchObject({ status: 2 });
  expect(recover(cluster, ["--unsafe", "--force"])).toMatchObject({ status: 2 });
  expect(recover(cluster, ["--unsafe", "--yes"])).toMatchObject({ status: 1 });
  const { status, said } = recover(cluster, ["--unsafe", "--yes", "--yes", "--json"]);
  expect(status, said).toBe(0);
  expect(JSON.parse(said)).toMatchObject({ status: "ok", cluster: id, voters: ["B"], missingNodes: ["A"] });
  expect(await cluster.leader()).toBe("first");
});
