// Branded ids: a node id never passes for a cluster id, whatever the strings look like.

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** UUID minted by the first `addnode`. */
export type ClusterId = Branded<"ClusterId">;
/** Name of a storage node, given by the operator: letters, digits, `.`, `_`, `-`; 1–64 characters. */
export type NodeId = Branded<"NodeId">;
/** UUID of a node's data directory: a wiped directory is a new incarnation. */
export type Incarnation = Branded<"Incarnation">;
/** UUID of one life of one coordinator process: a restart is a new owner (C1). */
export type OwnerId = Branded<"OwnerId">;

export const NODE_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export function isNodeId(text: unknown): text is NodeId {
  return typeof text === "string" && NODE_ID.test(text);
}
