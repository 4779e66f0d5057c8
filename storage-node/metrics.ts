// Metrics of one storage node, as Prometheus text: what it holds, what its log and its table have done, and how the process does. Put
// together at the moment of the scrape.
import { stat, statfs } from "node:fs/promises";
import path from "node:path";
import {
  counter,
  countedBy,
  expositionText,
  gauge,
  histogram,
  histogramSamples,
  type Family,
} from "../shared/exposition.ts";
import { processMetricsText } from "../shared/io/process-metrics.ts";
import type { EngineCounters } from "./engine/counters.ts";

export interface NodeMetricsSource {
  readonly dataDirectory: string;
  readonly report: () => Promise<Readonly<Record<string, unknown>>>;
  readonly counters: EngineCounters;
}

export async function nodeMetricsText(source: NodeMetricsSource): Promise<string> {
  const disk = await diskFamilies(source.dataDirectory);
  const families = [...statusFamilies(await source.report()), ...engineFamilies(source.counters), ...disk];
  return `${expositionText(families)}${await processMetricsText()}`;
}

function statusFamilies(status: Readonly<Record<string, unknown>>): Family[] {
  const number = (name: string): { readonly value: number } => ({ value: Number(status[name] ?? 0) });
  return [
    gauge("kv_storage_member", "1 once the node was added to a cluster, else 0", {
      value: status["node"] === null ? 0 : 1,
    }),
    gauge("kv_storage_fence", "Lowest epoch whose requests the node takes", number("fence")),
    gauge("kv_storage_slots", "Slots of which the node has a copy", number("slots")),
    gauge("kv_storage_keys", "Live keys", number("keys")),
    gauge("kv_storage_tombstones", "Deleted keys that are still remembered", number("tombstones")),
    gauge("kv_storage_bytes", "Bytes of live keys and values", number("bytes")),
    gauge("kv_storage_writes_pending", "Writes taken that are not durable yet", number("pendingWrites")),
    gauge("kv_storage_disk_full", "1 while writes are refused for lack of disk space", number("diskFull")),
    gauge("kv_storage_event_loop_delay_seconds", "Longest stall of the event loop of the last seconds", {
      value: Number(status["eventLoopDelayMs"] ?? 0) / 1_000,
    }),
  ];
}

function engineFamilies({ syncs, checkpoints, records, bytes }: EngineCounters): Family[] {
  return [
    histogram(
      "kv_log_sync_duration_seconds",
      "From the beginning of a write of the log until it was durable",
      ...histogramSamples(countedBy(syncs)),
    ),
    counter("kv_log_batches_total", "Batches written to the log", { value: syncs.count }),
    counter("kv_log_records_total", "Records in these batches", { value: records }),
    counter("kv_log_written_bytes_total", "Bytes of these batches", { value: bytes }),
    histogram(
      "kv_checkpoint_duration_seconds",
      "Time that checkpoints of the table took",
      ...histogramSamples(countedBy(checkpoints)),
    ),
  ];
}

/** What cannot be measured is left out. */
async function diskFamilies(directory: string): Promise<Family[]> {
  const [table, space] = await Promise.all([
    stat(path.join(directory, "table", "data.mdb")).catch(() => undefined),
    statfs(directory).catch(() => undefined),
  ]);
  return [
    ...(table ? [gauge("kv_table_bytes", "Size of the LMDB table on disk", { value: table.size })] : []),
    ...(space
      ? [
          gauge("kv_disk_free_bytes", "Free space where the data lies", { value: space.bavail * space.bsize }),
          gauge("kv_disk_size_bytes", "Size of the disk where the data lies", { value: space.blocks * space.bsize }),
        ]
      : []),
  ];
}
