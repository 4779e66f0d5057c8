// Client: the object applications use. Checks what it is given, gives every write an operation id (C8), and hands it to
// performer.ts, which sees it through. What is issued in one turn leaves in one line.
import { randomUUID } from "node:crypto";
import { KvError } from "../errors.ts";
import { monotonicMs } from "../io/system-clock.ts";
import { DEADLINE_MS_DEFAULT } from "../limits.ts";
import type { Level, ScanAnswer } from "../protocol/client-messages.ts";
import { valueWeight } from "../record.ts";
import { Entry } from "./entry.ts";
import type { LeaderFinder } from "./leader-finder.ts";
import type { ConnectOptions, DeleteOptions, OperationOptions, PutOptions, ScanOptions } from "./options.ts";
import { checkKey, checkOptions, checkScan, wireValue } from "./options.ts";
import { Performer } from "./performer.ts";
import type { Patience } from "./waiting.ts";

/** Result of a write: the version it was given, for `ifVersion`. */
export interface Written {
  readonly version: string;
}

export interface Deleted extends Written {
  /** Whether there was a value; not known at level one. */
  readonly found?: boolean;
}

export class KvClient {
  readonly #finder: LeaderFinder;
  readonly #performer: Performer;
  readonly #timeoutMs: number;
  readonly #level: Level | undefined;
  readonly #id = randomUUID();
  #counter = 0;
  #closing: Promise<void> | null = null;
  #valueBytesMax: number;

  /** Use `connect`. @param finder With a session. */
  constructor(
    finder: LeaderFinder,
    settings: ConnectOptions & { readonly random: () => number; readonly valueBytesMax: number },
  ) {
    this.#finder = finder;
    this.#performer = new Performer(finder, settings.random);
    this.#timeoutMs = settings.timeoutMs ?? DEADLINE_MS_DEFAULT;
    this.#level = settings.consistency;
    this.#valueBytesMax = settings.valueBytesMax;
  }

  /**
   * Stores a value: text as UTF-8, bytes as they are.
   * @throws KvError CONDITION_FAILED (details.version: the current one), TOO_LARGE, …; look at `outcome`: `unknown` means
   *   that it may have happened, or may yet.
   */
  async put(key: string, value: string | Uint8Array, options: PutOptions = {}): Promise<Written> {
    checkKey(key);
    checkOptions(this.#withLevel(options));
    this.#valueBytesMax = this.#finder.session?.hello.valueBytesMax ?? this.#valueBytesMax;
    const wire = wireValue(value, this.#valueBytesMax);
    const condition = { ...ifVersionOf(options), ...(options.ifAbsent === true ? { ifAbsent: true } : {}) };
    const message = {
      op: "put",
      key,
      value: wire,
      ...condition,
      ...this.#levelOf(options),
      operation: this.#nextId(),
    } as const;
    const { version } = await this.#performer.run(message, this.#patience(options), valueWeight(wire));
    return { version };
  }

  /** Deletes a key. That it is absent is no error. @throws KvError as `put` does */
  async delete(key: string, options: DeleteOptions = {}): Promise<Deleted> {
    checkKey(key);
    checkOptions(this.#withLevel(options));
    const message = {
      op: "delete",
      key,
      ...ifVersionOf(options),
      ...this.#levelOf(options),
      operation: this.#nextId(),
    } as const;
    const { version, found } = await this.#performer.run(message, this.#patience(options), 0);
    return found === undefined ? { version } : { version, found };
  }

  /** The value under a key, or null. At level one it comes straight from a storage node and may be stale. */
  async get(key: string, options: OperationOptions = {}): Promise<Entry | null> {
    checkKey(key);
    checkOptions(options);
    try {
      const message = { op: "get", key, ...this.#levelOf(options) } as const;
      if (message.consistency === "one") return await this.#performer.readAtOne(message, this.#patience(options));
      const { value, version, stale = false } = await this.#performer.run(message, this.#patience(options), 0);
      return new Entry({ key, value, version, stale });
    } catch (error) {
      if (error instanceof KvError && error.code === "NOT_FOUND") return null;
      throw error;
    }
  }

  /**
   * Keys with a prefix, by slot and then key (not sorted overall), fetched page by page. A key that is there throughout
   * appears exactly once.
   */
  async *scan(options: ScanOptions = {}): AsyncGenerator<string, void, undefined> {
    checkScan(options);
    const { prefix = "", pageKeys } = options;
    const asked = {
      op: "scan",
      ...(prefix === "" ? {} : { prefix }),
      ...(pageKeys === undefined ? {} : { limit: pageKeys }),
    } as const;
    let cursor: string | undefined;
    do {
      const page: ScanAnswer = await this.#performer.run(
        { ...asked, ...(cursor === undefined ? {} : { cursor }) },
        this.#patience(options),
        0,
      );
      yield* page.keys;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** Refuses new operations, waits for those under way (their deadlines bound it), and closes all connections. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#performer.close();
    await this.#finder.close();
  }

  #patience({ timeoutMs = this.#timeoutMs, signal }: OperationOptions): Patience {
    return { deadlineAtMs: monotonicMs() + timeoutMs, signal };
  }

  #withLevel<Options extends OperationOptions>(options: Options): Options {
    return { ...options, ...this.#levelOf(options) };
  }

  #levelOf({ consistency = this.#level }: OperationOptions): { readonly consistency?: Level } {
    return consistency === undefined ? {} : { consistency };
  }

  #nextId(): string {
    return `${this.#id}:${++this.#counter}`;
  }
}

function ifVersionOf({ ifVersion }: DeleteOptions): { readonly ifVersion?: string } {
  return ifVersion === undefined ? {} : { ifVersion };
}
