// FNV-1a over the code units of a text, its high bits folded into the low ones: a hash for tables in memory, made without leaving
// JavaScript. It is weak: where strangers choose the texts, salt it with a number that they cannot know. Never stored nor sent; hash.ts
// is for that. Pure.

const BASIS = 0x811c9dc5;
const PRIME = 0x01000193;

/** 32 bits. @param salt 32 bits, too. */
export function fnv1a(text: string, salt: number): number {
  let hash = BASIS ^ salt;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), PRIME);
  return (hash ^ (hash >>> 15)) >>> 0;
}
