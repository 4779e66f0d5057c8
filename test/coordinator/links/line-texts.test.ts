// Texts of lines: what JSON.stringify would make of the message as it is sent, whatever was written before.
import { expect, test } from "vitest";
import { LineTexts } from "../../../coordinator/links/line-texts.ts";
import { asSent } from "../../support/compact-line.ts";

const place = { slot: 7, stamp: [1, 1] } as const;
const read = { op: "read", ...place, key: 'a "quoted" key' } as const;
const write = { op: "write", ...place, version: [1, 2], key: "k", value: "line\nbreak", operation: "x:1" } as const;
const envelope = { id: 4, op: "batch", group: 0, cluster: "c", node: "A", incarnation: "i", epoch: 1 };
const lines: readonly { readonly ops: readonly object[]; readonly compact: boolean }[] = [
  { ops: [write], compact: true },
  { ops: [read, { ...read, brief: true }], compact: true },
  { ops: [read, write], compact: false },
  { ops: [{ ...write, op: "copy" }], compact: false },
  { ops: [write, { ...write, origin: [1, 1] }], compact: false },
  { ops: [{ ...write, version: [0, 9] }], compact: false },
  { ops: [{ op: "seal", slots: [1], stamp: [1, 1] }], compact: false },
  { ops: [], compact: true },
];

/** The line that a connection makes of it. */
function lineOf(texts: LineTexts, message: object): unknown {
  const line = texts.of(message);
  return JSON.parse(typeof line === "string" ? line : line.head + Buffer.from(line.rest).toString());
}

const newTexts = (): LineTexts => new LineTexts((text) => Buffer.from(text));

test("plain writes, and reads, are sent compact, everything else as it is; the second time, too", () => {
  const texts = newTexts();
  for (const { ops, compact } of [...lines, ...lines]) {
    const message = { ...envelope, ops };
    expect(lineOf(texts, message)).toEqual(asSent(message));
    expect("ops" in asSent(message), JSON.stringify(ops)).toBe(!compact);
  }
});

test("every other message is the JSON of the message", () => {
  for (const message of [
    { id: 1, op: "ping" },
    { id: 2, op: "prepare", ops: "none" },
  ])
    expect(lineOf(newTexts(), message)).toEqual(message);
});

test("lines of the same writes to several nodes share the bytes of these writes, until the turn ends", () => {
  const texts = newTexts();
  const writes = Array.from({ length: 5 }, (_, n) => ({ ...write, key: `k${n}` }));
  const [first, second, other] = [writes, [...writes], writes.slice(1)].map((ops, n) =>
    texts.of({ ...envelope, id: n, node: "ABC"[n], ops }),
  );
  expect((first as { rest: Uint8Array }).rest).toBe((second as { rest: Uint8Array }).rest);
  expect((other as { rest: Uint8Array }).rest).not.toBe((first as { rest: Uint8Array }).rest);
  texts.clear();
  const message = { ...envelope, ops: writes };
  expect(lineOf(texts, message)).toEqual(asSent(message));
});
