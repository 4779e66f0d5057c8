// Order of keys: that of their UTF-8 bytes, which is also that of their code points. Plain string comparison differs from it
// where surrogate pairs meet U+E000–U+FFFF, and the table on disk sorts bytes.

/** Negative, zero or positive as `a` sorts before, with or after `b`. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Lifts surrogates above the rest of the basic plane, where their code points are. */
function rank(codeUnit: number): number {
  if (codeUnit < 0xd8_00) return codeUnit;
  return codeUnit < 0xe0_00 ? codeUnit + 0x20_00 : codeUnit - 0x8_00;
}
