import fc from "fast-check";
import { expect, test } from "vitest";
import { cut, durationText, safeText, shownValue, sizeText } from "../../../coordinator/shell/text.ts";

test("nothing that a terminal obeys leaves the shell", () => {
  expect(safeText("plain ünïcode 漢字")).toBe("plain ünïcode 漢字");
  expect(safeText("\u001b[2Jboo\u009b")).toBe('"\\u001b[2Jboo\\u009b"');
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      // oxlint-disable-next-line no-control-regex
      expect(safeText(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
    }),
  );
});

test("bytes that are text are shown as text, others as base64 with a note", () => {
  expect(shownValue("abc")).toBe("abc");
  expect(shownValue({ base64: "YWJj" })).toBe("abc");
  expect(shownValue({ base64: "/w==" })).toBe("/w== (base64 of 1 byte: not text)");
});

test("a cut never splits a surrogate pair", () => {
  expect(cut("abcdef", 4)).toBe("abc…");
  expect(cut("ab😀def", 4)).toBe("ab…");
});

test("sizes and durations stay short", () => {
  expect([0, 1023, 1024, 5_000_000].map(sizeText)).toEqual(["0 B", "1023 B", "1.0 KiB", "4.8 MiB"]);
  expect([0.42, 12.6, 3_200, 125_000, 7_500_000, 90_000_000].map(durationText)).toEqual([
    "0.4 ms",
    "13 ms",
    "3.2 s",
    "2 min 5 s",
    "2 h 5 min",
    "1 d 1 h",
  ]);
});
