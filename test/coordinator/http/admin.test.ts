// The calls on the cluster, over real HTTP, against a real coordinator and storage nodes that come and go.
import { afterEach, describe, expect, test } from "vitest";
import { always, closeAll, RestCluster, serveScript } from "./rest.ts";

afterEach(closeAll);

const LIMIT_MS = 60_000;

describe("topology", () => {
  test(
    "a cluster is made, grown, re-replicated and shrunk by calls that give an operation to follow",
    async () => {
      const cluster = await RestCluster.start(0);
      const { api } = cluster;
      expect((await api.get("/admin/status")).json).toMatchObject({ status: 503, code: "NO_CLUSTER" });
      const first = await api.ask("POST", "/admin/nodes", { body: { id: "A", address: await cluster.startNode() } });
      expect([first.status, first.json["phase"], first.headers.get("location")]).toEqual([200, "done", null]);
      const body = { id: "B", address: await cluster.startNode(), weight: 2 };
      const second = await api.ask("POST", "/admin/nodes", { body });
      expect(second.status).toBe(202);
      expect(second.headers.get("location")).toBe(`/admin/operations/${String(second.json["operation"])}`);
      expect(await cluster.follow(second)).toMatchObject({ kind: "addnode", phase: "done", slotsMoved: 4096 });
      await api.put("/keys/apple", { value: "123", consistency: "all" });
      await cluster.follow(await api.put("/admin/replicas", { replicas: 1 }));
      await cluster.follow(await api.put("/admin/replicas", { replicas: 2 }));
      const status = await api.get("/admin/status");
      expect(status.json).toMatchObject({ role: "leader", rf: 2, copies: 2, underReplicatedSlots: 0 });
      const { json: nodes } = await api.get("/admin/nodes");
      expect((nodes["nodes"] as { id: string; weight: number }[]).map(({ id, weight }) => [id, weight])).toEqual([
        ["A", 1],
        ["B", 2],
      ]);
      const where = await api.get("/admin/where?key=apple");
      expect(where.json["replicas"]).toMatchObject([{ inStep: true }, { inStep: true }]);
      const ring = await api.get("/admin/ring");
      expect(ring.json["slots"]).toHaveLength(4096);
      expect(await cluster.follow(await api.ask("DELETE", "/admin/nodes/A"))).toMatchObject({ phase: "done" });
      expect((await api.get("/keys/apple")).json["value"]).toBe("123");
      const { json: all } = await api.get("/admin/operations");
      expect((all["operations"] as { kind: string }[]).map(({ kind }) => kind)).toEqual([
        "removenode",
        "setreplica",
        "setreplica",
        "addnode",
      ]);
    },
    LIMIT_MS,
  );

  test(
    "an operation that cannot end waits, queues others behind it, and is cancelled by DELETE",
    async () => {
      const cluster = await RestCluster.start(2);
      const { api, nodes } = cluster;
      nodes[1]?.child.kill("SIGKILL");
      const addition = { id: "C", address: await cluster.startNode() };
      const stuck = await api.ask("DELETE", "/admin/nodes/A");
      expect(stuck.status).toBe(202);
      const queued = await api.ask("POST", "/admin/nodes", { body: addition });
      expect([queued.status, queued.json["phase"]]).toEqual([202, "queued"]);
      for (const answer of [queued, stuck]) {
        const location = answer.headers.get("location") ?? "";
        expect((await api.ask("DELETE", location)).status).toBe(202);
      }
      expect(await cluster.follow(stuck)).toMatchObject({ phase: "cancelled" });
      expect(await cluster.follow(queued)).toMatchObject({ phase: "cancelled" });
    },
    LIMIT_MS,
  );

  test(
    "what cannot be is refused, with its own status and code",
    async () => {
      const cluster = await RestCluster.start(1);
      const { api } = cluster;
      const address = "127.0.0.1:9";
      const refusals: [string, string, object | undefined, number, string][] = [
        ["POST", "/admin/nodes", { id: "A", address }, 409, "NODE_EXISTS"],
        ["POST", "/admin/nodes", { id: "-", address }, 400, "BAD_REQUEST"],
        ["POST", "/admin/nodes", { id: "B", address: "nowhere" }, 400, "BAD_REQUEST"],
        ["POST", "/admin/nodes", { id: "B", address, weight: "2" }, 400, "BAD_REQUEST"],
        ["POST", "/admin/nodes", { id: "B" }, 400, "BAD_REQUEST"],
        ["DELETE", "/admin/nodes/Z", undefined, 404, "NO_SUCH_NODE"],
        ["DELETE", "/admin/nodes/A", undefined, 409, "LAST_COPY"],
        ["DELETE", "/admin/nodes/A?force=yes", undefined, 400, "BAD_REQUEST"],
        ["PUT", "/admin/replicas", { replicas: 0 }, 400, "BAD_REQUEST"],
        ["PUT", "/admin/replicas", { replicas: 2.5 }, 400, "BAD_REQUEST"],
        ["GET", "/admin/operations/999", undefined, 404, "NO_SUCH_OPERATION"],
        ["DELETE", "/admin/operations/999", undefined, 404, "NO_SUCH_OPERATION"],
        ["GET", "/admin/where", undefined, 400, "BAD_REQUEST"],
        ["POST", "/admin/plan", { change: "removenode", id: "Z" }, 404, "NO_SUCH_NODE"],
        ["POST", "/admin/plan", { change: "sell" }, 400, "BAD_REQUEST"],
      ];
      for (const [method, target, body, status, code] of refusals) {
        const answer = await api.ask(method, target, body === undefined ? {} : { body });
        expect(answer.json, `${method} ${target}`).toMatchObject({ status, code, outcome: "failed" });
      }
    },
    LIMIT_MS,
  );

  test(
    "a plan says what would move, and moves nothing",
    async () => {
      const { api } = await RestCluster.start(2);
      const { json, status } = await api.ask("POST", "/admin/plan", { body: { change: "setreplica", replicas: 1 } });
      expect([status, json["copiesBefore"], json["copiesAfter"]]).toEqual([200, 2, 1]);
      expect((await api.get("/admin/status")).json["rf"]).not.toBe(1);
    },
    LIMIT_MS,
  );
});

