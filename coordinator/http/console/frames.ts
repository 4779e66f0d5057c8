// Frames: what a console page is told, one server-sent event each. This file is the reference of the stream: the page's stream.js and
// main.js take them in.
import type { OperationMetrics, RingAnswer, StatusAnswer } from "../../../shared/protocol/client-messages.ts";
import type { LoggedEvent } from "../events.ts";
import type { Load } from "./load.ts";

/** The cluster at one moment, as its leader sees it. Sent once a second. */
export interface Snapshot extends Omit<StatusAnswer, "id" | "status" | "nodes"> {
  /** Milliseconds since 1970, by the leader's clock. */
  readonly at: number;
  readonly nodes: readonly (StatusAnswer["nodes"][number] & {
    /** Data operations sent to it, over the last second. */
    readonly opsPerSecond: number;
  })[];
  readonly load: Load;
  readonly inFlight: number;
  readonly queued: number;
  readonly shed: number;
  readonly inDoubt: number;
  readonly fixes: number;
  /** Since the leader's process began. */
  readonly operationMetrics: readonly OperationMetrics[];
  /** Where coordinators serve HTTP: a page whose own coordinator is gone goes on at another one. */
  readonly coordinators: readonly string[];
}

/** One point of the charts. */
export interface Sample extends Load {
  readonly at: number;
}

export type Frame =
  /** No leader can be shown: which role this coordinator has, and why. */
  | { readonly event: "standing"; readonly data: { readonly role: string; readonly message: string } }
  /** The whole slot table: at the beginning, and when members changed. */
  | { readonly event: "ring"; readonly data: Pick<RingAnswer, "rf" | "members" | "slots"> }
  /** Slots that changed hands since. */
  | { readonly event: "moved"; readonly data: readonly (readonly [slot: number, members: readonly number[]])[] }
  | { readonly event: "state"; readonly data: Snapshot }
  /** Samples from before: at the beginning. */
  | { readonly event: "history"; readonly data: readonly Sample[] }
  /** Events from before: at the beginning; then each as it happens. */
  | { readonly event: "events"; readonly data: readonly LoggedEvent[] };

/** As it travels. */
export function frameText({ event, data }: Frame): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
