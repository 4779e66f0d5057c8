// Texts of the lines to nodes. A write goes to every replica, a read to several: the operation is the same object in each of
// their batch lines, and becomes JSON once a turn. Where whole lists are the same (three copies on three nodes), the list becomes
// bytes once, too: each of its lines is a head of its own and the shared rest. Pure.
import type { DataOp } from "../../shared/protocol/node-messages.ts";
import { opText } from "./op-text.ts";

/** A line: text, without its newline, or a head and the bytes that follow it, newline included. */
export type LineText = string | { readonly head: string; readonly rest: Uint8Array };

/** Shorter lists of writes stay text: two chunks cost a connection more than copying a few operations. */
const SHARED_OPS_MIN = 4;

export class LineTexts {
  readonly #encode: (text: string) => Uint8Array;
  #texts = new Map<DataOp, string>();
  /** The lists of writes of this turn, each for the nodes that it is for. */
  #lists: { readonly ops: readonly DataOp[]; readonly rest: Uint8Array }[] = [];

  /** @param encode UTF-8 of a text. */
  constructor(encode: (text: string) => Uint8Array) {
    this.#encode = encode;
  }

  /** The JSON of a message. */
  of(message: object): LineText {
    if (!isBatch(message)) return JSON.stringify(message);
    const { ops, ...envelope } = message;
    const head = `${JSON.stringify(envelope).slice(0, -1)},"ops":[`;
    // Of a read each replica is asked something else, so its lists are not shared.
    if (ops.length < SHARED_OPS_MIN || ops[0]?.op === "read") return `${head}${this.#joined(ops)}]}`;
    return { head, rest: this.#restOf(ops) };
  }

  /** End of turn: the operations are on their way. */
  clear(): void {
    if (this.#texts.size > 0) this.#texts = new Map(); // a table that is cleared keeps the next one alive
    if (this.#lists.length > 0) this.#lists = [];
  }

  #restOf(ops: readonly DataOp[]): Uint8Array {
    for (const list of this.#lists) if (sameItems(list.ops, ops)) return list.rest;
    const rest = this.#encode(`${this.#joined(ops)}]}\n`);
    this.#lists.push({ ops, rest });
    return rest;
  }

  #joined(ops: readonly DataOp[]): string {
    let joined = "";
    for (const op of ops) joined = joined === "" ? this.#textOf(op) : `${joined},${this.#textOf(op)}`;
    return joined;
  }

  #textOf(op: DataOp): string {
    if (op.op === "read") return opText(op); // no other replica is asked the same
    const known = this.#texts.get(op);
    if (known !== undefined) return known;
    const text = opText(op);
    this.#texts.set(op, text);
    return text;
  }
}

function sameItems(some: readonly object[], others: readonly object[]): boolean {
  if (some.length !== others.length) return false;
  for (let index = 0; index < some.length; index++) if (some[index] !== others[index]) return false;
  return true;
}

function isBatch(message: object): message is { readonly op: "batch"; readonly ops: readonly DataOp[] } {
  const { op, ops } = message as { readonly op?: unknown; readonly ops?: unknown };
  return op === "batch" && Array.isArray(ops);
}
