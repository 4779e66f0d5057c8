// Entry: one value as it was read. Bytes are decoded when they are asked for.
import { KvError } from "../errors.ts";
import type { WireValue } from "../record.ts";

export class Entry {
  readonly key: string;
  /** Opaque, such as `3.1042`; what `ifVersion` takes. */
  readonly version: string;
  /** Read at level one: may be older than what was last acknowledged. */
  readonly stale: boolean;
  readonly #value: WireValue;
  #bytes: Uint8Array | null = null;

  constructor(fields: { key: string; version: string; value: WireValue; stale: boolean }) {
    this.key = fields.key;
    this.version = fields.version;
    this.stale = fields.stale;
    this.#value = fields.value;
  }

  /** The value. The same array every time. */
  get bytes(): Uint8Array {
    this.#bytes ??=
      typeof this.#value === "string"
        ? new TextEncoder().encode(this.#value)
        : Uint8Array.from(Buffer.from(this.#value.base64, "base64"));
    return this.#bytes;
  }

  /** The value as UTF-8 text. @throws KvError BAD_REQUEST where it is none: use `bytes`. */
  text(): string {
    if (typeof this.#value === "string") return this.#value;
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes);
    } catch {
      throw new KvError("BAD_REQUEST", `the value of ${JSON.stringify(this.key)} is not UTF-8 text: read its bytes`);
    }
  }

  /** The value parsed as JSON; that it is a T is the caller's claim. @throws SyntaxError, or as `text` does */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }
}
