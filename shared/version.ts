// Version, ballot and stamp: three pairs (epoch, counter) with one order. A pair is made by the leader of its epoch, so no
// two leaders ever make the same one. On the wire a pair is a two-element array; users see `3.1042`, an opaque string.

/** (epoch, n). Version: contents of a register. Ballot: cluster states. Stamp: memberships of a slot. (0,0) is "absent". */
export type Pair = readonly [epoch: number, n: number];
export type Version = Pair;
export type Ballot = Pair;
export type Stamp = Pair;

/** Lower than every pair a leader makes: an absent register, a slot never stamped. */
export const ZERO: Pair = [0, 0];

/** Negative, zero or positive as `a` is lower than, equal to or higher than `b`. */
export function compare(a: Pair, b: Pair): number {
  return a[0] === b[0] ? a[1] - b[1] : a[0] - b[0];
}

export function equal(a: Pair, b: Pair): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

export function highest(a: Pair, b: Pair): Pair {
  return compare(a, b) >= 0 ? a : b;
}

export function isZero(pair: Pair): boolean {
  return pair[0] === 0 && pair[1] === 0;
}

/** `3.1042`: what users see, and what they hand back in a condition. */
export function format(pair: Pair): string {
  return `${pair[0]}.${pair[1]}`;
}

/** The inverse of `format`; undefined for any other text. */
export function parsePair(text: string): Pair | undefined {
  const match = /^(0|[1-9]\d{0,9})\.(0|[1-9]\d{0,14})$/.exec(text);
  return match ? [Number(match[1]), Number(match[2])] : undefined;
}
