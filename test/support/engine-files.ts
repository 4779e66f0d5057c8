// A simulated disk under the engine's log: files live in memory, every operation can fail on command, and the power can be cut
// at any moment. What a cut leaves behind is what a disk may leave: of a write under way any of its sectors, of renames,
// new files and removals since the last sync of the directory a prefix.
import { mkdir } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { DurableFile, FileLayer } from "../../storage-node/engine/file-layer.ts";
import { seededRandom } from "./random.ts";

const SECTOR = 512;

export type FileOperation = "write" | "open" | "rename" | "remove" | "syncDirectory" | "read" | "names";

/** Bytes that survive, shared by all names of a file. */
interface Contents {
  bytes: Buffer;
}

interface PendingWrite {
  readonly contents: Contents;
  readonly bytes: Buffer;
  readonly offset: number;
}

type Names = Map<string, Contents>;

export class PowerCutError extends Error {}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

export class SimulatedFiles implements FileLayer {
  readonly #random: () => number;
  /** Names as the running process sees them. */
  #names: Names = new Map();
  /** Names as they survive for sure, and the changes since. */
  #durableNames: Names = new Map();
  #changes: ((names: Names) => void)[] = [];
  readonly #inFlight = new Set<PendingWrite>();
  #cut = false;
  /** Operations so far. */
  operations = 0;
  /** Called before each operation; a returned error fails it, a thrown one too. */
  before: ((operation: FileOperation, name: string, index: number) => Error | undefined) | undefined;
  /** Operations that never settle. */
  stuck: ((operation: FileOperation, name: string) => boolean) | undefined;
  /** Free space reported; writes that make a file longer take from it and fail with ENOSPC beyond. */
  free = 2 ** 40;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Ends the power: every operation fails from now on. Returns the disk as the next process finds it. */
  cut(): SimulatedFiles {
    this.#cut = true;
    for (const { contents, bytes, offset } of this.#inFlight) this.#tear(contents, bytes, offset);
    const kept = this.#changes.slice(0, Math.floor(this.#random() * (this.#changes.length + 1)));
    for (const change of kept) change(this.#durableNames);
    const next = new SimulatedFiles(Math.floor(this.#random() * 2 ** 32));
    for (const [name, contents] of this.#durableNames) next.put(name, contents.bytes);
    return next;
  }

  /** The same disk after the process died but the power stayed. */
  killed(): SimulatedFiles {
    this.#cut = true;
    const next = new SimulatedFiles(Math.floor(this.#random() * 2 ** 32));
    for (const { contents, bytes, offset } of this.#inFlight) overwrite(contents, bytes, offset);
    for (const [name, contents] of this.#names) next.put(name, contents.bytes);
    return next;
  }

  /** Puts a durable file there. */
  put(path: string, bytes: Buffer): void {
    const contents = { bytes: Buffer.from(bytes) };
    this.#names.set(path, contents);
    this.#durableNames.set(path, contents);
  }

  /** The bytes of a file, for looking at and for damaging. */
  bytes(path: string): Buffer {
    const contents = this.#names.get(path);
    if (!contents) throw systemError("ENOENT");
    return contents.bytes;
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  #tear(contents: Contents, bytes: Buffer, offset: number): void {
    for (let sector = Math.floor(offset / SECTOR); sector * SECTOR < offset + bytes.length; sector++) {
      if (this.#random() < 0.5) continue;
      const start = Math.max(sector * SECTOR, offset);
      const end = Math.min((sector + 1) * SECTOR, offset + bytes.length);
      overwrite(contents, bytes.subarray(start - offset, end - offset), start);
    }
  }

  async #step(operation: FileOperation, path: string): Promise<void> {
    this.#alive();
    if (this.stuck?.(operation, basename(path))) await new Promise<never>(() => undefined);
    this.#begin(operation, path);
    for (let turns = Math.floor(this.#random() * 3); turns > 0; turns--)
      await new Promise((resolve) => setImmediate(resolve));
    this.#alive();
  }

  #begin(operation: FileOperation, path: string): void {
    this.operations++;
    this.#alive();
    const error = this.before?.(operation, basename(path), this.operations);
    this.#alive();
    if (error) throw error;
  }

  #alive(): void {
    if (this.#cut) throw new PowerCutError("the power was cut");
  }

  #change(change: (names: Names) => void): void {
    change(this.#names);
    this.#changes.push(change);
  }

  async makeDirectory(path: string): Promise<void> {
    await mkdir(path, { recursive: true });
  }

  async names(directory: string): Promise<string[]> {
    await this.#step("names", directory);
    return [...this.#names.keys()].filter((path) => dirname(path) === directory).map((path) => basename(path));
  }

  async read(path: string): Promise<Buffer> {
    await this.#step("read", path);
    return Buffer.from(this.bytes(path));
  }

  async open(path: string, { create }: { readonly create: boolean }): Promise<DurableFile> {
    await this.#step("open", path);
    if (create) {
      const made: Contents = { bytes: Buffer.alloc(0) };
      this.#change((names) => names.set(path, made));
    }
    const contents = this.#names.get(path);
    if (!contents) throw systemError("ENOENT");
    return {
      write: (bytes, offset) => this.#write(path, contents, { bytes: Buffer.from(bytes), offset }),
      writeNow: (bytes, offset) => this.#writeNow(path, contents, { bytes: Buffer.from(bytes), offset }),
      close: () => Promise.resolve(),
    };
  }

  async #write(path: string, contents: Contents, { bytes, offset }: { bytes: Buffer; offset: number }): Promise<void> {
    const pending: PendingWrite = { contents, bytes, offset };
    this.#inFlight.add(pending);
    try {
      await this.#step("write", path);
      this.#store(pending);
    } finally {
      this.#inFlight.delete(pending);
    }
  }

  #writeNow(path: string, contents: Contents, { bytes, offset }: { bytes: Buffer; offset: number }): void {
    const pending: PendingWrite = { contents, bytes, offset };
    this.#inFlight.add(pending);
    try {
      this.#begin("write", path);
      this.#store(pending);
    } finally {
      this.#inFlight.delete(pending);
    }
  }

  #store({ contents, bytes, offset }: PendingWrite): void {
    const longer = offset + bytes.length - contents.bytes.length;
    if (longer > this.free) throw systemError("ENOSPC");
    this.free -= Math.max(0, longer);
    overwrite(contents, bytes, offset);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step("rename", from);
    const contents = this.#names.get(from);
    if (!contents) throw systemError("ENOENT");
    this.#change((names) => {
      names.delete(from);
      names.set(to, contents);
    });
  }

  async remove(path: string): Promise<void> {
    await this.#step("remove", path);
    this.free += this.#names.get(path)?.bytes.length ?? 0;
    this.#change((names) => names.delete(path));
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.#step("syncDirectory", directory);
    this.#durableNames = new Map(this.#names);
    this.#changes = [];
  }

  freeBytes(): Promise<number> {
    return Promise.resolve(this.free);
  }
}

function overwrite(contents: Contents, bytes: Buffer, offset: number): void {
  const end = offset + bytes.length;
  if (end > contents.bytes.length)
    contents.bytes = Buffer.concat([contents.bytes, Buffer.alloc(end - contents.bytes.length)]);
  bytes.copy(contents.bytes, offset);
}
