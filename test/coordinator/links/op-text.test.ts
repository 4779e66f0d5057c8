// Text of an operation: parsed, it is the operation again, whatever its texts are made of.
import { describe, expect, test } from "vitest";
import { opText } from "../../../coordinator/links/op-text.ts";
import type { DataOp } from "../../../shared/protocol/node-messages.ts";

const texts = ["", "plain", 'a "quote"', "back\\slash", "line\nbreak\u0000", "äöü €", "\u{1f600}", "\u2028"];
const place = { slot: 4095, stamp: [3, 17] } as const;

describe.each(texts)("%j", (text) => {
  const ops: DataOp[] = [
    { op: "read", ...place, key: text },
    { op: "read", ...place, key: text, brief: true },
    { op: "write", ...place, key: text, version: [3, 2 ** 47], value: text },
    { op: "write", ...place, key: text, version: [3, 1], value: null, operation: text },
    { op: "copy", ...place, key: "k", version: [3, 1], origin: [2, 9], value: { base64: "AAEC" }, operation: "x:1" },
    { op: "remove", ...place, keys: [text] },
  ];
  test.each(ops)("$op", (op) => {
    expect(JSON.parse(opText(op))).toEqual(op);
  });
});
