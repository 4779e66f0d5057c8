// Schemas of what comes in: the one source for validation (validators.ts) and for the OpenAPI document (openapi.ts). Closed: a parameter
// or member that nobody knows is refused, since a misspelt level or condition that is looked over would do harm. Lengths in bytes,
// addresses and node ids are checked by the coordinator itself, with better words.
import {
  BATCH_OPS_MAX,
  DEADLINE_MS_MAX,
  REPLICAS_MAX,
  SCAN_LIMIT_DEFAULT,
  SCAN_LIMIT_MAX,
  WEIGHT_MAX,
} from "../../shared/limits.ts";
import { LEVELS } from "../../shared/protocol/client-messages.ts";

/** A JSON Schema, in what draft 7 and 2020-12 have in common. */
export type Schema = Readonly<Record<string, unknown>>;
export type Properties = Readonly<Record<string, Schema>>;

/** An object with these members and no others. @param optional Those that may be left out. */
export function closed(properties: Properties, optional: readonly string[] = []): Schema {
  return { ...open(properties, optional), additionalProperties: false };
}

/** An object with at least these members. @param optional Those that may be left out. */
export function open(properties: Properties, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: "object", properties, ...(required.length > 0 && { required }) };
}

export const TEXT: Schema = { type: "string" };
export const KEY: Schema = { type: "string", minLength: 1, description: "1 to 1024 bytes of UTF-8" };
export const VERSION: Schema = { type: "string", description: "opaque, such as 3.1042", examples: ["3.1042"] };
export const LEVEL: Schema = {
  type: "string",
  enum: [...LEVELS],
  description: "replicas that must have a write on disk, or be asked by a read; quorum unless given",
};
export const VALUE: Schema = {
  description: "text, or other bytes as base64 with padding",
  anyOf: [{ type: "string" }, closed({ base64: { type: "string" } })],
};

const TIMEOUT: Schema = {
  type: "integer",
  minimum: 1,
  maximum: DEADLINE_MS_MAX,
  description: "deadline in ms; 2000 unless given",
};
const WEIGHT: Schema = {
  type: "integer",
  minimum: 1,
  maximum: WEIGHT_MAX,
  description: "share of the slots, beside the others' weights",
};
const NODE_ID: Schema = { type: "string", description: "1–64 letters, digits, '.', '_' or '-'" };
const ADDRESS: Schema = { type: "string", examples: ["127.0.0.1:5001"] };

/** Query of the calls on one key. */
export const DATA_QUERY: Properties = { consistency: LEVEL, timeoutMs: TIMEOUT };
export const BATCH_QUERY: Properties = { timeoutMs: TIMEOUT };
export const SCAN_QUERY: Properties = {
  prefix: { type: "string" },
  limit: { type: "integer", minimum: 1, maximum: SCAN_LIMIT_MAX, default: SCAN_LIMIT_DEFAULT },
  cursor: { type: "string", description: "as the page before gave it" },
  timeoutMs: TIMEOUT,
};

export const PUT_BODY = closed({ value: VALUE, consistency: LEVEL }, ["consistency"]);

const BATCH_PUT = closed(
  {
    op: { const: "put" },
    key: KEY,
    value: VALUE,
    consistency: LEVEL,
    ifVersion: VERSION,
    ifAbsent: { type: "boolean" },
  },
  ["consistency", "ifVersion", "ifAbsent"],
);
const BATCH_GET = closed({ op: { const: "get" }, key: KEY, consistency: LEVEL }, ["consistency"]);
const BATCH_DELETE = closed({ op: { const: "delete" }, key: KEY, consistency: LEVEL, ifVersion: VERSION }, [
  "consistency",
  "ifVersion",
]);
/** `discriminator`: a wrong operation is judged by its own schema, so the message names what is wrong. */
export const BATCH_BODY = closed({
  operations: {
    type: "array",
    minItems: 1,
    maxItems: BATCH_OPS_MAX,
    items: {
      type: "object",
      required: ["op"],
      discriminator: { propertyName: "op" },
      oneOf: [BATCH_PUT, BATCH_GET, BATCH_DELETE],
    },
  },
});

export const ADD_NODE_BODY = closed({ id: NODE_ID, address: ADDRESS, weight: WEIGHT }, ["weight"]);
export const REMOVE_QUERY: Properties = {
  force: { type: "boolean", description: "accept that the last copies of slots go" },
};
export const REPLICAS_BODY = closed({ replicas: { type: "integer", minimum: 1, maximum: REPLICAS_MAX } });
export const REPAIR_QUERY: Properties = { node: { ...NODE_ID, description: "whose replicas; all unless given" } };
export const PLAN_BODY: Schema = {
  type: "object",
  required: ["change"],
  discriminator: { propertyName: "change" },
  oneOf: [
    closed({ change: { const: "addnode" }, id: NODE_ID, address: ADDRESS, weight: WEIGHT }, ["weight"]),
    closed({ change: { const: "removenode" }, id: NODE_ID, force: { type: "boolean" } }, ["force"]),
    closed({ change: { const: "setreplica" }, replicas: { type: "integer", minimum: 1, maximum: REPLICAS_MAX } }),
  ],
};
