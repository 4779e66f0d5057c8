// Gauges: what a leader counts that no command shows: operations sent to each node, and what anti-entropy has done. For the console and
// the metrics of this process; read at the moment of asking, nobody else is asked.
import type { NodeId } from "../../shared/ids.ts";
import type { Leader } from "../leader.ts";
import type { Repaired } from "../repair/anti-entropy.ts";

export interface NodeGauges {
  readonly id: NodeId;
  /** Data operations sent to it since it was first known. */
  readonly reads: number;
  readonly writes: number;
}

export interface Gauges {
  readonly epoch: number;
  readonly nodes: readonly NodeGauges[];
  /** In this leadership. */
  readonly repaired: Repaired;
  /** Slots whose members are known to hold the same: one of them answers a read (C6). */
  readonly slotsInStep: number;
  /** Reads whose value the leader knew, in this leadership, and what it keeps for them. */
  readonly readCache: { readonly hits: number; readonly bytes: number };
}

export function gauges({ epoch, peers, antiEntropy, slots, sequencer }: Leader): Gauges {
  const nodes = peers.all().map(({ id, link }) => ({ id, ...link.sent }));
  const slotsInStep = slots.filter(({ inStep }) => inStep.known).length;
  const { hits, bytes } = sequencer.readCache;
  return { epoch, nodes, repaired: antiEntropy.totals, slotsInStep, readCache: { hits, bytes } };
}
