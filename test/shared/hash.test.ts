// The hash decides where every key lives: known answers of the reference xxHash, so that no upgrade can change it unseen.
import { describe, expect, test } from "vitest";
import { hash32 } from "../../shared/hash.ts";

describe("hash32", () => {
  test.each([
    ["", 0, 0x02cc5d05],
    ["", 0x9e3779b1, 0x36b78ae7],
    ["a", 0, 0x550d7456],
    ["abc", 0, 0x32d153ff],
    ["Nobody inspects the spammish repetition", 0, 0xe2293b2f],
  ])("xxh32 of %j with seed %d is the reference's", (text, seed, expected) => {
    expect(hash32(text, seed)).toBe(expected);
  });

  test("is a whole unsigned 32-bit number for any text and seed", () => {
    for (let number = 0; number < 1_000; number++) {
      const hash = hash32(`key-${number}`, (number * 0x9e3779b1) >>> 0);
      expect(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32).toBe(true);
    }
  });

  test("hashes UTF-8 bytes: texts beyond ASCII differ from each other and from their Latin-1 look-alikes", () => {
    const texts = ["é", "e\u0301", "e", "Ã©", "日本", "😀"];
    expect(new Set(texts.map((text) => hash32(text, 7))).size).toBe(texts.length);
  });

  test("another seed is another hash", () => {
    expect(hash32("apple", 1)).not.toBe(hash32("apple", 2));
  });

  test("a text as long as the longest value hashes, and short ones still do afterwards", () => {
    const long = "x".repeat(4 * 1024 * 1024);
    expect(hash32(long, 0)).not.toBe(hash32(`${long.slice(1)}y`, 0));
    expect(hash32("abc", 0)).toBe(0x32d153ff);
  });
});
