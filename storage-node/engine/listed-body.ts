// An entry of a list whose body stays encoded: most lists are asked for keys and versions, and pass over what is older than some version.
import type { StoredRecord } from "../../shared/record.ts";
import type { Version } from "../../shared/version.ts";
import type { ListedEntry } from "./engine.ts";
import { FLAG_TOMBSTONE, FLAGS_AT, readBody, versionAt, type Body } from "./record-codec.ts";

export class ListedBody implements ListedEntry {
  readonly key: string;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;

  constructor(key: string, { bytes, start, end }: Body) {
    this.key = key;
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  get version(): Version {
    return versionAt(this.#bytes, this.#start);
  }

  get tombstone(): boolean {
    return ((this.#bytes[this.#start + FLAGS_AT] ?? 0) & FLAG_TOMBSTONE) !== 0;
  }

  get record(): StoredRecord {
    return readBody(this.#bytes, this.#start, this.#end);
  }
}
