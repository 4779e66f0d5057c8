// Writers that never pause, through one client as applications use it, and the ledger of what they were told: every key is written
// once, so that what was acknowledged can be read back to the letter. For the time that a failover takes.
import { connect, KvError, type KvClient } from "../../shared/client/connect.ts";

const WRITERS = 16;
const READ_BACK_AT_A_TIME = 256;
const READ_BACK_TIMEOUT_MS = 10_000;

export interface Outcomes {
  readonly acknowledged: number;
  /** Definitely without effect. */
  readonly failed: number;
  /** May have happened, or may yet happen. */
  readonly unknown: number;
}

const keyOf = (index: number): string => `failover:${index}`;
const valueOf = (index: number): string => `${index} `.padEnd(100, "v");

export class Writers {
  readonly #client: KvClient;
  readonly #acknowledged: number[] = [];
  #failed = 0;
  #unknown = 0;
  #written = 0;
  #running = true;
  #ended: Promise<unknown> = Promise.resolve();
  #watcher: { readonly sinceMs: number; readonly seen: (atMs: number) => void } | undefined;

  private constructor(client: KvClient) {
    this.#client = client;
  }

  static async start(addresses: readonly string[]): Promise<Writers> {
    const writers = new Writers(await connect(addresses));
    writers.#ended = Promise.all(Array.from({ length: WRITERS }, () => writers.#writes()));
    return writers;
  }

  get outcomes(): Outcomes {
    return { acknowledged: this.#acknowledged.length, failed: this.#failed, unknown: this.#unknown };
  }

  /** When the first write was acknowledged of those issued from now on. On the clock of `performance`. */
  acknowledgedFromNow(): Promise<number> {
    return new Promise((seen) => (this.#watcher = { sinceMs: performance.now(), seen }));
  }

  /** Ends them once what is under way is settled, and counts acknowledged writes that are not read back as they were written. */
  async lost(): Promise<number> {
    this.#running = false;
    await this.#ended;
    let lost = 0;
    for (let from = 0; from < this.#acknowledged.length; from += READ_BACK_AT_A_TIME) {
      const page = this.#acknowledged.slice(from, from + READ_BACK_AT_A_TIME);
      const kept = await Promise.all(page.map((index) => this.#isKept(index)));
      lost += kept.filter((isKept) => !isKept).length;
    }
    return lost;
  }

  async close(): Promise<void> {
    this.#running = false;
    await this.#client.close();
  }

  async #isKept(index: number): Promise<boolean> {
    const entry = await this.#client.get(keyOf(index), { timeoutMs: READ_BACK_TIMEOUT_MS });
    return entry?.text() === valueOf(index);
  }

  async #writes(): Promise<void> {
    while (this.#running) {
      const index = this.#written++;
      const issuedMs = performance.now();
      try {
        await this.#client.put(keyOf(index), valueOf(index));
        this.#happened(index, issuedMs);
      } catch (error) {
        if (error instanceof KvError && error.outcome === "failed") this.#failed++;
        else this.#unknown++;
      }
    }
  }

  #happened(index: number, issuedMs: number): void {
    this.#acknowledged.push(index);
    if (this.#watcher === undefined || issuedMs < this.#watcher.sinceMs) return;
    this.#watcher.seen(performance.now());
    this.#watcher = undefined;
  }
}
