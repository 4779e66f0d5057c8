// Reads under way: those that take no lock, by slot. One connection's operations on one key keep their order, so a write asks here
// whether its own connection is still reading the key. Nearly always the slot has no reads at all; what there is, is chained through
// the reads themselves, so that a read costs no more than two references.
import { SLOTS } from "../../shared/limits.ts";
import type { ClientNumber, PendingRead } from "./operation.ts";

/** A read that takes no lock, in the chain of its slot. */
export interface ChainedRead extends PendingRead {
  readonly answered: boolean;
  begin(): void;
  /** Kept by the chain. */
  earlier: ChainedRead | null;
  later: ChainedRead | null;
  /** Whether it is in the chain. */
  chained: boolean;
  /** Whether a write waits for it. */
  awaited: boolean;
}

export class ReadsUnderWay {
  /** The latest read of each slot. */
  readonly #latest = Array.from<ChainedRead | null>({ length: SLOTS }).fill(null);

  add(read: ChainedRead): void {
    const { slot } = read.operation;
    const earlier = this.#latest[slot] ?? null;
    read.chained = true;
    read.earlier = earlier;
    if (earlier !== null) earlier.later = read;
    this.#latest[slot] = read;
  }

  /** A read that is no longer under way, or never was. */
  remove(read: ChainedRead): void {
    if (!read.chained) return;
    const { earlier, later } = read;
    if (earlier !== null) earlier.later = later;
    if (later !== null) later.earlier = earlier;
    else this.#latest[read.operation.slot] = earlier;
    read.chained = false;
    // One that lives on in an older generation of the heap must not keep its neighbours alive.
    read.earlier = null;
    read.later = null;
  }

  /** A client's read of a key. */
  find(slot: number, key: string, client: ClientNumber): ChainedRead | undefined {
    for (let read = this.#latest[slot] ?? null; read !== null; read = read.earlier) {
      const { operation } = read;
      if (operation.client === client && operation.key === key) return read;
    }
    return undefined;
  }
}
