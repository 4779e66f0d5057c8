// Metrics of rebalancing: what the operation under way has moved and what is left, and how long operations on a slot were held (M4).
// Zero while nothing moves, so that graphs have no holes.
import { gauge, type Family } from "../../shared/exposition.ts";
import type { OperationStatus } from "../../shared/protocol/client-messages.ts";

const ENDED: readonly string[] = ["done", "failed", "cancelled"];

/** @param operations Open ones first, then those that ended lately. */
export function rebalanceFamilies(operations: readonly OperationStatus[]): Family[] {
  const open = operations.filter(({ phase }) => !ENDED.includes(phase));
  const sum = (valueOf: (operation: OperationStatus) => number): number =>
    open.reduce((total, operation) => total + valueOf(operation), 0);
  const left = (total: number, moved: number): number => Math.max(0, total - moved);
  return [
    gauge("kv_rebalance_operations", "Topology operations running or waiting", { value: open.length }),
    gauge("kv_rebalance_slots_moved", "Slots that open operations have moved", { value: sum((one) => one.slotsMoved) }),
    gauge("kv_rebalance_slots_remaining", "Slots that open operations have still to move", {
      value: sum(({ slotsTotal, slotsMoved }) => left(slotsTotal, slotsMoved)),
    }),
    gauge("kv_rebalance_keys_moved", "Keys that open operations have moved", { value: sum((one) => one.keysMoved) }),
    gauge("kv_rebalance_keys_remaining", "Keys that open operations have still to move", {
      value: sum(({ keysTotal, keysMoved }) => left(keysTotal, keysMoved)),
    }),
    gauge("kv_rebalance_moved_bytes", "Bytes that open operations have moved", { value: sum((one) => one.bytesMoved) }),
    freezeFamily(operations),
    endedFamily(operations),
  ];
}

/** Of the latest operation that held any. */
function freezeFamily(operations: readonly OperationStatus[]): Family {
  const freezeMs = operations.find((operation) => operation.freezeMs !== undefined)?.freezeMs;
  const { p50, p99, max } = freezeMs ?? { p50: 0, p99: 0, max: 0 };
  // Not "quantile": that label is for summaries, and this one has no count and no sum.
  const sample = (percentile: string, ms: number): Family["samples"][number] => ({
    labels: { percentile },
    value: ms / 1_000,
  });
  return gauge(
    "kv_rebalance_freeze_seconds",
    "How long operations on a slot were held while it moved, in the latest operation",
    sample("50", p50),
    sample("99", p99),
    sample("100", max),
  );
}

/** A few are remembered: this only ever shows that something failed lately. */
function endedFamily(operations: readonly OperationStatus[]): Family {
  return gauge(
    "kv_rebalance_ended",
    "Topology operations that ended lately in this leadership, by how",
    ...ENDED.map((phase) => ({ labels: { phase }, value: operations.filter((one) => one.phase === phase).length })),
  );
}
