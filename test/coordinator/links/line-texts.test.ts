// Texts of lines: what JSON.stringify would make of the message, whatever was written before.
import { expect, test } from "vitest";
import { LineTexts } from "../../../coordinator/links/line-texts.ts";

const place = { slot: 7, stamp: [1, 1] } as const;
const read = { op: "read", ...place, key: 'a "quoted" key' } as const;
const write = { op: "write", ...place, version: [1, 2], key: "k", value: "line\nbreak", operation: "x:1" } as const;
const batch = { id: 4, op: "batch", group: 0, cluster: "c", node: "A", incarnation: "i", epoch: 1, ops: [read, write] };

/** The line that a connection makes of it. */
function lineOf(texts: LineTexts, message: object): string {
  const line = texts.of(message);
  return typeof line === "string" ? line : (line.head + Buffer.from(line.rest).toString()).replace(/\n$/, "");
}

const newTexts = (): LineTexts => new LineTexts((text) => Buffer.from(text));

test("a batch line is the JSON of the message, also the second time", () => {
  const texts = newTexts();
  for (let time = 1; time <= 2; time++) expect(lineOf(texts, batch)).toBe(JSON.stringify(batch));
  expect(lineOf(texts, { ...batch, id: 5, node: "B", ops: [write] })).toBe(
    JSON.stringify({ ...batch, id: 5, node: "B", ops: [write] }),
  );
  texts.clear();
  expect(lineOf(texts, batch)).toBe(JSON.stringify(batch));
});

test("a batch line without operations, and every other message, is the JSON of the message", () => {
  const texts = newTexts();
  for (const message of [
    { ...batch, ops: [] },
    { id: 1, op: "ping" },
    { id: 2, op: "prepare", ops: "none" },
  ]) {
    expect(lineOf(texts, message)).toBe(JSON.stringify(message));
  }
});

test("lines of the same writes to several nodes share the bytes of these writes, until the turn ends", () => {
  const texts = newTexts();
  const writes = Array.from({ length: 5 }, (_, n) => ({ ...write, key: `k${n}` }));
  const [first, second, other] = [writes, [...writes], writes.slice(1)].map((ops, n) =>
    texts.of({ ...batch, id: n, node: "ABC"[n], ops }),
  );
  expect((first as { rest: Uint8Array }).rest).toBe((second as { rest: Uint8Array }).rest);
  expect((other as { rest: Uint8Array }).rest).not.toBe((first as { rest: Uint8Array }).rest);
  texts.clear();
  expect(lineOf(texts, { ...batch, ops: writes })).toBe(JSON.stringify({ ...batch, ops: writes }));
});
