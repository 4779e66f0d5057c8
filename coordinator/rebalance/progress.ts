// Progress of one topology operation: what moved, what is left, how long operations on a slot were held. Kept by the leader that runs
// the operation; a new leader starts counting again.
import type { TopologyOperation } from "../../shared/cluster-state.ts";
import type { OperationChange, OperationPhase, OperationStatus } from "../../shared/protocol/client-messages.ts";

export class Progress {
  phase: OperationPhase = "queued";
  slotsMoved = 0;
  slotsTotal = 0;
  keysMoved = 0;
  keysTotal = 0;
  bytesMoved = 0;
  /** What to know beside the numbers; the latest reason to wait is set apart. */
  notes: string[] = [];
  waitingBecause: string | undefined;
  cancelled = false;
  readonly #startedAt: number;
  #endedAt: number | undefined;
  /** [time held in ms, slots held that long]. */
  readonly #freezes: [number, number][] = [];

  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  froze(ms: number, slots: number): void {
    this.#freezes.push([ms, slots]);
  }

  ended(phase: OperationPhase, now: number): void {
    this.phase = phase;
    this.waitingBecause = undefined;
    this.#endedAt = now;
  }

  status({ id, change }: Pick<TopologyOperation, "id" | "change">, now: number): OperationStatus {
    const notes = [...this.notes, ...(this.waitingBecause === undefined ? [] : [this.waitingBecause])];
    const freezeMs = this.#freeze();
    return {
      operation: id,
      kind: change.op,
      command: commandOf(change),
      phase: this.phase,
      slotsMoved: this.slotsMoved,
      slotsTotal: this.slotsTotal,
      keysMoved: this.keysMoved,
      keysTotal: Math.max(this.keysTotal, this.keysMoved), // clients go on writing new ones
      bytesMoved: this.bytesMoved,
      elapsedMs: Math.round((this.#endedAt ?? now) - this.#startedAt),
      ...(freezeMs && { freezeMs }),
      ...(notes.length > 0 && { notes }),
    };
  }

  #freeze(): OperationStatus["freezeMs"] {
    if (this.#freezes.length === 0) return undefined;
    const sorted = [...this.#freezes].sort(([a], [b]) => a - b);
    const slots = sorted.reduce((sum, [, count]) => sum + count, 0);
    const at = (share: number): number => {
      let seen = 0;
      const found = sorted.find(([, count]) => (seen += count) >= share * slots);
      return round(found?.[0] ?? 0);
    };
    return { p50: at(0.5), p99: at(0.99), max: round(sorted.at(-1)?.[0] ?? 0) };
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** The change as it would be typed. */
export function commandOf(change: OperationChange): string {
  switch (change.op) {
    case "addnode":
      return `addnode ${change.node} ${change.address}${change.weight === undefined ? "" : ` --weight ${change.weight}`}`;
    case "removenode":
      return `removenode ${change.node}${change.force === true ? " --force" : ""}`;
    case "replace":
      return { away: "do without", replaced: "replace", up: "take back" }[change.as] + ` ${change.node}`;
    case "setreplica":
      return `setreplica ${change.rf}`;
  }
}
