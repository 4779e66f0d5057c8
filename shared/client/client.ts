// Client: the object applications use. Checks what it is given, gives every write an operation id (C8), and hands it to
// performer.ts, which sees it through. What is issued in one turn leaves in one line, or a few.
import { randomUUID } from "node:crypto";
import { DEADLINE_MS_DEFAULT } from "../limits.ts";
import type { GetAnswer, Level, ScanAnswer, WriteAnswer } from "../protocol/client-messages.ts";
import { Entry } from "./entry.ts";
import type { LeaderFinder } from "./leader-finder.ts";
import type { DeleteMessage, GetMessage, PutMessage } from "./operation-text.ts";
import type { ConnectOptions, DeleteOptions, OperationOptions, PutOptions, ScanOptions } from "./options.ts";
import { NO_OPTIONS, checkKey, checkOptions, checkScan, wireValue } from "./options.ts";
import { Performer } from "./performer.ts";

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
    const { random, timeoutMs = DEADLINE_MS_DEFAULT } = settings;
    this.#performer = new Performer(finder, { random, timeoutMs });
    this.#level = settings.consistency;
    this.#valueBytesMax = settings.valueBytesMax;
  }

  /**
   * Stores a value: text as UTF-8, bytes as they are.
   * @throws KvError CONDITION_FAILED (details.version: the current one), TOO_LARGE, …; look at `outcome`: `unknown` means
   *   that it may have happened, or may yet.
   */
  put(key: string, value: string | Uint8Array, options: PutOptions = NO_OPTIONS): Promise<Written> {
    try {
      checkKey(key);
      checkOptions(options, this.#level);
      this.#valueBytesMax = this.#finder.session?.hello.valueBytesMax ?? this.#valueBytesMax;
      const { consistency = this.#level, ifVersion, ifAbsent } = options;
      const message: PutMessage = {
        op: "put",
        key,
        value: wireValue(value, this.#valueBytesMax),
        consistency,
        operation: this.#nextId(),
        ifVersion,
        ifAbsent: ifAbsent === true ? true : undefined,
      };
      return this.#performer.run(message, options, written);
    } catch (error) {
      return rejected(error);
    }
  }

  /** Deletes a key. That it is absent is no error. @throws KvError as `put` does */
  delete(key: string, options: DeleteOptions = NO_OPTIONS): Promise<Deleted> {
    try {
      checkKey(key);
      checkOptions(options, this.#level);
      const { consistency = this.#level, ifVersion } = options;
      const message: DeleteMessage = { op: "delete", key, consistency, ifVersion, operation: this.#nextId() };
      return this.#performer.run(message, options, deleted);
    } catch (error) {
      return rejected(error);
    }
  }

  /** The value under a key, or null. At level one it comes straight from a storage node and may be stale. */
  get(key: string, options: OperationOptions = NO_OPTIONS): Promise<Entry | null> {
    try {
      checkKey(key);
      checkOptions(options);
      const { consistency = this.#level } = options;
      const message: GetMessage = { op: "get", key, consistency };
      if (consistency === "one") return this.#performer.readAtOne(message, options, staleEntry);
      return this.#performer.run(message, options, entry);
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Keys with a prefix, by slot and then key (not sorted overall), fetched page by page. A key that is there throughout
   * appears exactly once.
   */
  async *scan(options: ScanOptions = NO_OPTIONS): AsyncGenerator<string, void, undefined> {
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
        options,
        same,
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

  #nextId(): string {
    return `${this.#id}:${++this.#counter}`;
  }
}

// What becomes of answers: functions of their own, so that an operation makes no closure.

function written({ version }: WriteAnswer): Written {
  return { version };
}

function deleted({ version, found }: WriteAnswer): Deleted {
  return found === undefined ? { version } : { version, found };
}

function entry(answer: GetAnswer | null, { key }: GetMessage): Entry | null {
  if (answer === null) return null;
  const { value, version, stale = false } = answer;
  return new Entry({ key, value, version, stale });
}

function staleEntry(answer: GetAnswer | null, { key }: GetMessage): Entry | null {
  return answer === null ? null : new Entry({ key, value: answer.value, version: answer.version, stale: true });
}

function same(page: ScanAnswer): ScanAnswer {
  return page;
}

/** What is wrong with arguments is told as every other failure is. */
function rejected(error: unknown): Promise<never> {
  return Promise.reject(error instanceof Error ? error : new Error(String(error)));
}
