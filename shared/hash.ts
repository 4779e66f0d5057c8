// The one hash of the system: xxHash, 32 bits. Slots, ring tokens and digests all come from it, so two builds that
// disagreed here would look for the same key in different places: test/shared/hash.test.ts pins known answers.
// 32 bits, not 64: the 64-bit hash would cost a BigInt per operation. Not a defence against chosen keys.
import xxhash from "xxhash-wasm";

const xxh = await xxhash();

/**
 * xxh32 of the UTF-8 bytes of a text, as an unsigned 32-bit number.
 * @param text Unpaired surrogates hash like U+FFFD: the border refuses such keys before they come here.
 * @param seed Unsigned 32-bit number.
 * @see https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
export function hash32(text: string, seed: number): number {
  return xxh.h32(text, seed);
}
