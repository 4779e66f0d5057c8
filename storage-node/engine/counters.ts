// Counters: what the engine has done to its disk since it was opened, for the node's metrics: batches of the log with the time until they
// were durable, and checkpoints. Counting is an addition; nobody waits for it.
import { LatencyHistogram } from "../../shared/latency-histogram.ts";

export class EngineCounters {
  /** Writes of the log, each until it was durable. */
  readonly syncs = new LatencyHistogram();
  /** Checkpoints, each from its beginning to its end. */
  readonly checkpoints = new LatencyHistogram();
  #records = 0;
  #bytes = 0;

  /** Records in all batches of the log. */
  get records(): number {
    return this.#records;
  }

  /** Bytes of all batches of the log. */
  get bytes(): number {
    return this.#bytes;
  }

  synced(batch: { readonly records: number; readonly bytes: number; readonly tookMs: number }): void {
    this.syncs.record(batch.tookMs);
    this.#records += batch.records;
    this.#bytes += batch.bytes;
  }
}
