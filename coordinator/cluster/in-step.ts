// In step: whether all members of a slot are known to hold the same, but for writes on their way. One of them can speak for all then (C6).
//
// Known is that from a comparison: equal digests at all members, asked at this leader's epoch and the slot's present stamp, so that nothing
// of an older leader or an older membership can arrive any more. From there on every change is a write of this leader, and is counted
// until all members have acknowledged it. One that a member did not acknowledge has gone astray: the slot is out of step, until it is
// compared again. Where it had gone astray before, a comparison that finds no difference finds it everywhere, as some member had it;
// one that no member is known to have is adrift: it may surface at one member alone at any time, and keeps the slot out of step.
//
// A node that is greeted, and a slot that is held to change hands, are out of step as well: what a node brings back from its disk, and what
// an attempt left behind that was given up, is compared before anybody relies on it alone.

export class InStep {
  #equal = false;
  #onTheirWay = 0;
  #adrift = 0;
  #disturbances = 0;

  /** Whether a comparison has found all members equal, and nothing went astray since. */
  get known(): boolean {
    return this.#equal;
  }

  /** Writes that neither all members have acknowledged, nor have gone astray. */
  get onTheirWay(): number {
    return this.#onTheirWay;
  }

  /** Whether all members hold the same at this moment. */
  get now(): boolean {
    return this.#equal && this.#onTheirWay === 0;
  }

  /** Grows with every disturbance: what a comparison found stands where there was none since it began. */
  get disturbances(): number {
    return this.#disturbances;
  }

  /** A write leaves for all members. */
  sent(): void {
    this.#onTheirWay++;
  }

  /** All members have acknowledged it. */
  arrived(): void {
    this.#onTheirWay--;
  }

  /** A member did not acknowledge it. @param held Whether another one had. */
  strayed(held: boolean): void {
    this.#onTheirWay--;
    if (!held) this.#adrift++;
    this.disturb();
  }

  /** A member acknowledged what was adrift. */
  surfaced(): void {
    this.#adrift--;
    this.disturb();
  }

  /** What was adrift was refused by every member, and will not be sent again. */
  sank(): void {
    this.#adrift--;
  }

  /** Something may differ from here on. */
  disturb(): void {
    this.#equal = false;
    this.#disturbances++;
  }

  /** All members answered a comparison, and hold the same. @param since Disturbances when it began. */
  foundEqual(since: number): void {
    if (since === this.#disturbances && this.#adrift === 0) this.#equal = true;
  }
}
