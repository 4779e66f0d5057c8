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
import { Doorkeeper } from "./doorkeeper.ts";
import type { Issued } from "./drive.ts";

/** The newest value of a key, at the moment of asking. */
export type Known = Pick<ReadResult, "value" | "version" | "origin">;

/** What is kept of a key. Whoever writes the key holds on to it from `issues` to `installed`: it is looked up once. */
export interface Entry {
  value: WireValue | null;
  version: Version;
  origin: Version;
  /** Of the slot, when it was found: the very object. */
  stamp: Stamp;
  /** The version that was issued since, while no write quorum is known to have it. */
  issued: Version | undefined;
  /** Whether a read has asked for it since it was found, or since the latest version was issued. */
  asked: boolean;
  half: Half;
}

/** Entries that are dropped together. */
interface Half {
  readonly entries: Map<string, Entry>;
  bytes: number;
}

/** What an entry takes besides its key and value. */
const ENTRY_BYTES = 200;
/** A larger part of the whole is not kept: a few such values would drop everything else. */
const SHARE_MAX = 1 / 16;

export class ReadCache {
  /** Times that it knew. */
  hits = 0;
  readonly #bytesMax: number;
  readonly #doorkeeper: Doorkeeper;
  #young = emptyHalf();
  #old = emptyHalf();

  /** @param bytesMax Estimate of what it takes at most. 0: nothing is kept. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#doorkeeper = new Doorkeeper(bytesMax / ENTRY_BYTES);
  }

  /** Estimate of what it takes. */
  get bytes(): number {
    return this.#young.bytes + this.#old.bytes;
  }

  /** The newest value of a key; undefined where that is not known. */
  get(key: string, { stamp }: Pick<SlotRuntime, "stamp">): Known | undefined {
    const entry = this.#find(key);
    if (!entry) return undefined;
    entry.asked = true;
    if (entry.half === this.#old) this.#rejuvenate(key, entry);
    if (entry.issued !== undefined || entry.stamp !== stamp) return undefined;
    this.hits++;
    return entry;
  }

  /** A read has found what nothing has overtaken, at the slot's present stamp. Kept where the key was read lately before. */
  found(key: string, result: ReadResult, { stamp }: Pick<SlotRuntime, "stamp">): void {
    if (!this.#holds(key, result) || !this.#doorkeeper.admits(key)) return;
    const former = this.#find(key);
    if (former) this.#drop(key, former);
    const { value, version } = result;
    const half = this.#young;
    this.#add(key, { value, version, origin: originOf(result), stamp, issued: undefined, asked: false, half });
  }

  /** A version of a key leaves for the replicas. @returns what `installed` wants to know */
  issues({ key, version }: Issued): Entry | undefined {
    const entry = this.#find(key);
    if (!entry) return undefined;
    if (!entry.asked) return this.#drop(key, entry);
    entry.issued = version;
    entry.asked = false;
    return entry;
  }

  /** A write quorum has it. @param entry What `issues` has returned for it. */
  installed(issued: Issued, entry: Entry): void {
    const { key, version, value, stamp } = issued;
    // If another one was issued since, that is the newest.
    if (entry.issued !== version) return;
    const grown = valueWeight(value) - valueWeight(entry.value);
    const tooMuch = entry.half.bytes + grown > this.#bytesMax / 2;
    if (tooMuch || !this.#holds(key, issued)) return this.#drop(key, entry);
    entry.half.bytes += grown;
    entry.value = value;
    entry.version = version;
    entry.origin = originOf(issued);
    entry.stamp = stamp;
    entry.issued = undefined;
  }

  #holds(key: string, known: Known): boolean {
    return weight(key, known) <= this.#bytesMax * SHARE_MAX;
  }

  #find(key: string): Entry | undefined {
    if (this.#young.bytes > 0) {
      const entry = this.#young.entries.get(key);
      if (entry) return entry;
    }
    return this.#old.bytes > 0 ? this.#old.entries.get(key) : undefined;
  }

  #add(key: string, entry: Entry): void {
    const { half } = entry;
    half.entries.set(key, entry);
    half.bytes += weight(key, entry);
    if (half.bytes <= this.#bytesMax / 2) return;
    this.#old = half;
    this.#young = emptyHalf();
  }

  #rejuvenate(key: string, entry: Entry): void {
    this.#drop(key, entry);
    entry.half = this.#young;
    this.#add(key, entry);
  }

  #drop(key: string, entry: Entry): undefined {
    const { half } = entry;
    if (half.entries.delete(key)) half.bytes -= weight(key, entry);
  }
}

function emptyHalf(): Half {
  return { entries: new Map(), bytes: 0 };
}

function weight(key: string, { value }: Known): number {
  return ENTRY_BYTES + key.length + valueWeight(value);
}
