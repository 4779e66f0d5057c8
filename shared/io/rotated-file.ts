// Rotated file: where a log goes that nobody watches. Bounded: `node.log`, then `node.log.1` (newer) to `node.log.4` (older), each of a
// few megabytes. Written synchronously, since the last words before an end matter most and a log line is rare and short.
//
// Several processes may write to one file (two shells started in one directory): lines are appended whole, and whoever reaches the
// limit looks whether another has rotated already. A log that cannot be written never stops the process that writes it.
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import path from "node:path";

/** Size at which a file is put aside. */
export const ROTATED_BYTES_MAX = 4 * 1024 * 1024;
/** Files kept, the current one included. */
export const ROTATED_FILES_MAX = 5;

export class RotatedFile {
  readonly #path: string;
  readonly #bytesMax: number;
  #handle: number | undefined;
  #bytes = 0;

  /** @param options.bytesMax Size at which the file is put aside; ROTATED_BYTES_MAX unless given. */
  constructor(file: string, options: { readonly bytesMax?: number } = {}) {
    this.#path = file;
    this.#bytesMax = options.bytesMax ?? ROTATED_BYTES_MAX;
  }

  /** Appends a line that ends in a newline. Never throws. */
  write(line: string): void {
    try {
      if (this.#handle === undefined) this.#open();
      else if (this.#bytes + Buffer.byteLength(line) > this.#bytesMax) this.#rotate();
      if (this.#handle !== undefined) this.#bytes += writeSync(this.#handle, line);
    } catch {
      this.#close(); // no space, no directory: the next line tries again
    }
  }

  #open(): void {
    mkdirSync(path.dirname(this.#path), { recursive: true });
    this.#handle = openSync(this.#path, "a", 0o600);
    this.#bytes = fstatSync(this.#handle).size;
  }

  #close(): void {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle !== undefined) closeSync(handle);
  }

  #rotate(): void {
    const mine = this.#handle === undefined ? undefined : fstatSync(this.#handle).ino;
    this.#close();
    if (existsSync(this.#path) && statSync(this.#path).ino === mine) {
      for (let age = ROTATED_FILES_MAX - 1; age >= 1; age--) {
        const younger = age === 1 ? this.#path : `${this.#path}.${age - 1}`;
        if (existsSync(younger)) renameSync(younger, `${this.#path}.${age}`);
      }
    }
    this.#open();
  }
}

/** Last lines of a rotated file, oldest first; undefined where there is none. @param count At least 1. */
export function lastLines(file: string, count: number): readonly string[] | undefined {
  if (!existsSync(file)) return undefined;
  let lines: string[] = [];
  for (let age = 0; age < ROTATED_FILES_MAX && lines.length < count; age++) {
    const name = age === 0 ? file : `${file}.${age}`;
    if (!existsSync(name)) break;
    const text = readFileSync(name, "utf8").trimEnd();
    if (text !== "") lines = [...text.split("\n"), ...lines];
  }
  return lines.slice(-count);
}
