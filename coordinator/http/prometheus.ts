// Prometheus: `GET /metrics` of a coordinator. What this process has answered and won, always; the cluster as the leader sees it, while it
// leads: collected from the same views that the shell and the console show, at the moment of the scrape. A coordinator that does not lead
// answers for itself and sends nobody on: every process is scraped by its own address.
import {
  counter,
  EXPOSITION_TYPE,
  expositionText,
  gauge,
  histogram,
  histogramSamples,
  type Family,
} from "../../shared/exposition.ts";
import { processMetricsText } from "../../shared/io/process-metrics.ts";
import type { MetricsAnswer, NodeStatus, StatusAnswer } from "../../shared/protocol/client-messages.ts";
import type { LatencySeries } from "../metrics.ts";
import type { Gauges } from "../views/gauges.ts";
import type { Backend } from "./backend.ts";
import type { Insight } from "./insight.ts";
import { rebalanceFamilies } from "./prometheus-rebalance.ts";
import type { Route } from "./routes.ts";

/** @param version Of this software. */
export function metricsRoute(backend: Backend, insight: Insight, version: string): Route {
  return {
    method: "GET",
    path: "/metrics",
    name: "metrics",
    summary: "Metrics of this coordinator, and of the cluster while it leads, as Prometheus text",
    answers: { 200: { description: "exposition format 0.0.4", types: ["text/plain"] } },
    handle: async (_request, reply) => {
      const [families, process] = await Promise.all([familiesOf(backend, insight, version), processMetricsText()]);
      return reply.type(EXPOSITION_TYPE).send(`${expositionText(families)}${process}`);
    },
  };
}

async function familiesOf(backend: Backend, insight: Insight, version: string): Promise<Family[]> {
  const gauges = insight.gauges();
  const own = [...processFamilies(insight, version), ...operationFamilies(insight.series())];
  if (!gauges) return own;
  try {
    const [status, metrics] = await Promise.all([
      backend.call<"status">({ op: "status" }),
      backend.call<"metrics">({ op: "metrics" }),
    ]);
    return [
      ...own,
      ...sequencerFamilies(metrics),
      ...clusterFamilies(status),
      ...nodeFamilies(status.nodes, gauges),
      ...rebalanceFamilies(status.operations),
      ...repairFamilies(gauges),
      ...readCacheFamilies(gauges),
    ];
  } catch {
    return own; // the leadership ended meanwhile
  }
}

function processFamilies({ gauges, events }: Insight, version: string): Family[] {
  return [
    gauge("kv_build_info", "1; the label tells the version of the software", { labels: { version }, value: 1 }),
    gauge("kv_leader", "1 while this coordinator leads, else 0", { value: gauges() ? 1 : 0 }),
    counter("kv_elections_total", "Elections that this process has won", { value: events.elections }),
  ];
}

function operationFamilies(series: readonly LatencySeries[]): Family[] {
  const labelled = series.map((one) => {
    const { operation, level, outcome } = one;
    return { labels: { operation, level, outcome }, one };
  });
  return [
    counter(
      "kv_operations_total",
      "Operations answered by this process, by operation, level and outcome",
      ...labelled.map(({ labels, one }) => ({ labels, value: one.count })),
    ),
    histogram(
      "kv_operation_duration_seconds",
      "From the arrival of an operation to its answer",
      ...labelled.flatMap(({ labels, one }) => histogramSamples(one, labels)),
    ),
  ];
}

function sequencerFamilies({ inFlight, queued, shed, inDoubt, fixes }: MetricsAnswer): Family[] {
  return [
    gauge("kv_operations_in_flight", "Operations under way", { value: inFlight }),
    gauge("kv_operations_queued", "Operations waiting for an earlier one on their key, or for a slot", {
      value: queued,
    }),
    counter("kv_operations_shed_total", "Operations refused as OVERLOADED", { value: shed }),
    gauge("kv_keys_in_doubt", "Keys whose last write is not known to have happened or not", { value: inDoubt }),
    counter("kv_fixes_total", "Replicas brought up to date by reads", { value: fixes }),
  ];
}

