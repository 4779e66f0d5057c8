// Read cache: values of keys that were read lately, and that this leader knows to be the newest. A read of such a key asks no replica for
// its value, only a majority of them whether they are at this leader's epoch still (C6; etcd calls that a read index).
//
// A value is known to be the newest once a write quorum of this leadership has acknowledged it, or R members have told equal versions
// of it: what an older leader may have under way still can reach fewer members than that. It stays the newest until this leader issues
// another version of the key, since all writes of this leadership go through it, and nobody else's is acknowledged without a majority
// that refuses this epoch from then on. Re-seating a slot writes without saying so here: it changes the slot's stamp, and what was found at
// another stamp is not told.
//
// What a read finds may be overtaken by a write before it arrives. It is taken only where no version of the key was on its way or in
// doubt when the read began to ask, and none was issued in the slot since.
//
// Entries go into a young Map, which becomes the old one when it has half of the bytes, and the old one is dropped; what is asked for there
// moves on. A write keeps its key's entry, with the new value, only if somebody asked for it since the write before.
import type { ReadResult } from "../../shared/protocol/node-messages.ts";
import { originOf, valueWeight, type WireValue } from "../../shared/record.ts";
import type { Stamp, Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { Issued } from "./drive.ts";

/** The newest value of a key, at the moment of asking. */
export type Known = Pick<ReadResult, "value" | "version" | "origin">;

interface Entry {
  value: WireValue | null;
  version: Version;
  origin: Version;
  /** Of the slot, when it was found: the very object. */
  stamp: Stamp;
  /** The version that was issued since, while no write quorum is known to have it. */
  issued: Version | undefined;
  /** Whether a read has asked for it since it was found, or since the latest version was issued. */
  asked: boolean;
}

/** What an entry takes besides its key and value. */
const ENTRY_BYTES = 200;
/** A larger part of the whole is not kept: a few such values would drop everything else. */
const SHARE_MAX = 1 / 16;

export class ReadCache {
  /** Times that it knew. */
  hits = 0;
  readonly #bytesMax: number;
  #young = new Map<string, Entry>();
  #old = new Map<string, Entry>();
  #youngBytes = 0;
  #oldBytes = 0;

  /** @param bytesMax Estimate of what it takes at most. 0: nothing is kept. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Estimate of what it takes. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  /** The newest value of a key; undefined where that is not known. */
  get(key: string, { stamp }: Pick<SlotRuntime, "stamp">): Known | undefined {
    const entry = this.#find(key);
    if (!entry) return undefined;
    entry.asked = true;
    if (entry.issued !== undefined || entry.stamp !== stamp) return undefined;
    this.hits++;
    return entry;
  }

  /** A read has found what nothing has overtaken, at the slot's present stamp. */
  found(key: string, result: ReadResult, { stamp }: Pick<SlotRuntime, "stamp">): void {
    this.#keep(key, entryOf(result, stamp, false));
  }

  /** A version of a key leaves for the replicas. */
  issues({ key, version }: Issued): void {
    const entry = this.#find(key);
    if (!entry) return;
    if (!entry.asked) return this.#drop(key);
    entry.issued = version;
    entry.asked = false;
  }

  /** A write quorum has it. */
  installed(issued: Issued): void {
    const { key, version, stamp } = issued;
    const entry = this.#find(key);
    // If another one was issued since, that is the newest.
    if (entry?.issued === version) this.#keep(key, entryOf(issued, stamp, entry.asked));
  }

  #find(key: string): Entry | undefined {
    if (this.bytes === 0) return undefined;
    const young = this.#young.get(key);
    if (young) return young;
    const old = this.#old.get(key);
    if (old) this.#keep(key, old);
    return old;
  }

  #keep(key: string, entry: Entry): void {
    const bytes = weight(key, entry);
    const former = this.#young.get(key);
    if (former) this.#youngBytes -= weight(key, former);
    else this.#drop(key);
    this.#young.set(key, entry);
    this.#youngBytes += bytes;
    if (bytes > this.#bytesMax * SHARE_MAX) return this.#drop(key);
    if (this.#youngBytes <= this.#bytesMax / 2) return;
    this.#old = this.#young;
    this.#oldBytes = this.#youngBytes;
    this.#young = new Map();
    this.#youngBytes = 0;
  }

  #drop(key: string): void {
    const young = this.#young.get(key);
    const old = young ? undefined : this.#old.get(key);
    if (young) this.#youngBytes -= weight(key, young);
    if (old) this.#oldBytes -= weight(key, old);
    (young ? this.#young : this.#old).delete(key);
  }
}

function entryOf(known: Known, stamp: Stamp, asked: boolean): Entry {
  const { value, version } = known;
  return { value, version, origin: originOf(known), stamp, issued: undefined, asked };
}

function weight(key: string, { value }: Entry): number {
  return ENTRY_BYTES + key.length + valueWeight(value);
}
