// Records survive their binary form: in batches of the log and as values of the table.
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  BodyWalk,
  readBody,
  readRecords,
  RecordWriter,
  writeBody,
  writeRecord,
} from "../../../storage-node/engine/record-codec.ts";
import {
  countBody,
  countTableValue,
  readTableValue,
  writeTableKey,
  writeTableValue,
} from "../../../storage-node/engine/table-format.ts";
import { decodeMeta, encodeMeta } from "../../../storage-node/engine/table-format.ts";
import { blankControlState } from "../../../storage-node/engine/control-state.ts";
import { counted } from "../../../storage-node/engine/slot-account.ts";
import type { LogRecord } from "../../../storage-node/engine/engine.ts";
import type { Body } from "../../../storage-node/engine/record-codec.ts";
import type { StoredRecord } from "../../../shared/record.ts";
import type { Incarnation, OwnerId } from "../../../shared/ids.ts";
import { ZERO } from "../../../shared/version.ts";

const pair = fc
  .tuple(fc.nat({ max: 2 ** 31 - 1 }), fc.nat({ max: 2 ** 31 - 1 }))
  .map(([a, b]) => [a * 2 + (b & 1), b * 2 ** 17 + (a % 2 ** 17)] as const);
const slot = fc.nat({ max: 4095 });
const text = fc.string({ unit: "grapheme", maxLength: 80 });
const value = fc.oneof(
  fc.constant(null),
  text,
  fc.uint8Array({ maxLength: 200 }).map((bytes) => ({ base64: Buffer.from(bytes).toString("base64") })),
);
const record = fc.record({
  version: pair,
  origin: pair,
  value,
  operation: fc.string({ unit: "grapheme", maxLength: 15 }),
});
const key = fc.string({ unit: "grapheme", minLength: 1, maxLength: 100 });
const slots = fc.array(slot, { maxLength: 5 });
const logRecord: fc.Arbitrary<LogRecord> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant("write" as const), slot, key, record }) },
  fc.record({ type: fc.constant("remove" as const), slot, keys: fc.array(key, { maxLength: 4 }) }),
  fc.record({ type: fc.constant("purge" as const), slot, upTo: pair }),
  fc.record({
    type: fc.constant("role" as const),
    slots,
    role: fc.constantFrom("none" as const, "member" as const, "incoming" as const),
    stamp: pair,
    wipe: fc.boolean(),
  }),
  fc.record({ type: fc.constant("stamp" as const), slots, stamp: pair }),
  fc.record({ type: fc.constant("fence" as const), group: fc.constant(0 as const), epoch: fc.nat() }),
  fc.record({ type: fc.constant("promise" as const), epoch: fc.nat(), owner: fc.uuid().map((id) => id as OwnerId) }),
  fc.record({ type: fc.constant("accept" as const), ballot: pair, state: text }),
);

/** The records of a payload. */
function decode(payload: Buffer): LogRecord[] {
  const records: LogRecord[] = [];
  readRecords(payload, {
    write: (slotNumber, name, { bytes, start, end }) =>
      records.push({ type: "write", slot: slotNumber, key: name, record: readBody(bytes, start, end) }),
    control: (one) => records.push(one),
  });
  return records;
}

/** Key and value of the table for a register. */
function tableForm(
  number: number,
  name: string,
  stored: StoredRecord,
): { keyBytes: Buffer; valueBytes: Buffer; body: Body } {
  const bodyWriter = new RecordWriter(16);
  writeBody(bodyWriter, stored);
  const body = { bytes: bodyWriter.buffer, start: 0, end: bodyWriter.length };
  const writer = new RecordWriter(16);
  writeTableKey(writer, number, name);
  const keyBytes = Buffer.from(writer.buffer.subarray(0, writer.length));
  writeTableValue(writer, 0, { body, leftOut: false });
  return { keyBytes, valueBytes: Buffer.from(writer.buffer.subarray(keyBytes.length, writer.length)), body };
}

test("any row of records comes back from a batch as it was", () => {
  fc.assert(
    fc.property(fc.array(logRecord, { maxLength: 20 }), (records) => {
      const writer = new RecordWriter(16);
      for (const one of records) writeRecord(writer, one);
      expect(decode(writer.buffer.subarray(0, writer.length))).toEqual(records);
    }),
  );
});

test("a walk over a batch stands on the body of each register, and on nothing for other records", () => {
  fc.assert(
    fc.property(fc.array(logRecord, { maxLength: 20 }), (records) => {
      const writer = new RecordWriter(16);
      for (const one of records) writeRecord(writer, one);
      const walk = new BodyWalk(writer.buffer.subarray(0, writer.length));
      for (const one of records) {
        walk.next();
        if (one.type === "write") expect(readBody(walk.bytes, walk.start, walk.end)).toEqual(one.record);
        else expect(walk.start).toBe(walk.end);
      }
      expect(walk.end).toBe(writer.length);
    }),
  );
});

test("any register comes back from the table as it was, and counts there as it does in memory", () => {
  fc.assert(
    fc.property(slot, key, record, (number, name, stored) => {
      const { keyBytes, valueBytes, body } = tableForm(number, name, stored);
      expect(readTableValue(keyBytes, valueBytes)).toEqual(stored);
      for (const purged of [ZERO, stored.version])
        expect(countBody(name, body, purged)).toEqual(counted(name, stored, purged));
      expect(countTableValue(keyBytes, name, valueBytes)).toEqual({
        ...counted(name, stored, ZERO),
        digest: expect.anything() as unknown,
      });
    }),
  );
});

test("a flipped bit of a table value, or another key, is found by the checksum", () => {
  const { keyBytes, valueBytes } = tableForm(5, "apple", {
    version: [3, 4],
    origin: [3, 1],
    value: "some value",
    operation: "op",
  });
  for (let bit = 0; bit < valueBytes.length * 8; bit++) {
    const damaged = Buffer.from(valueBytes);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => readTableValue(keyBytes, damaged)).toThrow(/damaged record \(slot 5\)/);
  }
  expect(() => readTableValue(Buffer.from([0, 5, 98]), valueBytes)).toThrow(/rejoin it with an empty data directory/);
});

test("a record cut short, or of an unknown kind, is refused", () => {
  const writer = new RecordWriter(16);
  writeRecord(writer, { type: "fence", group: 0, epoch: 3 });
  expect(() => decode(writer.buffer.subarray(0, writer.length - 1))).toThrow(RangeError);
  expect(() => decode(Buffer.from([9]))).toThrow(/unknown kind 9: it was written by a newer program/);
});

test("the control state comes back from the table as it was", () => {
  const control = blankControlState("i" as Incarnation);
  const first = control.slots[0];
  const last = control.slots[4095];
  if (first) Object.assign(first, { role: "incoming", stamp: [2 ** 32 - 1, 2 ** 48 - 1], since: [3, 4], copied: true });
  if (last) Object.assign(last, { role: "member", purged: [5, 6] });
  control.fence = 12;
  control.voter = { promised: 3, owner: "o" as OwnerId, ballot: [3, 1], state: "größe" };
  const meta = { control, applied: 7, batch: 99, position: 2 ** 40 };
  expect(decodeMeta(encodeMeta(meta))).toEqual(meta);
});
