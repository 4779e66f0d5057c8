// Space: whether the disk has room for user data. Running out is met here, by whoever prepares the next segment of the log or
// writes a checkpoint, and never inside an append (rule 6). A reserve is kept free for fences, votes and checkpoints: below
// it user data is refused too. Recovers by itself: every reason goes away when its owner succeeds again.
import { isInputOutput, isNoSpace } from "./file-layer.ts";
import type { FileLayer } from "./file-layer.ts";

/** Who ran out: the log, a checkpoint, or the reserve. */
export type SpaceReason = "log" | "table" | "reserve";

export class Space {
  readonly #files: FileLayer;
  readonly #directory: string;
  readonly #freeBytesMin: number;
  readonly #retryMs: number;
  readonly #log: (message: string) => void;
  readonly #reasons = new Set<SpaceReason>();
  readonly #sleepers = new Set<() => void>();
  #watch: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: {
    readonly files: FileLayer;
    readonly directory: string;
    readonly freeBytesMin: number;
    readonly retryMs: number;
    readonly log: (message: string) => void;
  }) {
    this.#files = options.files;
    this.#directory = options.directory;
    this.#freeBytesMin = options.freeBytesMin;
    this.#retryMs = options.retryMs;
    this.#log = options.log;
  }

  get full(): boolean {
    return this.#reasons.size > 0;
  }

  exhausted(reason: SpaceReason): void {
    if (this.#reasons.size === 0)
      this.#log(`no space left in ${this.#directory}: writes are refused until some is freed; reads go on`);
    this.#reasons.add(reason);
  }

  found(reason: SpaceReason): void {
    if (this.#reasons.delete(reason) && this.#reasons.size === 0)
      this.#log(`space found in ${this.#directory}: writes are taken again`);
  }

  /** Whether `bytes` fit without touching the reserve. */
  async fits(bytes: number): Promise<boolean> {
    return (await this.#files.freeBytes(this.#directory)) >= bytes + this.#freeBytesMin;
  }

  /**
   * Whether lack of space is behind an error of the table. LMDB reports a write that a full disk cut short as EIO, so that one
   * counts when less is free than the transaction may have needed.
   */
  async explains(error: unknown, neededBytes: number): Promise<boolean> {
    if (isNoSpace(error)) return true;
    return isInputOutput(error) && (await this.#files.freeBytes(this.#directory)) < neededBytes;
  }

  /** Waits until `bytes` are free, looking now and then, or until the engine closes. */
  async waitFor(bytes: number): Promise<void> {
    do await this.retryLater();
    while (!this.#closed && (await this.#files.freeBytes(this.#directory)) < bytes);
  }

  /** Looks at the reserve, and keeps looking while it is touched. Called when a segment or a checkpoint took space. */
  async check(): Promise<void> {
    if (this.#closed) return;
    const fits = await this.fits(0);
    if (fits) this.found("reserve");
    else this.exhausted("reserve");
    if (!fits && !this.#watch && !this.#closed) {
      this.#watch = setTimeout(() => {
        this.#watch = undefined;
        // A failing statfs says nothing about space: look again later.
        this.check().catch(() => undefined);
      }, this.#retryMs);
    }
  }

  /** Resolves when it is time to try again, or when the engine closes. */
  retryLater(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, this.#retryMs);
      this.#sleepers.add(wake);
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#watch);
    for (const wake of this.#sleepers) wake();
  }
}
