import { expect, test } from "vitest";
import { editDistance, nearest } from "../../../coordinator/shell/suggest.ts";

test("a swap of neighbours counts once, other edits one each", () => {
  expect(editDistance("gte", "get")).toBe(1);
  expect(editDistance("kitten", "sitting")).toBe(3);
  expect(editDistance("", "abc")).toBe(3);
});

test("only what is near is suggested", () => {
  expect(nearest("node-2", ["node-1", "other"])).toBe("node-1");
  expect(nearest("zebra", ["node-1", "other"])).toBeUndefined();
  expect(nearest("x", ["a"])).toBeUndefined();
});
