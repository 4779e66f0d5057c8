// Load of `runtime demo`: a few callers that write and read all the time through the client library, as an application would, and a
// ledger of every write that was acknowledged, to be read back at the end. Counts what was answered and the longest silence.
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type KvClient, KvError } from "../../shared/client/connect.ts";
import { LatencyHistogram } from "../../shared/latency-histogram.ts";

const CALLERS = 8;
const THINK_MS = 4;
/** As the default of the client library: what waits longer counts as failed. */
const TIMEOUT_MS = 5_000;
const READ_BACK_AT_A_TIME = 200;

export interface DemoCounts {
  readonly writes: number;
  readonly reads: number;
  /** Without effect, or unknown: neither is an acknowledgement. */
  readonly failed: number;
  /** Reads that showed something else than was acknowledged last. */
  readonly wrong: number;
}

export class DemoLoad {
  readonly #client: KvClient;
  /** What each key was acknowledged to hold. */
  readonly #ledger = new Map<string, string>();
  readonly #callers: Promise<void>[] = [];
  #latency = new LatencyHistogram();
  #writes = 0;
  #reads = 0;
  #failed = 0;
  #wrong = 0;
  #answeredAt = performance.now();
  #silentMs = 0;
  #running = true;

  private constructor(client: KvClient) {
    this.#client = client;
    for (let caller = 0; caller < CALLERS; caller++) this.#callers.push(this.#calls(caller));
  }

  /** Connects and begins. */
  static async start(addresses: readonly string[]): Promise<DemoLoad> {
    return new DemoLoad(await connect(addresses, { timeoutMs: TIMEOUT_MS }));
  }

  get counts(): DemoCounts {
    return { writes: this.#writes, reads: this.#reads, failed: this.#failed, wrong: this.#wrong };
  }

  /** The longest time without an answer since this was asked last, ms. */
  silence(): number {
    const silentMs = Math.max(this.#silentMs, performance.now() - this.#answeredAt);
    this.#silentMs = 0;
    return silentMs;
  }

  /** Latency within which 99 % were answered since this was asked last, ms. */
  p99Ms(): number {
    const p99Ms = this.#latency.quantile(0.99);
    this.#latency = new LatencyHistogram();
    return p99Ms;
  }

  /** Resolves when the next write is acknowledged. */
  async nextWrite(): Promise<void> {
    const before = this.#writes;
    while (this.#writes === before && this.#running) await sleep(1);
  }

  /** Ends the load, once what is under way is settled. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#callers);
  }

  /** Reads everything back. @returns how many keys there are, and those that do not hold what was acknowledged */
  async readBack(): Promise<{ readonly keys: number; readonly lost: readonly string[] }> {
    const entries = [...this.#ledger];
    const lost: string[] = [];
    for (let from = 0; from < entries.length; from += READ_BACK_AT_A_TIME) {
      const page = entries.slice(from, from + READ_BACK_AT_A_TIME);
      const check = async ([key, value]: readonly [string, string]): Promise<void> => {
        if ((await this.#client.get(key))?.text() !== value) lost.push(key);
      };
      await Promise.all(page.map(check));
    }
    return { keys: entries.length, lost };
  }

  async close(): Promise<void> {
    this.#running = false;
    await this.#client.close();
  }

  /** A sequential caller, with keys of its own: it knows what a read has to show. */
  async #calls(caller: number): Promise<void> {
    for (let turn = 1; this.#running; turn++) {
      const key = `demo:${caller}:${turn}`;
      await this.#measured(() => this.#write(key, `value ${turn} of caller ${caller}`));
      await sleep(THINK_MS);
      await this.#measured(() => this.#read(key));
      await sleep(THINK_MS);
    }
  }

  async #write(key: string, value: string): Promise<void> {
    await this.#client.put(key, value);
    this.#ledger.set(key, value);
    this.#writes++;
  }

  async #read(key: string): Promise<void> {
    const expected = this.#ledger.get(key);
    const found = (await this.#client.get(key))?.text();
    this.#reads++;
    if (expected !== undefined && found !== expected) this.#wrong++;
  }

  async #measured(operation: () => Promise<void>): Promise<void> {
    const startedAt = performance.now();
    try {
      await operation();
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      this.#failed++;
      return;
    }
    const now = performance.now();
    this.#latency.record(now - startedAt);
    this.#silentMs = Math.max(this.#silentMs, now - this.#answeredAt);
    this.#answeredAt = now;
  }
}
