// Quota of placement, step 1: how many slots each member should hold. Shares follow the weights; whole numbers come
// from the largest-remainder method; nobody is asked for more slots than there are, since a slot's replicas are distinct.
import { assert } from "../../shared/assert.ts";
import { SLOTS } from "../../shared/limits.ts";

export interface Claim {
  readonly weight: number;
  /** Slots held now: among equal remainders the one who holds more keeps its odd slot, so that nothing moves for it. */
  readonly held: number;
}

/**
 * Slots per member, in the order of `claims`; their sum is SLOTS × copies and each is within one of its weighted share.
 * @param copies At most the number of claims.
 */
export function slotTargets(claims: readonly Claim[], copies: number): number[] {
  assert(copies <= claims.length, "no more copies than members");
  const shares = cappedShares(claims, copies * SLOTS);
  const targets = shares.map(Math.floor);
  let left = copies * SLOTS - targets.reduce((sum, target) => sum + target, 0);
  for (const index of byRemainder(shares, claims)) {
    if (left === 0) break;
    if (targets[index]! >= SLOTS) continue;
    targets[index]!++;
    left--;
  }
  assert(left === 0, "targets add up to every placement");
  return targets;
}

/** Shares by weight; a member whose share passes SLOTS gets exactly SLOTS, and the others divide what that frees. */
function cappedShares(claims: readonly Claim[], total: number): number[] {
  const shares = claims.map(() => 0);
  let open = claims.map((_, index) => index);
  let left = total;
  while (open.length > 0) {
    const weight = open.reduce((sum, index) => sum + claims[index]!.weight, 0);
    const share = (index: number): number => (left * claims[index]!.weight) / weight;
    const full = open.filter((index) => share(index) >= SLOTS);
    for (const index of full.length > 0 ? full : open) shares[index] = full.length > 0 ? SLOTS : share(index);
    if (full.length === 0) break;
    left -= full.length * SLOTS;
    open = open.filter((index) => !full.includes(index));
  }
  return shares;
}

function byRemainder(shares: readonly number[], claims: readonly Claim[]): number[] {
  const remainder = (index: number): number => shares[index]! - Math.floor(shares[index]!);
  return shares
    .map((_, index) => index)
    .sort((a, b) => remainder(b) - remainder(a) || claims[b]!.held - claims[a]!.held || a - b);
}
