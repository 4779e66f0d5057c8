// Admin: the cluster as operators see and change it. A change is answered as soon as the cluster's state has it (202), with the operation to
// follow; it goes on whoever asks, survives a change of leader, and ends as done, failed or cancelled, with the reason in its notes.
import type { FastifyReply, FastifyRequest } from "fastify";
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { OperationStatus, ProgressAnswer, TopologyChange } from "../../shared/protocol/client-messages.ts";
import type { Answered, Backend } from "./backend.ts";
import type { AnswerForm, Route } from "./routes.ts";
import { ADD_NODE_BODY, KEY, PLAN_BODY, REMOVE_QUERY, REPLICAS_BODY } from "./schemas.ts";

const OPERATIONS = "/admin/operations";

/** 200 where nothing had to move (the first node of a cluster), else 202. */
const BEGUN: Readonly<Record<number, AnswerForm>> = {
  200: { description: "done already", json: "Operation" },
  202: { description: "accepted; Location is the operation to follow", json: "Operation", headers: ["Location"] },
};

export function adminRoutes(backend: Backend): Route[] {
  return [...viewRoutes(backend), ...changeRoutes(backend), ...operationRoutes(backend)];
}

function viewRoutes(backend: Backend): Route[] {
  const view = (op: "status" | "nodes" | "ring", rest: Pick<Route, "summary" | "answers">): Route => ({
    method: "GET",
    path: `/admin/${op}`,
    name: op,
    refusals: [503],
    handle: async () => shown(await backend.call<typeof op>({ op })),
    ...rest,
  });
  return [
    view("status", {
      summary: "The cluster: leader, voters, nodes, operations",
      answers: { 200: { description: "as the leader sees it", json: "Status" } },
    }),
    view("nodes", { summary: "The storage nodes", answers: { 200: { description: "each node", json: "Nodes" } } }),
    view("ring", {
      summary: "Which nodes hold which slot",
      answers: { 200: { description: "the slot table", json: "Ring" } },
    }),
    {
      method: "GET",
      path: "/admin/where",
      name: "where",
      summary: "Slot and replicas of a key, and what each of them holds",
      query: { key: KEY },
      answers: { 200: { description: "a line for each replica", json: "Where" } },
      refusals: [400, 503],
      handle: async (request) => {
        const { key } = request.query as { readonly key?: string };
        if (key === undefined) throw new KvError("BAD_REQUEST", "key: which key is asked for, as ?key=…");
        return shown(await backend.call<"where">({ op: "where", key }));
      },
    },
  ];
}

function changeRoutes(backend: Backend): Route[] {
  return [
    {
      method: "POST",
      path: "/admin/nodes",
      name: "addNode",
      summary: "Add a storage node and move its share of the slots to it",
      body: { schema: ADD_NODE_BODY },
      answers: BEGUN,
      refusals: [400, 409, 415, 429, 503],
      handle: async (request, reply) => begun(reply, await backend.call(addition(request.body as NodeBody))),
    },
    {
      method: "DELETE",
      path: "/admin/nodes/{id}",
      name: "removeNode",
      summary: "Move a node's slots to others, then drop it; a dead one too",
      query: REMOVE_QUERY,
      answers: BEGUN,
      refusals: [400, 404, 409, 429, 503],
      handle: async (request, reply) => {
        const { force } = request.query as { readonly force?: boolean };
        return begun(reply, await backend.call(removal(idOf(request), force)));
      },
    },
    {
      method: "PUT",
      path: "/admin/replicas",
      name: "setReplicas",
      summary: "Change the number of copies",
      body: { schema: REPLICAS_BODY },
      answers: BEGUN,
      refusals: [400, 409, 415, 429, 503],
      handle: async (request, reply) => {
        const { replicas } = request.body as { readonly replicas: number };
        return begun(reply, await backend.call<"setreplica">({ op: "setreplica", rf: replicas }));
      },
    },
    {
      method: "POST",
      path: "/admin/plan",
      name: "plan",
      summary: "What a change would move; changes nothing",
      body: { schema: PLAN_BODY },
      answers: { 200: { description: "slots, keys and bytes for each node", json: "Plan" } },
      refusals: [400, 404, 409, 415, 503],
      handle: async (request) =>
        shown(await backend.call<"plan">({ op: "plan", change: changeOf(request.body as PlanBody) })),
    },
  ];
}

function operationRoutes(backend: Backend): Route[] {
  const find = async (id: string): Promise<OperationStatus> => {
    const { operations } = await backend.call<"ops">({ op: "ops" });
    const found = operations.find(({ operation }) => operation === id);
    if (!found) throw new KvError("NO_SUCH_OPERATION", `no operation ${id.slice(0, 64)} is running, or ended lately`);
    return found;
  };
  return [
    {
      method: "GET",
      path: OPERATIONS,
      name: "listOperations",
      summary: "Topology operations: running, waiting, and the latest that ended",
      answers: { 200: { description: "each operation", json: "Operations" } },
      refusals: [503],
      handle: async () => shown(await backend.call<"ops">({ op: "ops" })),
    },
    {
      method: "GET",
      path: `${OPERATIONS}/{id}`,
      name: "getOperation",
      summary: "How far an operation has got",
      answers: { 200: { description: "the operation", json: "Operation" } },
      refusals: [404, 503],
      handle: async (request) => await find(idOf(request)),
    },
    {
      method: "DELETE",
      path: `${OPERATIONS}/{id}`,
      name: "cancelOperation",
      summary: "Stop an operation safely; what it has moved stays moved",
      answers: { 202: { description: "stopping; follow it until it ends", json: "Operation", headers: ["Location"] } },
      refusals: [404, 503],
      handle: async (request, reply) => {
        await backend.call<"cancel">({ op: "cancel", operation: idOf(request) });
        return accepted(reply, await find(idOf(request)));
      },
    },
  ];
}

interface NodeBody {
  readonly id: NodeId;
  readonly address: string;
  readonly weight?: number;
}

type PlanBody =
  | ({ readonly change: "addnode" } & NodeBody)
  | { readonly change: "removenode"; readonly id: NodeId; readonly force?: boolean }
  | { readonly change: "setreplica"; readonly replicas: number };

type Change<Op extends TopologyChange["op"]> = Extract<TopologyChange, { readonly op: Op }>;

function addition({ id, address, weight }: NodeBody): Change<"addnode"> {
  return { op: "addnode", node: id, address, ...(weight !== undefined && { weight }) };
}

function removal(id: string, force: boolean | undefined): Change<"removenode"> {
  return { op: "removenode", node: id as NodeId, ...(force === true && { force }) };
}

function changeOf(body: PlanBody): TopologyChange {
  switch (body.change) {
    case "addnode":
      return addition(body);
    case "removenode":
      return removal(body.id, body.force);
    case "setreplica":
      return { op: "setreplica", rf: body.replicas };
  }
}

function begun(reply: FastifyReply, progress: ProgressAnswer): object {
  const { done, ...operation } = shown(progress);
  return done === true ? operation : accepted(reply, operation as unknown as OperationStatus);
}

function accepted(reply: FastifyReply, operation: OperationStatus): object {
  void reply.code(202).header("location", `${OPERATIONS}/${operation.operation}`);
  return operation;
}

/** An answer without what only the protocol needs. */
function shown(answer: object): Answered {
  const { id: _id, status: _status, ...rest } = answer as Answered;
  return rest;
}

function idOf(request: FastifyRequest): string {
  return (request.params as { readonly id: string }).id;
}
