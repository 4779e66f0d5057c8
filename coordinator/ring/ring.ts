// The consistent-hash ring: every node puts tokens (virtual nodes) on a circle of 2³² points, and whoever walks
// clockwise from a point meets nodes in an order that changes little when a node comes or goes.
// The ring decides *which* nodes a slot prefers. *How many* slots a node gets is the quota's decision: see placement.ts.
import { assert } from "../../shared/assert.ts";
import { hash32 } from "../../shared/hash.ts";
import { WEIGHT_MAX } from "../../shared/limits.ts";

/** Tokens of a node of weight 1. */
export const TOKENS_PER_WEIGHT = 64;
/** Tokens of a whole ring: beyond this all nodes get proportionally fewer (600 nodes of weight 1 use 38 400). */
export const RING_TOKENS_MAX = 2 ** 17;

/** Room for a node's index below its token in one exact double: 32 + 20 bits. */
const OWNER_RANGE = 2 ** 20;

export interface RingNode<Id extends string = string> {
  readonly id: Id;
  /** Share relative to the other nodes: above 0, at most WEIGHT_MAX; fractions are allowed. */
  readonly weight: number;
}

export interface Ring<Id extends string = string> {
  /** The nodes, sorted by id; `owners` holds indices into this list. */
  readonly nodes: readonly Id[];
  /** Positions on the circle, ascending. */
  readonly tokens: Uint32Array;
  /** Owner of the token at the same index. */
  readonly owners: Uint32Array;
}

/** Orders by UTF-16 code units: the same on every machine, unlike a locale's order. */
export function byId(left: { readonly id: string }, right: { readonly id: string }): number {
  return left.id < right.id ? -1 : left.id > right.id ? 1 : 0;
}

/**
 * Builds the ring. The result depends on the set of nodes and the seed, not on the order of `nodes`.
 * @param seed The cluster's hash seed.
 */
export function buildRing<Id extends string>(nodes: readonly RingNode<Id>[], seed: number): Ring<Id> {
  const sorted = nodes.toSorted(byId);
  const points = Float64Array.from(drawPoints(sorted, seed)).sort();
  return {
    nodes: sorted.map((node) => node.id),
    tokens: Uint32Array.from(points, (point) => Math.floor(point / OWNER_RANGE)),
    owners: Uint32Array.from(points, (point) => point % OWNER_RANGE),
  };
}

/** Index of the first token at or after a point of the circle; wraps to 0. Only for a ring that is not empty. */
export function firstTokenAt(ring: Ring, token: number): number {
  let low = 0;
  let high = ring.tokens.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ring.tokens[middle]! < token) low = middle + 1;
    else high = middle;
  }
  return low === ring.tokens.length ? 0 : low;
}

/**
 * Every node once, in the order in which its first token is met clockwise from `token`: a preference list.
 * @param token Unsigned 32-bit point of the circle; a node's token exactly there comes first.
 */
export function* walk<Id extends string>(ring: Ring<Id>, token: number): Generator<Id, void, undefined> {
  const met = new Set<number>();
  const start = firstTokenAt(ring, token);
  for (let step = 0; step < ring.owners.length && met.size < ring.nodes.length; step++) {
    const owner = ring.owners[(start + step) % ring.owners.length]!;
    if (met.has(owner)) continue;
    met.add(owner);
    yield ring.nodes[owner]!;
  }
}

/** Token and owner packed into one number, so that one numeric sort orders both and equal tokens have one order. */
function drawPoints(nodes: readonly RingNode[], seed: number): number[] {
  const wanted = nodes.reduce((sum, node) => sum + node.weight * TOKENS_PER_WEIGHT, 0);
  const scale = Math.min(1, RING_TOKENS_MAX / wanted);
  const points: number[] = [];
  for (const [owner, node] of nodes.entries()) {
    assert(node.weight > 0 && node.weight <= WEIGHT_MAX, "a weight is above 0 and within WEIGHT_MAX");
    const tokens = Math.max(1, Math.round(node.weight * TOKENS_PER_WEIGHT * scale));
    for (let number = 0; number < tokens; number++) {
      points.push(hash32(`${node.id}#${number}`, seed) * OWNER_RANGE + owner);
    }
  }
  return points;
}
