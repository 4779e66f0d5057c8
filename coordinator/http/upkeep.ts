// Upkeep: repair and hand-over. A repair is answered as soon as it runs (202) and goes on whoever asks; how far it has got is read at its own
// path, since it moves no slot and is no topology operation. It belongs to the leader at which it was asked for: where the leadership ends,
// so does the repair, and the next leader knows of none. One asked for in a shell shows its progress there.
import type { FastifyReply } from "fastify";
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { Answered, Backend } from "./backend.ts";
import type { AnswerForm, Route } from "./routes.ts";
import { REPAIR_QUERY } from "./schemas.ts";

const PATH = "/admin/repair";

/** How far the latest repair got. The counts are those of RepairAnswer. */
interface RepairStatus extends Answered {
  readonly phase: "running" | "done" | "failed";
  /** Whose replicas alone it is about. */
  readonly node?: NodeId;
  /** Why it failed. */
  readonly reason?: string;
}

export function upkeepRoutes(backend: Backend): Route[] {
  return [...repairRoutes(backend), stepDownRoute(backend)];
}

const BEGUN: Readonly<Record<number, AnswerForm>> = {
  200: { description: "done already", json: "Repair" },
  202: { description: "it runs; Location is where to follow it", json: "Repair", headers: ["Location"] },
};

function repairRoutes(backend: Backend): Route[] {
  let latest: RepairStatus | undefined;
  return [
    {
      method: "POST",
      path: PATH,
      name: "repair",
      summary: "Compare all replicas, or one node's, and mend what differs, now",
      query: REPAIR_QUERY,
      answers: BEGUN,
      refusals: [400, 404, 429, 503],
      handle: async (request, reply) => {
        const { node } = request.query as { readonly node?: NodeId };
        const first = await begin(backend, node, (status) => (latest = status));
        return first.phase === "done" ? first : accepted(reply, first);
      },
    },
    {
      method: "GET",
      path: PATH,
      name: "getRepair",
      summary: "How far the latest repair that was asked for with POST has got",
      answers: { 200: { description: "the repair", json: "Repair" } },
      refusals: [404, 503],
      handle: async () => {
        await backend.call<"ops">({ op: "ops" }); // refused by a coordinator that does not lead
        if (!latest) throw new KvError("NO_SUCH_OPERATION", `no repair was asked for at this leader: POST ${PATH}`);
        return latest;
      },
    },
  ];
}

/** Resolves with the first of what is told. @throws KvError where it is refused */
function begin(
  backend: Backend,
  node: NodeId | undefined,
  tell: (status: RepairStatus) => void,
): Promise<RepairStatus> {
  const about = node === undefined ? {} : { node };
  let last: RepairStatus | undefined;
  return new Promise((resolve, reject) => {
    backend.follow({ op: "repair", ...about }, (line) => {
      if (line instanceof KvError && last === undefined) return reject(line);
      last = line instanceof KvError ? failed(last, line) : { ...about, ...statusOf(line) };
      tell(last);
      resolve(last);
    });
  });
}

function failed(last: RepairStatus | undefined, error: KvError): RepairStatus {
  return { ...last, phase: "failed", reason: error.message };
}

function statusOf({ id: _id, status: _status, done, ...counts }: Answered): RepairStatus {
  return { phase: done === true ? "done" : "running", ...counts };
}

function accepted(reply: FastifyReply, status: RepairStatus): RepairStatus {
  void reply.code(202).header("location", PATH);
  return status;
}

function stepDownRoute(backend: Backend): Route {
  return {
    method: "POST",
    path: "/admin/stepdown",
    name: "stepDown",
    summary: "Hand the leadership to a standby, now",
    answers: { 200: { description: "who leads now", json: "HandedOver" } },
    refusals: [409, 503],
    handle: async () => {
      const { leader } = await backend.call<"stepdown">({ op: "stepdown" });
      return { leader };
    },
  };
}
