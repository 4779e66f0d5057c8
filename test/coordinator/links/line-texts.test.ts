// Texts of lines: what JSON.stringify would make of the message, whatever was written before.
import { expect, test } from "vitest";
import { LineTexts } from "../../../coordinator/links/line-texts.ts";

const read = { op: "read", slot: 7, stamp: [1, 1], key: 'a "quoted" key' } as const;
const write = { ...read, op: "write", version: [1, 2], value: "line\nbreak", operation: "x:1" } as const;
const batch = { id: 4, op: "batch", group: 0, cluster: "c", node: "A", incarnation: "i", epoch: 1, ops: [read, write] };

test("a batch line is the JSON of the message, also the second time", () => {
  const texts = new LineTexts();
  for (let time = 1; time <= 2; time++) expect(texts.of(batch)).toBe(JSON.stringify(batch));
  expect(texts.of({ ...batch, id: 5, node: "B", ops: [write] })).toBe(
    JSON.stringify({ ...batch, id: 5, node: "B", ops: [write] }),
  );
  texts.clear();
  expect(texts.of(batch)).toBe(JSON.stringify(batch));
});

test("a batch line without operations, and every other message, is the JSON of the message", () => {
  const texts = new LineTexts();
  for (const message of [
    { ...batch, ops: [] },
    { id: 1, op: "ping" },
    { id: 2, op: "prepare", ops: "none" },
  ]) {
    expect(texts.of(message)).toBe(JSON.stringify(message));
  }
});
