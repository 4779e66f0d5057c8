// All stores of one run of the benchmark, and their end: whatever happens, no process and no directory is left.
import { closeClusters } from "../support/cluster-process.ts";
import { startEtcd } from "./etcd-store.ts";
import { type HoldfastStore, startHoldfast } from "./holdfast-store.ts";
import { LoadProcess } from "./load-process.ts";
import { startRedis } from "./redis-store.ts";
import type { Store } from "./store.ts";

export class Systems {
  readonly #stores: Store[] = [];
  readonly #loads: LoadProcess[] = [];
  #stopping: Promise<void> | undefined;

  async holdfast(nodes = 3): Promise<HoldfastStore> {
    return this.#kept(await startHoldfast(nodes));
  }

  /** Undefined, with a note, where it is not installed. */
  async redis(note: (text: string) => void): Promise<Store | undefined> {
    const store = await startRedis();
    if (store === undefined) note("Redis is not installed (apt-get install redis-server): its column stays empty");
    return store && this.#kept(store);
  }

  /** Undefined, with a note, where it is not installed. */
  async etcd(note: (text: string) => void): Promise<Store | undefined> {
    const store = await startEtcd();
    if (store === undefined)
      note("etcd is not installed (apt-get install etcd-server etcd-client): its column stays empty");
    return store && this.#kept(store);
  }

  load(): LoadProcess {
    const load = new LoadProcess();
    this.#loads.push(load);
    return load;
  }

  /** Ends one store before the others. */
  async stop(store: Store): Promise<void> {
    this.#stores.splice(this.#stores.indexOf(store), 1);
    await store.stop();
  }

  /** Ends everything, once. */
  stopAll(): Promise<void> {
    return (this.#stopping ??= this.#stopAll());
  }

  async #stopAll(): Promise<void> {
    for (const load of this.#loads) load.stop();
    await Promise.all(this.#stores.splice(0).map((store) => store.stop()));
    await closeClusters(); // one that was being started
  }

  #kept<Kind extends Store>(store: Kind): Kind {
    this.#stores.push(store);
    return store;
  }
}
