// Sizes of quorums. Reads and writes use the same majority, so any two of them share a replica.

/**
 * Replicas that make a write durable, or a read linearizable: a strict majority.
 * @param replicas Size of the replica set. At least 1.
 * @see Gifford 1979, "Weighted Voting for Replicated Data"
 */
export function majority(replicas: number): number {
  return Math.floor(replicas / 2) + 1;
}

/** M2: members to seal so that the old set can complete no quorum any more: every quorum then meets a sealed member. */
export function sealQuorum(replicas: number): number {
  return replicas - majority(replicas) + 1;
}
