// Access: what the holder of a token may ask for. Two roles: `admin` may everything, `read` may look and nothing else. Peers of a cluster
// and whoever operates it are admins. Which token has which role, and who is asked for one, is shared/io/door.ts. Pure.
//
// What `read` may is listed, so that a message added to the protocol is an admin's until somebody decides otherwise.
import { ROW_FIELDS } from "./protocol/compact.ts";

export const ROLES = ["read", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** Which of the two ports a message came in at. */
export type Port = "coordinator" | "node";

const VIEWS = ["ping", "stats", "read", "get", "scan", "where", "status", "nodes", "ring", "metrics", "ops", "plan"];
const READS: Readonly<Record<Port, ReadonlySet<unknown>>> = {
  coordinator: new Set(VIEWS),
  node: new Set(["ping", "stats", "read"]),
};

type Message = Readonly<Record<string, unknown>>;

/**
 * Whether the role `read` covers a message, as it came: nothing of it has been checked. A `hello` is covered unless it says who leads,
 * and a coordinator's `batch` if it only gets; a node's `batch` never, since its epoch raises the fence (N2).
 */
export function mayRead(port: Port, message: Message): boolean {
  const { op } = message;
  if (op === "hello") return message["leader"] === undefined && message["cluster"] === undefined;
  if (op === "batch" && port === "coordinator") return onlyGets(message);
  return READS[port].has(op);
}

/** In either form; a line of both is nobody's: the parser refuses it. */
function onlyGets({ ops, rows }: Message): boolean {
  if (rows === undefined) return Array.isArray(ops) && ops.every((item: Message | null) => item?.["op"] === "get");
  return (
    ops === undefined && Array.isArray(rows) && rows.every((field, at) => at % ROW_FIELDS !== 2 || field === false)
  );
}
