// Repair and hand-over by REST: a real repair over real nodes; what a real one shows too seldom, from a coordinator that follows a script.
import { afterEach, expect, test } from "vitest";
import type { Answered, OpenLocal } from "../../../coordinator/http/backend.ts";
import { always, closeAll, RestCluster, serveScript } from "./rest.ts";

afterEach(closeAll);

const COUNTS = { slotsTotal: 4096, slotsCompared: 0, slotsDifferent: 0, keysMended: 0, slotsLeft: 0 };

/** Says `ok` to all but a repair, whose lines the test says. */
function repairing(): { readonly open: OpenLocal; say(line: object): void; readonly clients: () => number } {
  let say: (line: object) => void = () => {};
  let clients = 0;
  const open: OpenLocal = (answered: (message: Answered) => void) => {
    clients++;
    return {
      send: ({ id, op }) => {
        if (op !== "repair") setImmediate(() => answered({ id, status: "ok", operations: [] }));
        else {
          say = (line) => answered({ id, status: "ok", ...COUNTS, ...line });
          setImmediate(() => say({ done: false }));
        }
        return true;
      },
      close: () => void clients--,
    };
  };
  return { open, say: (line) => say(line), clients: () => clients };
}

test("a repair answers 202 with where to follow it, and ends with what it found", { timeout: 60_000 }, async () => {
  const cluster = await RestCluster.start(2);
  const { api } = cluster;
  expect((await api.get("/admin/repair")).json).toMatchObject({ status: 404, code: "NO_SUCH_OPERATION" });
  await api.put("/keys/apple", { value: "1", consistency: "all" });
  const begun = await api.ask("POST", "/admin/repair");
  expect([begun.status, begun.headers.get("location")]).toEqual([202, "/admin/repair"]);
  expect(begun.json).toMatchObject({ phase: "running", slotsTotal: 4096 });
  const ended = await cluster.until(async () => {
    const { json } = await api.get("/admin/repair");
    return json["phase"] !== "running" && json;
  });
  expect(ended).toEqual({ ...COUNTS, phase: "done", slotsCompared: 4096 });
});

test("a repair may be of one node, which has to be a member", { timeout: 60_000 }, async () => {
  const cluster = await RestCluster.start(1);
  const { api } = cluster;
  const refused = await api.ask("POST", "/admin/repair?node=Z");
  expect(refused.json).toMatchObject({ status: 404, code: "NO_SUCH_NODE" });
  expect((await api.get("/admin/repair")).status).toBe(404);
  expect((await api.ask("POST", "/admin/repair?nodes=A")).json).toMatchObject({ status: 400, code: "BAD_REQUEST" });
  expect((await api.ask("POST", "/admin/repair?node=A")).json).toMatchObject({ node: "A", phase: "running" });
});

test("how far it got is what the coordinator said last; one that ends early has failed, with the reason", async () => {
  const script = repairing();
  const api = await serveScript(script.open);
  expect((await api.ask("POST", "/admin/repair")).json).toEqual({ ...COUNTS, phase: "running" });
  script.say({ done: false, slotsCompared: 1024, keysMended: 7 });
  const halfway = { ...COUNTS, phase: "running", slotsCompared: 1024, keysMended: 7 };
  expect((await api.get("/admin/repair")).json).toEqual(halfway);
  script.say({ status: "error", code: "NOT_LEADER", message: "the leadership was lost" });
  const failed = { ...halfway, phase: "failed", reason: "the leadership was lost" };
  expect((await api.get("/admin/repair")).json).toEqual(failed);
  expect(script.clients()).toBe(0);
});

test("C11: repair and hand-over are for the leader", async () => {
  const refusal = { status: "error", code: "NOT_LEADER", message: "another leads", leaderHttp: "127.0.0.1:8009" };
  const api = await serveScript(always(refusal));
  const calls = [
    ["POST", "/admin/repair?node=A"],
    ["GET", "/admin/repair"],
    ["POST", "/admin/stepdown"],
  ] as const;
  for (const [method, target] of calls) {
    const answer = await api.ask(method, target);
    expect([answer.status, answer.headers.get("location")]).toEqual([307, `http://127.0.0.1:8009${target}`]);
  }
});

test("a hand-over says who leads then, and is refused where nobody is there to take over", async () => {
  const api = await serveScript(always({ status: "ok", leader: "127.0.0.1:7402" }));
  const answer = await api.ask("POST", "/admin/stepdown");
  expect([answer.status, answer.json]).toEqual([200, { leader: "127.0.0.1:7402" }]);
  const alone = await RestCluster.start(1);
  expect((await alone.api.ask("POST", "/admin/stepdown")).json).toMatchObject({
    outcome: "failed",
    code: "NO_STANDBY",
  });
});
