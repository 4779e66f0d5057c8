// Texts of the lines to nodes. A write goes to every replica: the operation is the same object in each of their batch lines, and becomes
// text once a turn. Where whole lists are the same (three copies on three nodes), the list becomes bytes once, too: each of its lines is
// a head of its own and the shared rest. Pure.
import { type CompactForm, compactForm } from "../../shared/protocol/compact.ts";
import type { DataOp, ReadOp, WriteOp } from "../../shared/protocol/node-messages.ts";
import { readText, writeText } from "./op-text.ts";

/** A line: text, without its newline, or a head and the bytes that follow it, newline included. */
export type LineText = string | { readonly head: string; readonly rest: Uint8Array };

/** Shorter lists of writes stay text: two chunks cost a connection more than copying a few operations. */
const SHARED_OPS_MIN = 4;

export class LineTexts {
  readonly #encode: (text: string) => Uint8Array;
  #writes = new Map<DataOp, string>();
  /** The lists of writes of this turn, each for the nodes that it is for. */
  #lists: { readonly ops: readonly DataOp[]; readonly rest: Uint8Array }[] = [];

  /** @param encode UTF-8 of a text. */
  constructor(encode: (text: string) => Uint8Array) {
    this.#encode = encode;
  }

  /** The JSON of a message; that of a batch line in its compact form, where it has one. */
  of(message: object): LineText {
    if (!isBatch(message)) return JSON.stringify(message);
    const { ops, ...envelope } = message;
    const form = compactForm(ops, envelope.epoch);
    if (form === undefined) return JSON.stringify(message);
    const head = `${JSON.stringify(envelope).slice(0, -1)},"${form}":[`;
    if (form === "reads" || ops.length < SHARED_OPS_MIN) return `${head}${this.#joined(form, ops)}]}`;
    return { head, rest: this.#restOf(ops) };
  }

  /** End of turn: the operations are on their way. */
  clear(): void {
    if (this.#writes.size > 0) this.#writes = new Map(); // a table that is cleared keeps the next one alive
    if (this.#lists.length > 0) this.#lists = [];
  }

  #restOf(ops: readonly DataOp[]): Uint8Array {
    for (const list of this.#lists) if (sameItems(list.ops, ops)) return list.rest;
    const rest = this.#encode(`${this.#joined("writes", ops)}]}\n`);
    this.#lists.push({ ops, rest });
    return rest;
  }

  #joined(form: CompactForm, ops: readonly DataOp[]): string {
    let joined = "";
    for (const op of ops) {
      const text = form === "reads" ? readText(op as ReadOp) : this.#writeText(op as WriteOp);
      joined = joined === "" ? text : `${joined},${text}`;
    }
    return joined;
  }

  #writeText(op: WriteOp): string {
    const known = this.#writes.get(op);
    if (known !== undefined) return known;
    const text = writeText(op);
    this.#writes.set(op, text);
    return text;
  }
}

function sameItems(some: readonly object[], others: readonly object[]): boolean {
  if (some.length !== others.length) return false;
  for (let index = 0; index < some.length; index++) if (some[index] !== others[index]) return false;
  return true;
}

function isBatch(
  message: object,
): message is { readonly op: "batch"; readonly epoch: number; readonly ops: readonly DataOp[] } {
  const { op, ops } = message as { readonly op?: unknown; readonly ops?: unknown };
  return op === "batch" && Array.isArray(ops);
}
