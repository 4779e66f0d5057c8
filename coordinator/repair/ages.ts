// Ages: which versions are certainly old (N9). From time to time the leader notes the newest version it has given; whatever is not newer
// than a note was issued before it. Counted in the leader's own running time, so that a process that was stopped does not believe that
// time has passed; and from its own beginning, since it cannot know how old is what it found.
import type { Version } from "../../shared/version.ts";

/** Longest step that counts: a later look means that the process did not run. */
const STEP_MS_MAX = 1_000;
/** Notes within one grace period. */
const NOTES = 8;

export class Ages {
  readonly #graceMs: number;
  #runMs = 0;
  #lookedAt: number | undefined;
  readonly #notes: { readonly atRunMs: number; readonly version: Version }[] = [];

  /** @param graceMs Age from which on a tombstone may go. */
  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** How long this leader has been running. */
  get runMs(): number {
    return this.#runMs;
  }

  /** Called often. @param newest The newest version given; asked for only when it is noted. */
  look(now: number, newest: () => Version): void {
    if (this.#lookedAt !== undefined) this.#runMs += Math.min(STEP_MS_MAX, now - this.#lookedAt);
    this.#lookedAt = now;
    const last = this.#notes.at(-1);
    if (last && this.#runMs - last.atRunMs < this.#graceMs / NOTES) return;
    this.#notes.push({ atRunMs: this.#runMs, version: newest() });
    // Only the newest of those that are old enough is of use.
    while (this.#notes[1] && this.#runMs - this.#notes[1].atRunMs >= this.#graceMs) this.#notes.shift();
  }

  /** Versions up to this one are older than the grace period; undefined while none certainly is. */
  get oldUpTo(): Version | undefined {
    const [first] = this.#notes;
    return first && this.#runMs - first.atRunMs >= this.#graceMs ? first.version : undefined;
  }
}
