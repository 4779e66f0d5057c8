// Health: two probes. `/livez` says that this process answers, and never depends on the cluster: restarting a coordinator mends no node.
// `/readyz` says whether clients can be sent here, by named checks; a standby is ready, since it sends them on to the leader.
import { KvError, type ErrorCode } from "../../shared/errors.ts";
import { majority } from "../../shared/quorum.ts";
import type { ClientHelloAnswer, RingAnswer, StatusAnswer } from "../../shared/protocol/client-messages.ts";
import { PROTOCOL_VERSIONS } from "../../shared/protocol/version.ts";
import type { Backend } from "./backend.ts";
import type { Route } from "./routes.ts";

export interface Check {
  readonly name: "role" | "leader" | "voters" | "slots";
  readonly ok: boolean;
  readonly detail: string;
}

/** The refusal that a failed check stands for. */
const CODES: Readonly<Record<Check["name"], ErrorCode>> = {
  role: "NO_CLUSTER",
  leader: "NO_LEADER",
  voters: "NO_QUORUM",
  slots: "NO_QUORUM",
};

export function healthRoutes(backend: Backend): Route[] {
  return [
    {
      method: "GET",
      path: "/livez",
      name: "livez",
      summary: "Whether this process answers",
      answers: { 200: { description: "it does", json: "Health" } },
      handle: async () => ({ status: "ok" }),
    },
    {
      method: "GET",
      path: "/readyz",
      name: "readyz",
      summary: "Whether clients can be sent here",
      query: { verbose: { type: "string", description: "show the checks; needs no value" } },
      answers: { 200: { description: "they can", json: "Health" } },
      refusals: [503],
      handle: async (request) => {
        const found = await checks(backend);
        const failed = found.find(({ ok }) => !ok);
        if (failed) throw new KvError(CODES[failed.name], `${failed.name}: ${failed.detail}`, { checks: found });
        const { verbose } = request.query as { readonly verbose?: string };
        return { status: "ok", ...(verbose !== undefined && { checks: found }) };
      },
    },
  ];
}

/** The checks, in the order in which one needs the other; those that cannot be made are left out. */
async function checks(backend: Backend): Promise<Check[]> {
  const hello = await backend.call<"hello">({ op: "hello", versions: PROTOCOL_VERSIONS });
  const first = [roleCheck(hello), leaderCheck(hello)];
  if (hello.role !== "leader") return first;
  const [status, ring] = await Promise.all([
    backend.call<"status">({ op: "status" }),
    backend.call<"ring">({ op: "ring" }),
  ]);
  return [...first, votersCheck(status), slotsCheck(status, ring)];
}

function roleCheck({ role }: ClientHelloAnswer): Check {
  if (role === "new") return { name: "role", ok: false, detail: "no node was added yet" };
  return { name: "role", ok: true, detail: role };
}

function leaderCheck({ leader, epoch }: ClientHelloAnswer): Check {
  if (leader === undefined) return { name: "leader", ok: false, detail: "no leader is known" };
  return { name: "leader", ok: true, detail: `${leader}, epoch ${epoch}` };
}

/** An etcd that does not answer holds up changes of the cluster, not its clients. */
function votersCheck({ voters, stateAt }: StatusAnswer): Check {
  if (stateAt)
    return { name: "voters", ok: true, detail: `${stateAt.place} ${stateAt.answers ? "answers" : "does not answer"}` };
  const answering = voters.filter(({ answers }) => answers).length;
  const needed = majority(voters.length);
  return {
    name: "voters",
    ok: answering >= needed,
    detail: `${answering} of ${voters.length} answer, ${needed} needed`,
  };
}

function slotsCheck({ nodes }: StatusAnswer, { members, slots }: RingAnswer): Check {
  const down = new Set(nodes.filter(({ state }) => state === "down").map(({ id }) => id));
  const answering = members.map(({ id }) => !down.has(id));
  const without = slots.filter(
    (replicas) => replicas.filter((place) => answering[place]).length < majority(replicas.length),
  );
  const detail = without.length === 0 ? "every slot has a quorum" : `${without.length} slots have no quorum`;
  return { name: "slots", ok: without.length === 0, detail };
}
