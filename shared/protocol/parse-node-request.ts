// Border of the storage node: an untrusted line becomes a NodeRequest, or a KvError that says what was wrong with it.
import { KvError } from "../errors.ts";
import type { ClusterId, Incarnation, OwnerId } from "../ids.ts";
import { BATCH_OPS_MAX, EPOCH_MAX, NODES_MAX, OPERATION_ID_CHARS_MAX, PAGE_KEYS_MAX, SLOTS } from "../limits.ts";
import { isWireValue } from "../record.ts";
import * as field from "./fields.ts";
import type { Fields } from "./fields.ts";
import { parseReads, parseWrites } from "./parse-compact.ts";
import type {
  Cursor,
  DataOp,
  BatchRequest,
  ListOp,
  NodeRequest,
  PullOp,
  ReadOp,
  SlotsOp,
  VoterRequest,
  WriteOp,
} from "./node-messages.ts";

/** Longest accepted state, as JSON text: 600 nodes and sixteen copies of 4096 slots. */
const STATE_CHARS_MAX = 400 * 1024 + NODES_MAX * 400;

/** @throws KvError BAD_REQUEST, TOO_LARGE */
export function parseNodeRequest(message: Fields): NodeRequest {
  const id = field.integer(message, "id", 0, Number.MAX_SAFE_INTEGER);
  const op = field.text(message, "op", 64);
  switch (op) {
    case "batch":
      return {
        id,
        op,
        cluster: uuid(message, "cluster") as ClusterId,
        node: field.nodeId(message, "node"),
        incarnation: uuid(message, "incarnation") as Incarnation,
        group: field.integer(message, "group", 0, 0) as 0,
        epoch: field.integer(message, "epoch", 1, EPOCH_MAX),
        ...batchOps(message),
      };
    case "hello": {
      const cluster = field.optional(message, "cluster", uuid);
      const leader = field.optional(message, "leader", field.address);
      return {
        id,
        op,
        versions: versions(message),
        ...(cluster !== undefined && { cluster: cluster as ClusterId }),
        ...(leader !== undefined && { leader }),
      };
    }
    case "init":
      return {
        id,
        op,
        cluster: uuid(message, "cluster") as ClusterId,
        node: field.nodeId(message, "node"),
        seed: field.integer(message, "seed", 0, 2 ** 32 - 1),
        owner: uuid(message, "owner") as OwnerId,
        ballot: field.pair(message["ballot"], "ballot"),
        state: field.text(message, "state", STATE_CHARS_MAX),
      };
    case "adopt":
      return {
        id,
        op,
        cluster: uuid(message, "cluster") as ClusterId,
        node: field.nodeId(message, "node"),
        incarnation: uuid(message, "incarnation") as Incarnation,
        seed: field.integer(message, "seed", 0, 2 ** 32 - 1),
        epoch: field.integer(message, "epoch", 1, EPOCH_MAX),
      };
    case "prepare":
    case "accept":
    case "inspect":
    case "prevote":
    case "heartbeat":
      return parseVoterRequest(op, message);
    case "learn":
      return {
        id,
        op,
        cluster: uuid(message, "cluster") as ClusterId,
        ballot: field.pair(message["ballot"], "ballot"),
        state: field.text(message, "state", STATE_CHARS_MAX),
      };
    case "probe":
      return { id, op, address: field.address(message, "address") };
    case "ping":
    case "stats":
      return { id, op };
    case "read":
      return { id, op, key: field.key(message) };
    case "put":
    case "get":
    case "delete":
    case "scan":
    case "where":
    case "status":
    case "nodes":
    case "ring":
    case "metrics":
    case "ops":
    case "addnode":
    case "removenode":
    case "setreplica":
    case "plan":
    case "cancel":
    case "join":
    case "stepdown":
      return { id, op: "misdirected", wanted: op };
    default:
      throw new KvError(
        "BAD_REQUEST",
        `op: unknown operation "${op.slice(0, 32)}"; a node knows ping, stats, read, hello, batch`,
      );
  }
}

/**
 * A vote, asked of a node or of a coordinator.
 * @throws KvError BAD_REQUEST
 */
export function parseVoterRequest(op: VoterRequest["op"], message: Fields): VoterRequest {
  const id = field.integer(message, "id", 0, Number.MAX_SAFE_INTEGER);
  if (op === "inspect") return { id, op };
  const cluster = uuid(message, "cluster") as ClusterId;
  const epoch = (): number => field.integer(message, "epoch", 1, EPOCH_MAX);
  const owner = (): OwnerId => uuid(message, "owner") as OwnerId;
  if (op === "heartbeat")
    return { id, op, cluster, epoch: epoch(), owner: owner(), leader: field.address(message, "leader") };
  const voter = field.text(message, "voter", 64);
  if (op === "prevote") return { id, op, cluster, voter, epoch: epoch() };
  const addressed = { id, cluster, voter, owner: owner() };
  if (op === "prepare") return { ...addressed, op, epoch: epoch() };
  return {
    ...addressed,
    op,
    ballot: field.pair(message["ballot"], "ballot"),
    state: field.text(message, "state", STATE_CHARS_MAX),
    seat: field.flag(message, "seat"),
  };
}

