// Texts of the lines to nodes. A write goes to every replica, a read to several: the operation is the same object in each of
// their batch lines, and becomes JSON once a turn. Pure.
import type { DataOp } from "../../shared/protocol/node-messages.ts";

export class LineTexts {
  readonly #texts = new Map<DataOp, string>();

  /** The JSON of a message, as `JSON.stringify` would have it. */
  of(message: object): string {
    if (!isBatch(message)) return JSON.stringify(message);
    const { ops, ...envelope } = message;
    const texts = ops.length === 0 ? "" : ops.map((op) => this.#textOf(op)).join(",");
    return `${JSON.stringify(envelope).slice(0, -1)},"ops":[${texts}]}`;
  }

  /** End of turn: the operations are on their way. */
  clear(): void {
    this.#texts.clear();
  }

  #textOf(op: DataOp): string {
    const known = this.#texts.get(op);
    if (known !== undefined) return known;
    const text = JSON.stringify(op);
    this.#texts.set(op, text);
    return text;
  }
}

function isBatch(message: object): message is { readonly op: "batch"; readonly ops: readonly DataOp[] } {
  const { op, ops } = message as { readonly op?: unknown; readonly ops?: unknown };
  return op === "batch" && Array.isArray(ops);
}
