// Border of the coordinator: an untrusted line becomes a CoordinatorRequest, or a vote asked of the record that it
// may keep (V5), or a KvError that says what was wrong with it.
import { KvError } from "../errors.ts";
import type { OwnerId } from "../ids.ts";
import {
  BATCH_OPS_MAX,
  DEADLINE_MS_DEFAULT,
  DEADLINE_MS_MAX,
  EPOCH_MAX,
  REPLICAS_MAX,
  SCAN_LIMIT_MAX,
  WEIGHT_MAX,
} from "../limits.ts";
import {
  LEVELS,
  type CoordinatorRequest,
  type DataRequest,
  type DeleteRequest,
  type GetRequest,
  type Level,
  type PutRequest,
  type TopologyChange,
} from "./client-messages.ts";
import * as field from "./fields.ts";
import type { Fields } from "./fields.ts";
import type { VoterRequest } from "./node-messages.ts";
import { parseRows } from "./parse-compact.ts";
import { operationId, parseVoterRequest, uuid, versions } from "./parse-node-request.ts";

/**
 * @param bytesMax Largest value taken.
 * @throws KvError BAD_REQUEST, TOO_LARGE
 */
export function parseCoordinatorRequest(message: Fields, bytesMax: number): CoordinatorRequest | VoterRequest {
  const id = field.integer(message, "id", 0, Number.MAX_SAFE_INTEGER);
  const op = field.text(message, "op", 64);
  switch (op) {
    case "put":
    case "delete":
    case "get":
      return parseData(message, bytesMax);
    case "batch":
      return { id, op, ops: batchOps(message, bytesMax) };
    case "scan":
      return {
        id,
        op,
        ...given("prefix", field.optional(message, "prefix", field.text)),
        ...given("limit", bounded(message, "limit", 1, SCAN_LIMIT_MAX)),
        ...given(
          "cursor",
          field.optional(message, "cursor", (from, name) => field.text(from, name, 4096)),
        ),
        ...given("timeoutMs", bounded(message, "timeoutMs", 1, DEADLINE_MS_MAX)),
      };
    case "where":
      return { id, op, key: field.key(message) };
    case "ping":
    case "status":
    case "nodes":
    case "ring":
    case "stats":
    case "metrics":
    case "ops":
      return { id, op };
    case "hello":
      return { id, op, versions: versions(message), compact: field.flag(message, "compact") };
    case "addnode":
    case "removenode":
    case "setreplica":
      return { id, ...parseChange(message) };
    case "plan":
      return { id, op, change: parseChange(field.object(message["change"], "change")) };
    case "follow":
      return {
        id,
        op,
        owner: uuid(message, "owner") as OwnerId,
        address: field.address(message, "address"),
        ballot: field.pair(message["ballot"], "ballot"),
      };
    case "stepdown":
      return { id, op };
    case "cancel":
      return { id, op, operation: field.text(message, "operation", 16) };
    case "join":
      return {
        id,
        op,
        node: field.nodeId(message, "node"),
        address: field.address(message, "address"),
        ...given("weight", bounded(message, "weight", 1, WEIGHT_MAX)),
      };
    case "repair":
      return { id, op, ...given("node", field.optional(message, "node", field.nodeId)) };
    case "inspect":
    case "prepare":
    case "accept":
    case "prevote":
    case "heartbeat":
      return parseVoterRequest(op, message);
    default:
      throw new KvError(
        "BAD_REQUEST",
        `op: unknown operation "${op.slice(0, 32)}"; a coordinator knows put, get, delete, scan, status, …`,
      );
  }
}

/** The requests of a batch line, in whichever form they came. */
function batchOps(message: Fields, bytesMax: number): DataRequest[] {
  const { rows, ops } = message;
  if (rows === undefined)
    return field.list(message, "ops", BATCH_OPS_MAX, (item) => parseData(field.object(item, ""), bytesMax));
  if (ops !== undefined) return field.malformed("ops, rows", "one of them");
  return parseRows(rows, {
    bytesMax,
    timeoutMs: bounded(message, "timeoutMs", 1, DEADLINE_MS_MAX) ?? DEADLINE_MS_DEFAULT,
  });
}

/**
 * A put, get or delete is checked in place and not copied, because there are so many: every field that its type names is as the type
 * says, others may be there and are nobody's business.
 */
function parseData(message: Fields, bytesMax: number): DataRequest {
  const { op } = message;
  field.integer(message, "id", 0, Number.MAX_SAFE_INTEGER);
  field.key(message);
  if (message["consistency"] !== undefined) level(message, "consistency");
  if (message["timeoutMs"] !== undefined) field.integer(message, "timeoutMs", 1, DEADLINE_MS_MAX);
  if (op === "get") return message as unknown as GetRequest;
  if (op !== "put" && op !== "delete") return field.malformed("op", "put, get or delete");
  if (message["ifVersion"] !== undefined) field.text(message, "ifVersion", 64);
  if (message["operation"] !== undefined) operationId(message, "operation");
  if (message["firstEpoch"] !== undefined) field.integer(message, "firstEpoch", 0, EPOCH_MAX);
  field.flag(message, "report");
  field.flag(message, op === "put" ? "ifAbsent" : "found");
  if (op === "put") field.value(message, bytesMax);
  return message as unknown as PutRequest | DeleteRequest;
}

function parseChange(message: Fields): TopologyChange {
  const { op } = message;
  switch (op) {
    case "addnode":
      return {
        op,
        node: field.nodeId(message, "node"),
        address: field.address(message, "address"),
        ...given("weight", bounded(message, "weight", 1, WEIGHT_MAX)),
      };
    case "removenode":
      return { op, node: field.nodeId(message, "node"), ...(field.flag(message, "force") && { force: true }) };
    case "setreplica":
      return { op, rf: field.integer(message, "rf", 1, REPLICAS_MAX) };
    default:
      return field.malformed("op", "addnode, removenode or setreplica");
  }
}

function level(fields: Fields, name: string): Level {
  const value = fields[name];
  const found = LEVELS.find((candidate) => candidate === value);
  return found ?? field.malformed(name, `one of ${LEVELS.join(", ")}`);
}

function bounded(fields: Fields, name: string, min: number, max: number): number | undefined {
  return field.optional(fields, name, (from) => field.integer(from, name, min, max));
}

/** The field where it was given; nothing where not. */
function given<Name extends string, T>(name: Name, value: T | undefined): { [K in Name]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { [K in Name]?: T });
}
