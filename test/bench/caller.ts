// How the load process speaks to one store. A caller is one sequential user: it issues one operation, or several together, and
// waits for all of them.

export interface Caller {
  /** Acknowledged durably at a majority, or what the store has nearest to it. */
  put(keys: readonly string[], value: string): Promise<unknown>;
  get(keys: readonly string[]): Promise<unknown>;
  /** Acknowledged as a put is. */
  remove(key: string): Promise<unknown>;
  /** Reads, and writes under the condition that nothing changed; losing a race is an answer, too. */
  replace(key: string, value: string): Promise<unknown>;
}

export interface Driver {
  caller(index: number): Caller;
  close(): Promise<void>;
}
