// Process metrics: what Prometheus expects of any Node process (CPU, memory, garbage collection, event loop), by prom-client, which is
// loaded when the metrics of this process are first asked for. Quantiles of the event loop's delay are over the time since then.
import type { Registry } from "prom-client";

/** Gauges that are named like counters: whoever checks names would complain. The same is there by type, without a sum. */
const MISNAMED = ["nodejs_active_resources_total", "nodejs_active_handles_total", "nodejs_active_requests_total"];

let registry: Promise<Registry> | undefined;

/** Exposition text, to be put after one's own. */
export async function processMetricsText(): Promise<string> {
  registry ??= load();
  return await (await registry).metrics();
}

async function load(): Promise<Registry> {
  const client = await import("prom-client");
  const made = new client.Registry();
  client.collectDefaultMetrics({ register: made });
  for (const name of MISNAMED) made.removeSingleMetric(name);
  return made;
}
