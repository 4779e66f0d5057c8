// Compact lines: what a node takes them for is what was meant, and what is wrong with them is said by its place.
import { describe, expect, test } from "vitest";
import { LineTexts } from "../../../coordinator/links/line-texts.ts";
import { KvError } from "../../../shared/errors.ts";
import { BATCH_OPS_MAX } from "../../../shared/limits.ts";
import { foundAt, foundFields } from "../../../shared/protocol/compact.ts";
import type { DataOp, OpResult } from "../../../shared/protocol/node-messages.ts";
import type { ClientBatchRequest } from "../../../shared/protocol/client-messages.ts";
import { parseCoordinatorRequest } from "../../../shared/protocol/parse-client-request.ts";
import { parseNodeRequest } from "../../../shared/protocol/parse-node-request.ts";

const UUID = "11111111-1111-4111-8111-111111111111";
const envelope = { id: 4, op: "batch", group: 0, cluster: UUID, node: "A", incarnation: UUID, epoch: 3 };

const texts = ["plain", 'a "quote"', "back\\slash", "line\nbreak\u0000", "äöü €", "\u{1f600}", "\u2028"];

describe.each(texts)("%j", (text) => {
  const place = { slot: 4095, stamp: [3, 17] } as const;
  const cases: Record<string, DataOp[]> = {
    writes: [
      { op: "write", ...place, key: text, version: [3, 2 ** 47], value: text, operation: text },
      { op: "write", slot: 0, stamp: [2, 2 ** 47], key: text, version: [3, 1], value: null, operation: "" },
      { op: "write", ...place, key: text, version: [3, 1], value: { base64: "AAEC" }, operation: "x:1" },
    ],
    reads: [
      { op: "read", ...place, key: text, brief: false },
      { op: "read", slot: 1, stamp: [1, 1], key: text, brief: true },
    ],
  };
  test.each(Object.entries(cases))("%s", (form, ops) => {
    const line = new LineTexts((written) => Buffer.from(written)).of({ ...envelope, ops });
    expect(parseNodeRequest(JSON.parse(line as string) as Record<string, unknown>)).toEqual({ ...envelope, form, ops });
  });

  test("what was found", () => {
    const results: OpResult[] = [
      { status: "ok", version: [3, 4], value: text, operation: text },
      { status: "ok", version: [2, 2 ** 47], value: null },
      { status: "ok", version: [0, 0], value: { base64: "AAEC" } },
      { status: "ok", version: [9, 9] },
    ];
    const found = JSON.parse(JSON.stringify(foundFields(results))) as unknown[];
    expect(results.map((_, index) => foundAt(found, index, index === 3))).toEqual(results);
  });
});

test("what was refused or mended is told as results are", () => {
  expect(foundFields([{ status: "error", code: "NOT_OWNER", message: "" }])).toBeUndefined();
  expect(foundFields([{ status: "ok", version: [3, 4], origin: [1, 1], value: "v" }])).toBeUndefined();
});

test("a client's puts and gets, with one time for all", () => {
  const line = {
    id: 4,
    op: "batch",
    timeoutMs: 900,
    rows: [7, "k", "v", "x:1", 8, "k", false, "", 9, "k", { base64: "AAEC" }, ""],
  };
  const time = { timeoutMs: 900 };
  expect(parseCoordinatorRequest(line, 100)).toEqual({
    id: 4,
    op: "batch",
    ops: [
      { id: 7, op: "put", key: "k", value: "v", operation: "x:1", ...time },
      { id: 8, op: "get", key: "k", ...time },
      { id: 9, op: "put", key: "k", value: { base64: "AAEC" }, operation: "", ...time },
    ],
  });
  const { ops } = parseCoordinatorRequest({ ...line, timeoutMs: undefined }, 100) as ClientBatchRequest;
  expect(ops.map(({ timeoutMs }) => timeoutMs)).toEqual([2_000, 2_000, 2_000]);
});

const row = [7, "k", "v", "x:1"];

test.each([
  ["an id", { rows: ["7", "k", "v", ""] }, /^rows\[0\]\.id: /],
  ["a key", { rows: [...row, 8, "", "v", ""] }, /^rows\[1\]\.key: /],
  ["a value", { rows: [7, "k", true, ""] }, /^rows\[0\]\.value: /],
  ["a value too large", { rows: [7, "k", "v".repeat(101), ""] }, /^rows\[0\]\.value: 101 bytes, the limit is 100/],
  ["an operation", { rows: [7, "k", "v", 1] }, /^rows\[0\]\.operation: /],
  ["a time", { rows: row, timeoutMs: 0 }, /^timeoutMs: /],
  ["a row cut short", { rows: row.slice(1) }, /^rows: expected a list/],
  ["both forms", { rows: row, ops: [] }, /^ops, rows: expected one of them/],
])("bad input of a client: %s", (_what, line, says) => {
  expect(() => parseCoordinatorRequest({ id: 4, op: "batch", ...line }, 100)).toThrow(says);
});

const write = [7, 3, 17, 9, "k", "v", "x:1"];
const read = [7, 3, 17, "k", 0];
const without = (row: readonly unknown[], place: number, field: unknown): unknown[] =>
  row.map((old, at) => (at === place ? field : old));

const WRONG: readonly (readonly [what: string, line: object, says: RegExp])[] = [
  ["no list", { writes: "k" }, /^writes: expected a list/],
  ["a row cut short", { writes: write.slice(1) }, /^writes: expected a list/],
  ["too many", { reads: Array.from({ length: BATCH_OPS_MAX + 1 }, () => read).flat() }, /^reads: expected a list/],
  ["slot", { writes: [...write, ...without(write, 0, 4096)] }, /^writes\[1\]\.slot: expected a slot/],
  ["stamp", { writes: without(write, 2, -1) }, /^writes\[0\]\.stamp: /],
  ["stamp of a read", { reads: [...read, ...without(read, 1, "3")] }, /^reads\[1\]\.stamp: /],
  ["version", { writes: without(write, 3, 1.5) }, /^writes\[0\]\.version: /],
  ["key", { writes: without(write, 4, "") }, /^writes\[0\]\.key: /],
  ["value", { writes: without(write, 5, 5) }, /^writes\[0\]\.value: /],
  ["operation", { writes: without(write, 6, null) }, /^writes\[0\]\.operation: /],
  ["brief", { reads: without(read, 4, true) }, /^reads\[0\]\.brief: /],
];

test.each(WRONG)("bad input: %s", (_what, line, says) => {
  expect(() => parseNodeRequest({ ...envelope, ...line })).toThrow(KvError);
  expect(() => parseNodeRequest({ ...envelope, ...line })).toThrow(says);
});
