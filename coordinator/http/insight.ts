// Insight: what the HTTP server sees of its own process beside the coordinator protocol: counts, and what happened.
import type { Credentials } from "../../shared/io/credentials.ts";
import type { LatencySeries } from "../metrics.ts";
import type { Gauges } from "../views/gauges.ts";
import { EventLog } from "./events.ts";

export interface Insight {
  /** Everything that this process has answered, as cumulative histograms. */
  readonly series: () => readonly LatencySeries[];
  /** Undefined while this coordinator does not lead. */
  readonly gauges: () => Gauges | undefined;
  readonly events: EventLog;
  /** Shown to other coordinators. */
  readonly credentials: Credentials;
}

/** Of a process that shows nothing of itself. */
export function noInsight(): Insight {
  return { series: () => [], gauges: () => undefined, events: new EventLog(), credentials: {} };
}