function clusterFamilies(status: StatusAnswer): Family[] {
  const { epoch, standbys, voters, rf, copies, underReplicatedSlots, nodes } = status;
  const answering = voters.filter(({ answers }) => answers).length;
  return [
    gauge("kv_epoch", "Epoch of this leadership", { value: epoch }),
    gauge("kv_standbys", "Coordinators that follow and would take over", { value: standbys.length }),
    gauge("kv_voters", "Voters of the cluster", { value: voters.length }),
    gauge("kv_voters_answering", "Voters that answer", { value: answering }),
    gauge("kv_nodes", "Members of the cluster", { value: nodes.length }),
    gauge("kv_copies_wanted", "Copies of each key that are wanted", { value: rf }),
    gauge("kv_copies", "Copies that there can be with the members there are", { value: copies }),
    gauge("kv_slots_under_replicated", "Slots with fewer copies than wanted", { value: underReplicatedSlots }),
  ];
}

function nodeFamilies(nodes: readonly NodeStatus[], gauges: Gauges): Family[] {
  /** One line a node, where the value is known. */
  const each = (name: string, help: string, valueOf: (node: NodeStatus) => number | null): Family =>
    gauge(
      name,
      help,
      ...nodes.flatMap((node) => {
        const value = valueOf(node);
        return value === null ? [] : [{ labels: { node: node.id }, value }];
      }),
    );
  const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1_000);
  const sent = gauges.nodes.flatMap(({ id, reads, writes }) => [
    { labels: { node: id, kind: "read" }, value: reads },
    { labels: { node: id, kind: "write" }, value: writes },
  ]);
  return [
    each("kv_node_up", "1 while the node answers, else 0", ({ state }) => (state === "down" ? 0 : 1)),
    gauge(
      "kv_node_state",
      "1 for the state that the node is in",
      ...nodes.map(({ id, state }) => ({ labels: { node: id, state }, value: 1 })),
    ),
    each("kv_node_heartbeat_age_seconds", "Since anything was heard of the node", (node) => seconds(node.lastHeardMs)),
    each("kv_node_slots", "Slots of which the node has a copy", ({ slots }) => slots),
    each("kv_node_keys", "Live keys on the node", ({ keys }) => keys),
    each("kv_node_bytes", "Bytes of live keys and values on the node", ({ bytes }) => bytes),
    each("kv_node_slots_missed", "Slots in which the node missed a write", ({ missed }) => missed),
    each("kv_node_slots_unchecked", "Slots that this leader has not compared yet", ({ unchecked }) => unchecked),
    each("kv_node_lag_seconds", "How long the node may have lacked something", (node) => seconds(node.behindMs ?? 0)),
    each("kv_node_event_loop_delay_seconds", "Longest stall of the node's event loop lately", (node) =>
      seconds(node.eventLoopDelayMs),
    ),
    counter("kv_node_requests_total", "Data operations sent to the node, by kind", ...sent),
  ];
}

function repairFamilies({ repaired, slotsInStep }: Gauges): Family[] {
  const { slotsCompared, slotsDifferent, keysMended } = repaired;
  return [
    counter("kv_repair_slots_compared_total", "Slots compared by anti-entropy in this leadership", {
      value: slotsCompared,
    }),
    counter("kv_repair_slots_different_total", "Compared slots whose replicas differed", { value: slotsDifferent }),
    counter("kv_repair_keys_mended_total", "Keys mended by anti-entropy in this leadership", { value: keysMended }),
    gauge("kv_slots_in_step", "Slots whose replicas are known to hold the same, so that one of them answers a read", {
      value: slotsInStep,
    }),
  ];
}

function readCacheFamilies({ readCache }: Gauges): Family[] {
  const { hits, bytes } = readCache;
  return [
    counter("kv_read_cache_hits_total", "Reads whose value the leader knew, in this leadership", { value: hits }),
    gauge("kv_read_cache_bytes", "Estimate of what the leader keeps of values read lately", { value: bytes }),
  ];
}
