// The file operations of the log, behind one interface: the real one here; tests put in layers that run out of space, fail,
// or lose power. LMDB does its own input and output and is not behind it.
import { constants, close, fdatasync, fdatasyncSync, open, write, writeSync } from "node:fs";
import { mkdir, open as openHandle, readdir, readFile, rename, rm, statfs } from "node:fs/promises";
import { constants as osConstants } from "node:os";
import { promisify } from "node:util";

/** A file of known size that is written in place. */
export interface DurableFile {
  /** Writes all bytes at an offset. They survive the loss of power once it resolves. One write at a time. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
  /** The same, while the process stands still. */
  writeNow(bytes: Uint8Array, offset: number): void;
  close(): Promise<void>;
}

export interface FileLayer {
  /** Creates a directory and its parents where missing. */
  makeDirectory(path: string): Promise<void>;
  /** Names in a directory, in no order. */
  names(directory: string): Promise<string[]>;
  /** Whole contents of a file. @throws with code ENOENT where there is none. */
  read(path: string): Promise<Buffer>;
  /** Opens for writing in place; `create` makes an empty file first. */
  open(path: string, options: { readonly create: boolean }): Promise<DurableFile>;
  /** Atomic, and durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  /** Not an error where there is no such file. */
  remove(path: string): Promise<void>;
  /** Makes renames and new files of a directory durable. */
  syncDirectory(directory: string): Promise<void>;
  /** Free space for this process on the file system of a directory, in bytes. */
  freeBytes(directory: string): Promise<number>;
}

const openFile = promisify(open);
const closeFile = promisify(close);
const syncFile = promisify(fdatasync);
const writeFile = promisify(write);

// With O_DSYNC a write is durable when it returns: one hop to the thread pool instead of two. Where the platform has no such
// flag, every write is followed by fdatasync: never start unsynced because a constant is undefined.
const dsync: number | undefined = process.platform === "linux" ? constants.O_DSYNC : undefined;

class RealFile implements DurableFile {
  readonly #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await writeFile(this.#descriptor, bytes, done, bytes.length - done, offset + done);
      done += bytesWritten;
    }
    if (dsync === undefined) await syncFile(this.#descriptor);
  }

  writeNow(bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length;)
      done += writeSync(this.#descriptor, bytes, done, bytes.length - done, offset + done);
    if (dsync === undefined) fdatasyncSync(this.#descriptor);
  }

  close(): Promise<void> {
    return closeFile(this.#descriptor);
  }
}

export const realFiles: FileLayer = {
  async makeDirectory(path) {
    await mkdir(path, { recursive: true });
  },
  names: (directory) => readdir(directory),
  read: (path) => readFile(path),
  async open(path, { create }) {
    const flags = constants.O_WRONLY | (create ? constants.O_CREAT | constants.O_TRUNC : 0) | (dsync ?? 0);
    return new RealFile(await openFile(path, flags, 0o600));
  },
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { force: true }),
  async syncDirectory(directory) {
    if (process.platform === "win32") return; // a directory cannot be opened there, and its entries are journalled
    const handle = await openHandle(directory, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async freeBytes(directory) {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  },
};

/** The code of a system error (`ENOSPC`, …), if it is one. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

/** Whether an error says that the disk, or this user's share of it, is full. LMDB gives numbers, Node gives names. */
export function isNoSpace(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return (
    code === "ENOSPC" || code === "EDQUOT" || code === osConstants.errno.ENOSPC || code === osConstants.errno.EDQUOT
  );
}

/** Whether an error is that of a device, or of a write that LMDB saw cut short. */
export function isInputOutput(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === "EIO" || code === osConstants.errno.EIO;
}
