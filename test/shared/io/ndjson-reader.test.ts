import { describe, expect, test } from "vitest";
import { NdjsonReader } from "../../../shared/io/ndjson-reader.ts";
import { randomBytes, seedOf } from "./random.ts";
import { seededRandom } from "../../support/random.ts";

/** Everything the chunks give, in order: messages as they are, problems by code. */
function read(chunks: readonly (Buffer | string)[], lineBytesMax = 1024): unknown[] {
  const reader = new NdjsonReader({ lineBytesMax });
  return chunks.flatMap((chunk) => readOne(reader, chunk));
}

function readOne(reader: NdjsonReader, chunk: Buffer | string): unknown[] {
  const runs = reader.push(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
  return runs.flatMap(({ messages, problem }) => [...messages, ...(problem === null ? [] : [problem.code])]);
}

const GOOD = { id: 1, op: "ping" };
const GOOD_LINE = '{"id":1,"op":"ping"}\n';

/** One of each kind that is answered and read past. */
const BAD_LINES: Record<string, { line: string | Buffer; code: string }> = {
  "cut JSON": { line: '{"id":1,', code: "BAD_JSON" },
  "no JSON": { line: "GET / HTTP/1.1", code: "BAD_JSON" },
  "text after the object": { line: '{"id":1} x', code: "BAD_JSON" },
  "two objects": { line: "{}{}", code: "BAD_JSON" },
  "a control character in a string": { line: '{"a":"\u0001"}', code: "BAD_JSON" },
  "a byte order mark": { line: "\ufeff{}", code: "BAD_JSON" },
  "spaces JSON does not know": { line: "\u00a0{}", code: "BAD_JSON" },
  null: { line: "null", code: "NOT_AN_OBJECT" },
  "null among spaces": { line: " \tnull \r", code: "NOT_AN_OBJECT" },
  true: { line: "true", code: "NOT_AN_OBJECT" },
  "a number": { line: "42", code: "NOT_AN_OBJECT" },
  "a string": { line: '"text"', code: "NOT_AN_OBJECT" },
  "an array": { line: '[{"id":1}]', code: "NOT_AN_OBJECT" },
  "a stray byte": { line: Buffer.from('{"a":"\xff"}', "latin1"), code: "BAD_UTF8" },
  "a cut character": { line: Buffer.from('{"a":"\xe2\x82"}', "latin1"), code: "BAD_UTF8" },
  "an encoded surrogate": { line: Buffer.from('{"a":"\xed\xa0\x80"}', "latin1"), code: "BAD_UTF8" },
  "an overlong zero": { line: Buffer.from('{"a":"\xc0\x80"}', "latin1"), code: "BAD_UTF8" },
  "a high surrogate alone": { line: '{"a":"\\ud83d"}', code: "UNPAIRED_SURROGATE" },
  "a low surrogate alone": { line: '{"a":"\\uDE00"}', code: "UNPAIRED_SURROGATE" },
  "surrogates in the wrong order": { line: '{"a":"\\ude00\\ud83d"}', code: "UNPAIRED_SURROGATE" },
  "a surrogate in a key": { line: '{"\\uD800":1}', code: "UNPAIRED_SURROGATE" },
  "a surrogate beside a whole character": { line: '{"a":"\\ud83d😀"}', code: "UNPAIRED_SURROGATE" },
  "an escaped backslash, then a surrogate": { line: '{"a":"\\\\\\ud83d"}', code: "UNPAIRED_SURROGATE" },
};

describe("good lines", () => {
  test("chunk boundaries at every byte change nothing", () => {
    const messages = [
      { id: 1, text: "plain" },
      { id: 2, text: "Käse, 鍵, 😀" },
      { id: 3, nested: { list: [null, "\u2028"] } },
    ];
    const bytes = Buffer.from(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(read([bytes.subarray(0, cut), bytes.subarray(cut)]), `cut at ${cut}`).toEqual(messages);
    }
    const single = Array.from(bytes, (byte) => Buffer.of(byte));
    expect(read(single)).toEqual(messages);
  });

  test("all lines of one chunk come as one run", () => {
    const runs = new NdjsonReader({ lineBytesMax: 1024 }).push(Buffer.from(GOOD_LINE.repeat(50)));
    expect(runs).toEqual([{ messages: Array.from({ length: 50 }, () => GOOD), problem: null }]);
  });

  test("blank lines are skipped; CR LF and spaces around an object are fine", () => {
    expect(read([`\n\r\n  \t\n ${GOOD_LINE}\n{"id":1,"op":"ping"} \r\n\n`])).toEqual([GOOD, GOOD]);
  });

  test("an unfinished line gives nothing", () => {
    expect(read(['{"id":1}'])).toEqual([]);
  });

  test("escapes that look like unpaired surrogates, and pairs, are text", () => {
    const lines = [
      '{"a":"\\ud83d\\uDE00"}',
      '{"a":"\\\\ud83d"}',
      '{"a":"\\ud7ff\\ue000"}',
      '{"a":"\\"\\ud83d\\ude00\\\\"}',
    ];
    expect(read([`${lines.join("\n")}\n`])).toEqual([
      { a: "😀" },
      { a: "\\ud83d" },
      { a: "\ud7ff\ue000" },
      { a: '"😀\\' },
    ]);
  });
});

describe("bad lines", () => {
  for (const [name, { line, code }] of Object.entries(BAD_LINES)) {
    test(`${name}: ${code}, and the lines around it are delivered in order`, () => {
      const good = Buffer.from(GOOD_LINE);
      const bytes = Buffer.concat([good, Buffer.from(line), Buffer.from("\n"), good]);
      expect(read([bytes])).toEqual([GOOD, code, GOOD]);
      expect(read(Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual([GOOD, code, GOOD]);
    });
  }

  test("all kinds mixed keep their order in one chunk", () => {
    const kinds = Object.values(BAD_LINES);
    const bytes = kinds.flatMap(({ line }) => [Buffer.from(line), Buffer.from(`\n${GOOD_LINE}`)]);
    expect(read([Buffer.concat(bytes)])).toEqual(kinds.flatMap(({ code }) => [code, GOOD]));
  });
});

describe("long lines", () => {
  const line = (bytes: number): string => `{"a":"${"x".repeat(bytes - 8)}"}`;

  test("a line of exactly the limit is good; the limit counts bytes, not characters", () => {
    expect(read([`${line(1024)}\n`])).toHaveLength(1);
    expect(read([`${line(1024)}\n`])).not.toContain("LINE_TOO_LONG");
    expect(read([`{"a":"${"é".repeat(508)}"}\n`])).toEqual([{ a: "é".repeat(508) }]);
    expect(read([`{"a":"${"é".repeat(509)}"}\n`])).toEqual(["LINE_TOO_LONG"]);
  });

  test("a longer one is noticed: complete in one chunk, in pieces, and before it ends; nothing follows", () => {
    const tooLong = line(1025);
    expect(read([`${GOOD_LINE}${tooLong}\n${GOOD_LINE}`])).toEqual([GOOD, "LINE_TOO_LONG"]);
    expect(read([GOOD_LINE, tooLong.slice(0, 1024), tooLong.slice(1024), `\n${GOOD_LINE}`])).toEqual([
      GOOD,
      "LINE_TOO_LONG",
    ]);
    expect(read(["x".repeat(1025), GOOD_LINE, `\n${GOOD_LINE}`])).toEqual(["LINE_TOO_LONG"]);
    expect(read([`${line(1000)}\n${line(1000)}\n`])).toHaveLength(2);
  });

  test("a line of 5 MiB that trickles in costs time linear in its length", () => {
    const reader = new NdjsonReader({ lineBytesMax: 6 << 20 });
    const piece = Buffer.alloc(512, "x");
    readOne(reader, '{"a":"');
    for (let count = 0; count < 10_240; count++) expect(reader.push(piece)).toEqual([]);
    const [message] = readOne(reader, '"}\n') as { a: string }[];
    expect(message?.a).toHaveLength(5 << 20);
  });

  test("long lines come whole from pieces of any size, and what follows them, too", () => {
    const random = seededRandom(7);
    const values = Array.from({ length: 20 }, (_, n) => String.fromCharCode(97 + n).repeat(1 + random() * 200_000));
    const bytes = Buffer.from(values.map((a) => `${JSON.stringify({ a })}\n`).join(""));
    const reader = new NdjsonReader({ lineBytesMax: 1 << 20 });
    const got: unknown[] = [];
    for (let start = 0; start < bytes.length;) {
      const end = start + 1 + Math.floor(random() ** 3 * 70_000);
      for (const { messages } of reader.push(bytes.subarray(start, end))) got.push(...messages.map(({ a }) => a));
      start = end;
    }
    expect(got).toEqual(values);
  });

  test("the limit holds for a line in pieces, large and small", () => {
    const reader = new NdjsonReader({ lineBytesMax: 60_000 });
    readOne(reader, '{"a":"');
    for (const size of [20_000, 10, 20_000, 10]) expect(reader.push(Buffer.alloc(size, "x"))).toEqual([]);
    expect(readOne(reader, "x".repeat(20_000))).toEqual(["LINE_TOO_LONG"]);
  });
});

describe("hostile lines", () => {
  test("nesting as deep as a line allows neither crashes nor stops the reader", () => {
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"],
    ] as const) {
      const depth = 500_000;
      const deep = `{"id":7,"a":${open.repeat(depth)}1${close.repeat(depth)}}\n`;
      const [first, second] = read([deep, GOOD_LINE], 4 << 20) as Record<string, unknown>[];
      expect(first?.["id"]).toBe(7);
      expect(second).toEqual(GOOD);
      expect(read([`{"a":${open.repeat(depth)}\n${GOOD_LINE}`], 4 << 20)).toEqual(["BAD_JSON", GOOD]);
    }
  });

  test("a key __proto__ changes no prototype", () => {
    const [message] = read(['{"__proto__":{"op":"put","polluted":1},"constructor":{"prototype":{"polluted":1}}}\n']);
    expect(Object.getPrototypeOf(message)).toBe(Object.prototype);
    expect((message as Record<string, unknown>)["op"]).toBeUndefined();
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("random bytes in random chunks never throw, and the next good line is read", () => {
    const seed = seedOf("reader");
    const random = seededRandom(seed);
    for (let round = 0; round < 2_000; round++) {
      const reader = new NdjsonReader({ lineBytesMax: 4096 });
      for (let chunk = 0; chunk < 4; chunk++) reader.push(randomBytes(random, 200));
      expect(readOne(reader, `\n${GOOD_LINE}`).at(-1), `seed ${seed} round ${round}`).toEqual(GOOD);
    }
  });

  test("lines damaged in one byte give what JSON.parse gives, in every chunking", () => {
    const seed = seedOf("damage");
    const random = seededRandom(seed);
    for (let round = 0; round < 3_000; round++) {
      const line = Buffer.from('{"id":1,"k":"\\ud83d\\ude00é","v":[null,true]}');
      line[Math.floor(random() * line.length)] = Math.floor(random() * 256);
      const bytes = Buffer.concat([line, Buffer.from(`\n${GOOD_LINE}`)]);
      const cut = Math.floor(random() * bytes.length);
      expect(read([bytes.subarray(0, cut), bytes.subarray(cut)]), `seed ${seed} round ${round}`).toEqual(
        bytes.toString("latin1").slice(0, -1).split("\n").flatMap(judge),
      );
    }
  });
});

/** What a line (its bytes as latin1) must give, found without the reader. */
function judge(latin1: string): unknown[] {
  if (/^[ \t\r]*$/.test(latin1)) return [];
  const bytes = Buffer.from(latin1, "latin1");
  const text = bytes.toString("utf8");
  if (!Buffer.from(text).equals(bytes)) return ["BAD_UTF8"];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // A line that is wrong in two ways may be called by either name.
    return [
      /^[ \t\r]*\{/.test(text) && read([`${text}\n`])[0] === "UNPAIRED_SURROGATE" ? "UNPAIRED_SURROGATE" : "BAD_JSON",
    ];
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return ["NOT_AN_OBJECT"];
  return [/\\ud[89a-f]/.test(JSON.stringify(value).replaceAll("\\\\", "")) ? "UNPAIRED_SURROGATE" : value];
}
