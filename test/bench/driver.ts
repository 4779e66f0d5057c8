// Opens the driver of a store, and the driver of ours: the client library as applications use it.
import { connect, KvError, type KvClient } from "../../shared/client/connect.ts";
import type { Caller, Driver } from "./caller.ts";
import { openRedis } from "./redis-client.ts";
import type { Workload } from "./workload.ts";

export interface Target {
  readonly store: "holdfast" | "redis";
  /** `host:port` of a coordinator, or of the primary. */
  readonly address: string;
}

/** Patient enough for a store that is slow: what it refuses is counted, not measured. */
const TIMEOUT_MS = 10_000;

export async function openDriver({ store, address }: Target, workload: Workload): Promise<Driver> {
  if (store === "redis") return await openRedis(address, workload.inFlight / workload.together);
  const client = await connect(address, { timeoutMs: TIMEOUT_MS, consistency: workload.level });
  const caller = new HoldfastCaller(client);
  return { caller: () => caller, close: () => client.close() };
}

/** All callers share one client, as those of one application do. */
class HoldfastCaller implements Caller {
  readonly #client: KvClient;

  constructor(client: KvClient) {
    this.#client = client;
  }

  put(keys: readonly string[], value: string): Promise<unknown> {
    if (keys.length === 1) return this.#client.put(keys[0] as string, value);
    return Promise.all(keys.map((key) => this.#client.put(key, value)));
  }

  get(keys: readonly string[]): Promise<unknown> {
    if (keys.length === 1) return this.#client.get(keys[0] as string);
    return Promise.all(keys.map((key) => this.#client.get(key)));
  }

  remove(key: string): Promise<unknown> {
    return this.#client.delete(key);
  }

  async replace(key: string, value: string): Promise<void> {
    const entry = await this.#client.get(key);
    try {
      await this.#client.put(key, value, entry === null ? { ifAbsent: true } : { ifVersion: entry.version });
    } catch (error) {
      if (!(error instanceof KvError && error.code === "CONDITION_FAILED")) throw error;
    }
  }
}