/** The operations of a batch line, in whichever form they came. @throws KvError BAD_REQUEST, TOO_LARGE */
function batchOps(message: Fields): Pick<BatchRequest, "ops" | "form"> {
  const { writes, reads } = message;
  if (writes !== undefined) return { form: "writes", ops: parseWrites(writes, message["epoch"] as number) };
  if (reads !== undefined) return { form: "reads", ops: parseReads(reads) };
  return { form: "ops", ops: field.list(message, "ops", BATCH_OPS_MAX, parseDataOp) };
}

/** @throws KvError BAD_REQUEST, TOO_LARGE */
function parseDataOp(item: unknown): DataOp {
  const fields = field.object(item, "");
  const op = fields["op"];
  switch (op) {
    case "read":
      return checkRead(fields);
    case "write":
    case "copy":
      return checkWrite(fields);
    case "seal":
    case "incoming":
    case "copied":
    case "drop":
      return {
        op: op satisfies SlotsOp["op"],
        slots: field.slots(fields),
        stamp: field.pair(fields["stamp"], "stamp"),
      };
    case "install":
      return {
        op,
        slots: field.slots(fields),
        stamp: field.pair(fields["stamp"], "stamp"),
        committed: field.pair(fields["committed"], "committed"),
        first: field.flag(fields, "first"),
      };
    case "remove":
      return {
        op,
        slot: field.slot(fields["slot"], "slot"),
        stamp: field.pair(fields["stamp"], "stamp"),
        keys: field.list(fields, "keys", PAGE_KEYS_MAX, (key) => field.key({ key })),
      };
    case "purge":
      return {
        op,
        slots: field.slots(fields),
        stamp: field.pair(fields["stamp"], "stamp"),
        upTo: field.pair(fields["upTo"], "upTo"),
      };
    case "digest":
      return { op, ...stampedSlots(fields, "stamps") };
    case "list":
      return {
        op,
        ...stampedSlots(fields, "stamps"),
        ...page(fields),
        ...(fields["since"] !== undefined && { since: field.pair(fields["since"], "since") }),
      } satisfies ListOp;
    case "pull":
      return parsePull(fields);
    case "roles":
      return { op };
    default:
      return field.malformed("op", "read, write, copy or a step of a re-seating");
  }
}

// Reads and writes are what a node does all day: their fields are checked in place, and the object that came from JSON is the
// operation. It may hold fields that nobody knows; nobody looks at them.

function checkRead(fields: Fields): ReadOp {
  field.slot(fields["slot"], "slot");
  field.pair(fields["stamp"], "stamp");
  field.keyIn(fields["key"], "key");
  if (fields["brief"] !== undefined) field.flag(fields, "brief");
  return fields as unknown as ReadOp;
}

function checkWrite(fields: Fields): WriteOp {
  const value = fields["value"];
  if (value !== null && !isWireValue(value)) field.malformed("value", "a string, {base64} or null");
  field.slot(fields["slot"], "slot");
  field.pair(fields["stamp"], "stamp");
  field.keyIn(fields["key"], "key");
  field.pair(fields["version"], "version");
  if (fields["origin"] !== undefined) field.pair(fields["origin"], "origin");
  if (fields["operation"] !== undefined) operationId(fields, "operation");
  return fields as unknown as WriteOp;
}

function parsePull(fields: Fields): PullOp {
  const source = field.object(fields["source"], "source");
  const { slots, stamps } = stampedSlots(fields, "sourceStamps");
  const { after, limit } = page(fields);
  return {
    op: "pull",
    slots,
    stamp: field.pair(fields["stamp"], "stamp"),
    source: {
      id: field.nodeId(source, "id"),
      incarnation: uuid(source, "incarnation") as Incarnation,
      address: field.address(source, "address"),
    },
    sourceStamps: stamps,
    limit,
    ...(after && { after }),
  };
}

function stampedSlots(fields: Fields, name: string): Pick<ListOp, "slots" | "stamps"> {
  const slots = field.slots(fields);
  const stamps = field.list(fields, name, SLOTS, (item) => field.pair(item));
  if (stamps.length !== slots.length) field.malformed(name, `one stamp a slot (${slots.length})`);
  return { slots, stamps };
}

function page(fields: Fields): Pick<ListOp, "after" | "limit" | "prefix" | "values"> {
  const after = field.optional(fields, "after", cursor);
  const prefix = field.optional(fields, "prefix", (from, name) => field.text(from, name));
  return {
    limit: field.integer(fields, "limit", 1, PAGE_KEYS_MAX),
    values: field.flag(fields, "values"),
    ...(after && { after }),
    ...(prefix !== undefined && { prefix }),
  };
}

function cursor(fields: Fields, name: string): Cursor {
  const found = field.object(fields[name], name);
  const key = field.optional(found, "key", field.key);
  return { slot: field.slot(found["slot"], "slot"), ...(key !== undefined && { key }) };
}

export function operationId(fields: Fields, name: string): string {
  return field.text(fields, name, OPERATION_ID_CHARS_MAX);
}

export function versions(fields: Fields): readonly [number, number] {
  const found = field.list(fields, "versions", 2, (item) => {
    if (!field.isInteger(item, 1, 1_000_000)) field.malformed("", "an integer 1–1000000");
    return item;
  });
  const [from, to] = found;
  if (from === undefined || to === undefined || from > to) field.malformed("versions", "[from, to]");
  return [from, to];
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function uuid(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== "string" || !UUID.test(value)) field.malformed(name, "a lower-case UUID");
  return value;
}
