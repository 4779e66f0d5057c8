// In doubt (C5): for each key the last issued version that is not known to be installed at a write quorum. A conditional write may
// only be issued when that one is installed. Nothing expires; a full map makes the leader win a new epoch, which empties it.
import { IN_DOUBT_BYTES_MAX, IN_DOUBT_MAX } from "../../shared/limits.ts";
import { valueWeight } from "../../shared/record.ts";
import { compare, type Version } from "../../shared/version.ts";
import type { Drive, Issued } from "./drive.ts";

export class InDoubt {
  readonly #entries = new Map<string, Issued>();
  #bytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  get overfull(): boolean {
    return this.#entries.size > IN_DOUBT_MAX || this.#bytes > IN_DOUBT_BYTES_MAX;
  }

  get(key: string): Issued | undefined {
    return this.#entries.get(key);
  }

  /** Remembers an issued version, unless a newer one of the key is in doubt already. */
  add(issued: Issued): void {
    const known = this.#entries.get(issued.key);
    if (known && compare(known.version, issued.version) >= 0) return;
    if (known) this.#bytes -= weight(known);
    this.#entries.set(issued.key, issued);
    this.#bytes += weight(issued);
  }

  /** Nobody drives it any more: what every member refused is over, what no write quorum is known to have is in doubt. */
  givenUp(drive: Drive): void {
    if (drive.refusedByAll) drive.stop();
    else if (!drive.installed) this.add(drive.issued);
  }

  /** A version of the key is installed at a write quorum: what is not newer is no longer in doubt. */
  installed(key: string, version: Version): void {
    const known = this.#entries.get(key);
    if (!known || compare(known.version, version) > 0) return;
    this.#entries.delete(key);
    this.#bytes -= weight(known);
  }

  /** Keys in doubt in some slots. */
  inSlots(slots: ReadonlySet<number>): Issued[] {
    return [...this.#entries.values()].filter(({ slot }) => slots.has(slot));
  }
}

function weight(issued: Issued): number {
  return 200 + issued.key.length + valueWeight(issued.value);
}
