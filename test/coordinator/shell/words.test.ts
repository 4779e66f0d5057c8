import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../../coordinator/shell/failure.ts";
import { quoteWord, splitWords } from "../../../coordinator/shell/words.ts";

const texts = (line: string): string[] => splitWords(line).map(({ text }) => text);

describe("words of a line", () => {
  test("blanks separate, quotes keep blanks, a backslash keeps what follows", () => {
    expect(texts("  put  a\tb ")).toEqual(["put", "a", "b"]);
    expect(texts(`put "hello world" 'it is "so"' a\\ b`)).toEqual(["put", "hello world", 'it is "so"', "a b"]);
    expect(texts(`"a""b"c '' "say \\"hi\\"\\n\\\\ \\d"`)).toEqual(["abc", "", 'say "hi"\n\\ \\d']);
    expect(texts("")).toEqual([]);
  });

  test("a quoted word is marked, so that it is never an option", () => {
    expect(splitWords(`--force "--force" \\--force`)).toEqual([
      { text: "--force", quoted: false },
      { text: "--force", quoted: true },
      { text: "--force", quoted: true },
    ]);
  });

  test("a quote that is never closed and a last backslash are refused with what to type", () => {
    expect(() => splitWords('put a "hello')).toThrow(/quote that opens at "hello is never closed/);
    expect(() => splitWords("put a 'hello")).toThrow(UsageError);
    expect(() => splitWords("put a\\")).toThrow(/ends in a backslash/);
  });

  test("what quoteWord writes reads back as the same word", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(texts(quoteWord(text))).toEqual([text]);
      }),
    );
  });
});