describe("C11: a coordinator that does not lead", () => {
  const refusal = {
    status: "error",
    code: "NOT_LEADER",
    message: "another coordinator leads",
    leader: "127.0.0.1:7401",
  };

  test.each([
    ["GET", "/keys/a%2Fb?consistency=all", undefined],
    ["PUT", "/keys/a", { value: "1" }],
    ["DELETE", "/keys/a", undefined],
    ["POST", "/admin/nodes", { id: "A", address: "127.0.0.1:5001" }],
  ])("sends %s %s on to the leader with 307", async (method, target, body) => {
    const api = await serveScript(always({ ...refusal, leaderHttp: "127.0.0.1:8009" }));
    const answer = await api.ask(method, target, body === undefined ? {} : { body });
    expect([answer.status, answer.headers.get("location")]).toEqual([307, `http://127.0.0.1:8009${target}`]);
  });

  test("a client that follows arrives with its method and body", async () => {
    const leader = await RestCluster.start(1);
    const standby = await serveScript(always({ ...refusal, leaderHttp: leader.api.server.address }));
    const response = await fetch(`http://${standby.server.address}/keys/apple`, { method: "PUT", body: "from afar" });
    expect(response.status).toBe(200);
    expect((await leader.api.get("/keys/apple")).json["value"]).toBe("from afar");
  });

  test("says 503 and who leads where it does not know the leader's HTTP address", async () => {
    const api = await serveScript(always(refusal));
    const answer = await api.get("/keys/a");
    expect(answer.json).toMatchObject({ status: 503, code: "NOT_LEADER", leader: "127.0.0.1:7401", retryable: true });
    expect(answer.headers.get("retry-after")).toBe("1");
  });
});
