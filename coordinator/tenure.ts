// Tenure: which clients' connections are older than the leadership of the moment (C8). A client retries what it got no answer to, wherever
// somebody leads by then; what it sent before may still be on its way here, and arrive when this process leads again. Of the retry nothing
// is remembered here, so nothing that comes over such a connection may be written: the client is sent to a new one.
import { KvError } from "../shared/errors.ts";
import type { ClientNumber } from "./sequencer/operation.ts";

export class Tenure {
  /** Where to connect again. */
  readonly #address: string;
  /** Who leads here; undefined: nobody. */
  #leader: object | undefined;
  /** Clients that were told an epoch, by which they retry. */
  readonly #greeted = new Set<ClientNumber>();
  /** Those of them that have outlived a leadership of this process: for good. */
  readonly #outlived = new Set<ClientNumber>();

  /** @param address Of this process */
  constructor(address: string) {
    this.#address = address;
  }

  greeted(client: ClientNumber): void {
    this.#greeted.add(client);
  }

  gone(client: ClientNumber): void {
    this.#greeted.delete(client);
    this.#outlived.delete(client);
  }

  /** @param leader Who leads in this process now */
  look(leader: object | undefined): void {
    if (leader === this.#leader) return;
    if (this.#leader !== undefined) for (const client of this.#greeted) this.#outlived.add(client);
    this.#leader = leader;
  }

  /** @throws KvError NOT_LEADER where the client's connection is of an earlier leadership */
  check(client: ClientNumber): void {
    if (this.#outlived.size === 0 || !this.#outlived.has(client)) return;
    const why = `this connection was made under an earlier leadership of ${this.#address}: connect again; nothing was done`;
    throw new KvError("NOT_LEADER", why, { leader: this.#address });
  }
}
