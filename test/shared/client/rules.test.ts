// The pure parts: what may be tried again, how lines are cut, how values travel.
import { expect, test } from "vitest";
import { Entry } from "../../../shared/client/entry.ts";
import { LINE_OPS_MAX, LineCutter, type LineKind } from "../../../shared/client/lines.ts";
import { Operation } from "../../../shared/client/operation.ts";
import type { ClientMessage } from "../../../shared/client/operation-text.ts";
import { operationFields, operationText } from "../../../shared/client/operation-text.ts";
import { wireValue } from "../../../shared/client/options.ts";
import { RetryBudget, backoffMs } from "../../../shared/client/retry.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import { KvError } from "../../../shared/errors.ts";
import { lineBytesMax } from "../../../shared/limits.ts";
import { LEVELS } from "../../../shared/protocol/client-messages.ts";
import { asRequested } from "../../support/compact-line.ts";
import { seededRandom } from "../../support/random.ts";

const error = (code: ErrorCode): KvError => new KvError(code, code);
const TEXTS = ["a", '"', "\\", "\n", "\u0000", "\u001f", "\u007f", "ä", "€", "😀", "\u2028", "\ud800"];
const pick = <T>(choices: readonly T[], random: () => number): T => choices[Math.floor(random() * choices.length)] as T;
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

test("lines keep the order, respect both limits, and hold together only what can share a line", () => {
  const seed = Date.now() % 2 ** 31;
  const random = seededRandom(seed);
  const kinds: readonly LineKind[] = ["alone", "objects", { time: ',"timeoutMs":1,' }, { time: ',"timeoutMs":2,' }];
  for (let round = 0; round < 200; round++) {
    let kind: LineKind = "objects";
    const pieces = Array.from({ length: Math.floor(random() * 50) }, (_, n) => {
      if (random() < 0.2) kind = pick(kinds, random);
      const x = pick(["x", "ä", "€", "😀"], random).repeat(Math.floor(random() * 300));
      return { kind, text: typeof kind === "object" ? `${n},"k","${x}","c:1"` : `{"n":${n},"x":"${x}"}` };
    });
    let ids = 123_456_789;
    const cutter = new LineCutter(4_000, () => ids++);
    const lineOf = pieces.map(({ text, kind: as }) => cutter.add(text, as));
    const lines = cutter.end();
    for (const line of lines) expect(Buffer.byteLength(line), `seed ${seed}`).toBeLessThanOrEqual(4_000);
    const inLines = lines.map((line) => JSON.parse(line) as SentLine);
    expect(inLines.flatMap(textsIn), `seed ${seed}`).toEqual(pieces.map(({ text }) => text));
    for (const line of inLines) {
      if (line.ops === undefined && line.rows === undefined) continue;
      const there = pieces.filter((_, index) => lineOf[index] === line.id);
      expect(
        there.map(({ text }) => text),
        `seed ${seed}`,
      ).toEqual(textsIn(line));
      const time = `,"timeoutMs":${line.timeoutMs},`;
      const shared = line.rows === undefined ? "objects" : { time };
      for (const { kind: as } of there) expect(as, `seed ${seed}`).toEqual(shared);
    }
  }
});

interface SentLine {
  readonly id?: number;
  readonly timeoutMs?: number;
  readonly ops?: readonly unknown[];
  readonly rows?: readonly unknown[];
}

/** What was added to a line. */
function textsIn(line: SentLine): string[] {
  const { ops, rows } = line;
  if (rows === undefined) return (ops ?? [line]).map((op) => JSON.stringify(op));
  return rows.flatMap((_, at) => (at % 4 === 0 ? [JSON.stringify(rows.slice(at, at + 4)).slice(1, -1)] : []));
}

test("a line holds so few operations that a coordinator can hand on the first ones meanwhile, and a long operation is counted in bytes", () => {
  const many = new LineCutter(2 ** 20, () => 1);
  for (let n = 0; n <= LINE_OPS_MAX; n++) many.add("{}", "objects");
  expect(many.end().map((line) => (JSON.parse(line) as { ops?: unknown[] }).ops?.length)).toEqual([
    LINE_OPS_MAX,
    undefined,
  ]);
  const long = `{"x":"${"x".repeat(3_000)}"}`;
  const few = new LineCutter(2 * long.length + 100, () => 1);
  for (let n = 0; n < 3; n++) few.add(long, "objects");
  expect(few.end().map(({ length }) => length > 2 * long.length)).toEqual([true, false]);
});

test("an operation's text says what its message says, whatever the characters", () => {
  const seed = Date.now() % 2 ** 31;
  const random = seededRandom(seed);
  const text = (): string => Array.from({ length: 1 + Math.floor(random() * 8) }, () => pick(TEXTS, random)).join("");
  const maybe = <T>(value: T): T | undefined => (random() < 0.5 ? value : undefined);
  for (let round = 0; round < 2_000; round++) {
    const consistency = maybe(pick(LEVELS, random));
    const write = { key: text(), consistency, ifVersion: maybe("3.1"), operation: "c:1" };
    const value = random() < 0.3 ? { base64: "AP/+" } : text();
    const messages: ClientMessage[] = [
      { op: "put", value, ifAbsent: maybe(true as const), ...write },
      { op: "delete", ...write },
      { op: "get", key: text(), consistency },
      { op: "scan", prefix: text() },
    ];
    for (const message of messages) {
      const meant = JSON.parse(JSON.stringify(message)) as Record<string, unknown>;
      expect(JSON.parse(`{${operationText(message)}`), `seed ${seed}`).toEqual(meant);
      const fields = operationFields(message);
      const { rows } = asRequested({ id: 7, ...meant });
      if (fields !== undefined) expect(JSON.parse(`[7,${fields}]`), `seed ${seed}`).toEqual(rows);
    }
  }
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
