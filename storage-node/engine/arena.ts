// Arena: memory that bodies are copied into, outside the heap of JavaScript. Freed as a whole.

const CHUNK_BYTES = 256 * 1024;
/** Bodies beyond this get a chunk of their own. */
const SHARED_BYTES_MAX = 16 * 1024;

export class Arena {
  readonly #chunks: Buffer[] = [];
  /** The chunk that is being filled, and how far. */
  #current = -1;
  #used = CHUNK_BYTES;
  /** Where the last reservation lies in its chunk. */
  at = 0;

  chunk(number: number): Buffer {
    return this.#chunks[number] as Buffer;
  }

  /** Room for a body, from `at` on. Returns the number of its chunk. */
  reserve(bytes: number): number {
    if (bytes > SHARED_BYTES_MAX) {
      this.at = 0;
      return this.#chunks.push(Buffer.allocUnsafeSlow(bytes)) - 1;
    }
    if (this.#used + bytes > CHUNK_BYTES) {
      this.#current = this.#chunks.push(Buffer.allocUnsafeSlow(CHUNK_BYTES)) - 1;
      this.#used = 0;
    }
    this.at = this.#used;
    this.#used += bytes;
    return this.#current;
  }
}
