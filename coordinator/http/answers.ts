// Schemas of what goes out, by the name under which the OpenAPI document has them. Open: a later version may say more. The tests check
// every answer against them, closed.
import { ERRORS } from "../../shared/errors.ts";
import { KEY, open, TEXT, VALUE, VERSION, type Schema } from "./schemas.ts";

const COUNT: Schema = { type: "integer", minimum: 0 };
const MS: Schema = { type: "number", minimum: 0 };
const FLAG: Schema = { type: "boolean" };
const nullable = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });
const list = (items: Schema): Schema => ({ type: "array", items });

/** A reference to one of ANSWERS. */
export function ref(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

const ROLE: Schema = { type: "string", enum: ["leader", "standby", "new", "waiting"] };
const OUTCOME: Schema = {
  type: "string",
  enum: ["failed", "unknown"],
  description: "failed: it had no effect; unknown: it may have had, or may still have",
};
const ERROR_FIELDS = { code: { type: "string", enum: Object.keys(ERRORS) }, retryable: FLAG, outcome: OUTCOME };
const SEAT = open({ id: TEXT, address: TEXT });

const NODE_STATUS = open({
  id: TEXT,
  address: TEXT,
  incarnation: TEXT,
  weight: COUNT,
  state: { type: "string", enum: ["up", "suspect", "down", "joining", "draining"] },
  voter: FLAG,
  slots: COUNT,
  share: { type: "number", minimum: 0, maximum: 1 },
  keys: nullable(COUNT),
  bytes: nullable(COUNT),
  lastHeardMs: nullable(MS),
  eventLoopDelayMs: nullable(MS),
  missed: COUNT,
  unchecked: COUNT,
  behindMs: nullable(MS),
});

const OPERATION = open(
  {
    operation: { ...TEXT, description: "its id" },
    kind: { type: "string", enum: ["addnode", "removenode", "setreplica", "replace"] },
    command: TEXT,
    phase: { type: "string", enum: ["queued", "moving", "waiting", "cancelling", "done", "failed", "cancelled"] },
    slotsMoved: COUNT,
    slotsTotal: COUNT,
    keysMoved: COUNT,
    keysTotal: COUNT,
    bytesMoved: COUNT,
    elapsedMs: MS,
    freezeMs: open({ p50: MS, p99: MS, max: MS }),
    ahead: { ...COUNT, description: "operations that come first" },
    notes: list(TEXT),
  },
  ["freezeMs", "ahead", "notes"],
);

const STATUS = open(
  {
    role: ROLE,
    cluster: nullable(TEXT),
    epoch: COUNT,
    ballot: TEXT,
    leader: open({ address: TEXT, sinceMs: MS }),
    standbys: list(TEXT),
    voters: list(open({ id: TEXT, address: TEXT, answers: FLAG })),
    stateAt: open({ place: TEXT, answers: FLAG }),
    rf: COUNT,
    copies: COUNT,
    underReplicatedSlots: COUNT,
    nodes: list(ref("NodeStatus")),
    operations: list(ref("Operation")),
    waitingFor: list(SEAT),
  },
  ["leader", "stateAt", "waitingFor"],
);

const REPAIR = open(
  {
    phase: { type: "string", enum: ["running", "done", "failed"] },
    node: { ...TEXT, description: "whose replicas alone" },
    slotsTotal: COUNT,
    slotsCompared: COUNT,
    slotsDifferent: COUNT,
    keysMended: COUNT,
    slotsLeft: { ...COUNT, description: "not compared or mended: too few members answer, or they change hands" },
    reason: { ...TEXT, description: "why it failed" },
  },
  ["node", "reason"],
);

const RING = open({
  cluster: TEXT,
  seed: COUNT,
  ballot: TEXT,
  epoch: COUNT,
  rf: COUNT,
  members: list(open({ id: TEXT, address: TEXT, incarnation: TEXT, weight: COUNT })),
  slots: { ...list(list(COUNT)), description: "4096 lists of places in members; the first is the preferred replica" },
});

const PLAN_NODE = open({
  id: TEXT,
  slotsBefore: COUNT,
  slotsAfter: COUNT,
  slotsIn: COUNT,
  slotsOut: COUNT,
  keysIn: COUNT,
  keysOut: COUNT,
  bytesIn: COUNT,
  bytesOut: COUNT,
});

const PLAN = open({
  command: TEXT,
  slots: COUNT,
  keys: COUNT,
  bytes: COUNT,
  copiesBefore: COUNT,
  copiesAfter: COUNT,
  nodes: list(PLAN_NODE),
  notes: list(TEXT),
});

const REPLICA = open(
  { id: TEXT, address: TEXT, status: TEXT, version: VERSION, tombstone: FLAG, digest: TEXT, inStep: FLAG },
  ["version", "tombstone", "digest", "inStep"],
);

const BATCH_RESULT: Schema = {
  oneOf: [
    open({ status: { const: "ok" }, version: VERSION, value: VALUE, stale: FLAG }, ["value", "stale"]),
    open({ status: { const: "error" }, ...ERROR_FIELDS, message: TEXT, version: VERSION }, ["version"]),
  ],
};

const CHECK = open({ name: TEXT, ok: FLAG, detail: TEXT });

const PROBLEM = open(
  {
    type: { ...TEXT, description: "where the code is explained" },
    title: TEXT,
    status: { type: "integer", minimum: 400, maximum: 599 },
    detail: { ...TEXT, description: "what was wrong here, the limit, what to do" },
    ...ERROR_FIELDS,
    requestId: TEXT,
    version: { ...VERSION, description: "with CONDITION_FAILED: the current version; absent when the key is" },
    leader: { ...TEXT, description: "with NOT_LEADER: its address, where known" },
    allow: { ...TEXT, description: "with METHOD_NOT_ALLOWED: the methods of the path" },
    checks: list(ref("Check")),
  },
  ["requestId", "version", "leader", "allow", "checks"],
);

export const ANSWERS = {
  Problem: PROBLEM,
  Written: open({ key: KEY, version: VERSION }),
  Entry: open({ key: KEY, value: VALUE, version: VERSION, stale: { ...FLAG, description: "read at level one" } }, [
    "stale",
  ]),
  KeyPage: open({ keys: list(KEY), cursor: { ...TEXT, description: "for the next page; absent after the last" } }, [
    "cursor",
  ]),
  BatchResults: open({ results: list(BATCH_RESULT) }),
  Status: STATUS,
  NodeStatus: NODE_STATUS,
  Nodes: open({ nodes: list(ref("NodeStatus")) }),
  Ring: RING,
  Operation: OPERATION,
  Repair: REPAIR,
  HandedOver: open({ leader: TEXT }),
  Operations: open({ operations: list(ref("Operation")) }),
  Plan: PLAN,
  Where: open({ key: KEY, slot: COUNT, replicas: list(REPLICA) }),
  Check: CHECK,
  Health: open({ status: { const: "ok" }, checks: list(ref("Check")) }, ["checks"]),
} as const satisfies Readonly<Record<string, Schema>>;

export type AnswerName = keyof typeof ANSWERS;
