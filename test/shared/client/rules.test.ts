// The pure parts: what may be tried again, how lines are cut, how values travel.
import { expect, test } from "vitest";
import { Entry } from "../../../shared/client/entry.ts";
import { cutLines, lineText } from "../../../shared/client/lines.ts";
import { Operation } from "../../../shared/client/operation.ts";
import { wireValue } from "../../../shared/client/options.ts";
import { RetryBudget, backoffMs } from "../../../shared/client/retry.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import { KvError } from "../../../shared/errors.ts";
import { BATCH_OPS_MAX, lineBytesMax } from "../../../shared/limits.ts";
import { seededRandom } from "../../support/random.ts";

const error = (code: ErrorCode): KvError => new KvError(code, code);
const put = { op: "put", key: "k", value: "1", operation: "c:1" } as const;

test("C8: the first epoch of a retry is that of the first attempt that may have had an effect", () => {
  const operation = new Operation(put);
  operation.failed(error("OVERLOADED"), 3);
  expect(operation.message).toEqual(put);
  operation.failed(error("LOST"), 4);
  expect(operation.message).toEqual({ ...put, firstEpoch: 4 });
  operation.failed(error("NOT_LEADER"), 5);
  expect(operation.message).toEqual({ ...put, firstEpoch: 4 });
});

test("C8: without a known epoch a lost write is not sent again", () => {
  expect(new Operation(put).failed(error("LOST"), 0).kind).toBe("fail");
  expect(new Operation({ op: "get", key: "k" }).failed(error("LOST"), 0).kind).toBe("again");
});

test("C8: once in doubt, later refusals leave it unknown; a condition proven false settles it", () => {
  const operation = new Operation(put);
  operation.failed(error("LOST"), 3);
  expect(operation.finalError(error("OVERLOADED")).outcome).toBe("unknown");
  expect(operation.finalError(error("NO_LEADER")).outcome).toBe("unknown");
  expect(operation.finalError(error("CONDITION_FAILED")).outcome).toBe("failed");
});

test("moves to another leader do not use up the three attempts", () => {
  const operation = new Operation(put);
  for (let n = 0; n < 10; n++)
    expect(operation.failed(error("NOT_LEADER"), 3)).toEqual({ kind: "elsewhere", moves: n + 1 });
  expect(operation.failed(error("OVERLOADED"), 3)).toEqual({ kind: "again", attempts: 1 });
  expect(operation.failed(error("OVERLOADED"), 3)).toEqual({ kind: "again", attempts: 2 });
  expect(operation.failed(error("OVERLOADED"), 3).kind).toBe("fail");
});

test("the budget gives one retry for ten operations once the savings are spent", () => {
  const budget = new RetryBudget();
  let saved = 0;
  while (budget.spend()) saved++;
  for (let n = 0; n < 105; n++) budget.earn();
  let earned = 0;
  while (budget.spend()) earned++;
  expect([saved, earned]).toEqual([1_000, 10]);
});

test("back-off is jitter over a bound that doubles up to a second", () => {
  expect([1, 2, 3, 20].map((attempt) => backoffMs(attempt, 0.5))).toEqual([25, 50, 100, 500]);
  expect(backoffMs(5, 0)).toBe(0);
});

test("lines keep the order, respect both limits, and hold what cannot be batched alone", () => {
  const seed = Date.now() % 2 ** 31;
  const random = seededRandom(seed);
  for (let round = 0; round < 200; round++) {
    const pieces = Array.from({ length: Math.floor(random() * 50) }, (_, n) => {
      const json = `{"n":${n},"x":"${"x".repeat(Math.floor(random() * 300))}"}`;
      return { json, bytes: json.length, batchable: random() < 0.9 };
    });
    const lines = cutLines(pieces, 1_000);
    expect(lines.flat(), `seed ${seed}`).toEqual(pieces);
    for (const line of lines) {
      expect(lineText(line, 123_456_789).length, `seed ${seed}`).toBeLessThanOrEqual(1_000);
      expect(line.length === 1 || line.every(({ batchable }) => batchable), `seed ${seed}`).toBe(true);
      const parsed = JSON.parse(lineText(line, 5)) as { ops?: unknown[] };
      expect(parsed.ops?.length ?? 1).toBe(line.length);
    }
  }
});

test("a line holds no more operations than a coordinator takes", () => {
  const pieces = Array.from({ length: BATCH_OPS_MAX + 1 }, () => ({ json: "{}", bytes: 2, batchable: true }));
  expect(cutLines(pieces, 2 ** 20).map(({ length }) => length)).toEqual([BATCH_OPS_MAX, 1]);
});

test("a value of any characters stays within the line limit, and comes back as it was", () => {
  const bytesMax = 1024 * 1024;
  for (const character of ["a", "\u0000", '"', "ä", "€", "😀"]) {
    const text = character.repeat(Math.floor(bytesMax / Buffer.byteLength(character)));
    const value = wireValue(text, bytesMax);
    const line = JSON.stringify({ id: 1, op: "put", key: "\u0000".repeat(1024), value });
    expect(Buffer.byteLength(line), JSON.stringify(character)).toBeLessThanOrEqual(lineBytesMax(bytesMax));
    expect(new Entry({ key: "k", version: "3.1", value, stale: false }).text() === text).toBe(true);
  }
});

test("bytes that are a part of a larger buffer travel as just that part", () => {
  const value = wireValue(Uint8Array.of(9, 1, 2, 3, 9).subarray(1, 4), 10);
  expect(new Entry({ key: "k", version: "3.1", value, stale: false }).bytes).toEqual(Uint8Array.of(1, 2, 3));
});

test("bytes that are no UTF-8 are not shown as text", () => {
  const entry = new Entry({ key: "k", version: "3.1", value: { base64: "/w==" }, stale: false });
  expect(() => entry.text()).toThrow(/not UTF-8/);
  expect(new Entry({ key: "k", version: "3.1", value: { base64: "77u/YQ==" }, stale: false }).text()).toBe("\ufeffa");
});
