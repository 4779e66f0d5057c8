// Topology operations in words: progress while one runs, the line that closes it, the table of those that run. The rate is the
// average since the start and the time left follows from the slots, since slots are what the plan is made of.
import type { OperationStatus, TopologyChange } from "../../shared/protocol/client-messages.ts";
import type { Style } from "./style.ts";
import { tableLines } from "./table.ts";
import { countOf, durationText, safeText } from "./text.ts";

/** Progress is worth a guess of the time left after this long. */
const GUESS_AFTER_MS = 500;

/** `512/4096 slots, 12000 keys, 3400 keys/s, 8 s left`. */
export function progressText(status: OperationStatus): string {
  const keysPerSecond = status.elapsedMs > 0 ? Math.round((status.keysMoved * 1_000) / status.elapsedMs) : 0;
  const left = timeLeftMs(status);
  const parts = [
    `${status.slotsMoved}/${status.slotsTotal} slots`,
    status.keysTotal > 0 ? `${status.keysMoved}/${status.keysTotal} keys` : countOf(status.keysMoved, "key"),
    `${keysPerSecond} keys/s`,
    ...(left === undefined ? [] : [`${durationText(left)} left`]),
    ...(status.phase === "moving" ? [] : [status.phase]),
  ];
  return parts.join(", ");
}

/** Time until the last slot has moved at the pace so far; undefined while there is nothing to go by. */
export function timeLeftMs(status: OperationStatus): number | undefined {
  const { slotsMoved, slotsTotal, elapsedMs } = status;
  if (slotsMoved === 0 || elapsedMs < GUESS_AFTER_MS || slotsMoved >= slotsTotal) return undefined;
  const leftMs = (elapsedMs * (slotsTotal - slotsMoved)) / slotsMoved;
  return leftMs < 1_000 ? 1_000 : Math.round(leftMs / 1_000) * 1_000;
}

/** What moved, how long it took, how long a slot was held; nothing where no key moved. */
export function endLine(status: OperationStatus, style: Style): readonly string[] {
  if (status.keysMoved === 0) return [];
  const moved = `Moved ${countOf(status.slotsMoved, "slot")} and ${countOf(status.keysMoved, "key")}`;
  const freeze = status.freezeMs;
  const held =
    freeze === undefined ? "" : `; freeze per slot: p50 ${durationText(freeze.p50)}, p99 ${durationText(freeze.p99)}`;
  return [style.dim(`${moved} in ${durationText(status.elapsedMs)}${held}`)];
}

/** A table of operations, their notes below. */
export function operationLines(operations: readonly OperationStatus[], style: Style): readonly string[] {
  const columns = [
    { title: "op", align: "right" as const },
    { title: "command" },
    { title: "phase" },
    { title: "slots", align: "right" as const },
    { title: "keys", align: "right" as const },
    { title: "running", align: "right" as const },
    { title: "left", align: "right" as const },
  ];
  const rows = operations.map((operation) => {
    const left = timeLeftMs(operation);
    return [
      safeText(operation.operation),
      safeText(operation.command),
      operation.phase,
      `${operation.slotsMoved}/${operation.slotsTotal}`,
      `${operation.keysMoved}/${operation.keysTotal}`,
      durationText(operation.elapsedMs),
      left === undefined ? "-" : durationText(left),
    ];
  });
  const notes = operations.flatMap((operation) =>
    (operation.notes ?? []).map((note) => style.yellow(`operation ${operation.operation}: ${safeText(note)}`)),
  );
  return [...tableLines(columns, rows, style), ...notes];
}

/** What a watcher prints of the progress lines, beside the bar: the opening once the work begins, each note once. */
export class Narration {
  readonly #change: TopologyChange["op"];
  readonly #started: readonly string[];
  readonly #style: Style;
  readonly #told = new Set<string>();
  #begun = false;
  #queued = false;

  constructor(change: TopologyChange["op"], started: readonly string[], style: Style) {
    this.#change = change;
    this.#started = started;
    this.#style = style;
  }

  /** Whether the coordinator has begun. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Lines that this progress line gives occasion to. */
  hear(status: OperationStatus): readonly string[] {
    return [...this.#opening(status), ...this.#notes(status)];
  }

  #opening(status: OperationStatus): readonly string[] {
    if (this.#begun) return [];
    if (status.phase === "queued") {
      // The first word of an operation that nothing is ahead of is no news.
      if (this.#queued || status.ahead === undefined) return [];
      this.#queued = true;
      return [`Operation ${status.operation} (${this.#change}) waits behind others; \`ops\` shows them.`];
    }
    if (status.phase === "failed" || status.phase === "cancelled") return [];
    this.#begun = true;
    return this.#started;
  }

  #notes(status: OperationStatus): readonly string[] {
    const fresh = (status.notes ?? []).filter((note) => !this.#told.has(note));
    for (const note of fresh) this.#told.add(note);
    return fresh.map((note) => this.#style.yellow(`Note: ${safeText(note)}`));
  }
}
