// The contract of an engine, first half: positions, durability, and registers: what is read, listed and summed up.
import { expect, test } from "vitest";
import { EMPTY_DIGEST } from "../../shared/digest.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { StoredRecord, WireValue } from "../../shared/record.ts";
import { ZERO } from "../../shared/version.ts";
import { type EngineBench, listAll, recount, SLOT, value, write } from "./engine-terms.ts";

/** Declares the tests; call it within a describe that keeps the bench. */
export function registerContract(bench: EngineBench): void {
  const { durably, always } = bench;

  test("an empty engine holds nothing", () => {
    const { engine } = bench.harness;
    expect(engine.read(SLOT, "apple")).toBeUndefined();
    expect(engine.list(SLOT, undefined, 10)).toEqual([]);
    expect(engine.summary(SLOT)).toEqual({ digest: EMPTY_DIGEST, keys: 0, tombstones: 0, bytes: 0 });
    expect(engine.mayHold(SLOT)).toBe(false);
    expect(engine.position).toBe(0);
    expect(engine.tailCut).toBe(false);
    expect(engine.diskFull).toBe(false);
    expect(engine.accepts(1000)).toBe(true);
    expect(engine.recovered).toMatchObject({ fence: 0, voter: undefined });
    expect(engine.recovered.slots).toHaveLength(SLOTS);
  });

  test("N5: a record shows only when its position was reported durable", async () => {
    const position = bench.harness.engine.append([write("apple", value(1))]);
    expect(position).toBe(1);
    expect(bench.harness.durable).toBe(0);
    expect(bench.harness.engine.read(SLOT, "apple")).toBeUndefined();
    expect(bench.harness.engine.summary(SLOT).keys).toBe(0);
    await bench.harness.settled(position);
    expect(bench.harness.engine.read(SLOT, "apple")).toEqual(value(1));
    expect(bench.harness.engine.position).toBe(1);
  });

  test("positions grow by one a record, and reports never go back", async () => {
    for (let n = 1; n <= 50; n++) {
      const position = bench.harness.engine.append([write(`a${n}`, value(n)), write(`b${n}`, value(n))]);
      expect(position).toBe(2 * n);
      if (n % 10 === 0) await bench.harness.settled(position);
    }
    await bench.harness.settled(100);
    expect([...bench.harness.reports]).toEqual([...bench.harness.reports].sort((a, b) => a - b));
    expect(new Set(bench.harness.reports).size).toBe(bench.harness.reports.length);
    expect(bench.harness.reports.at(-1)).toBe(100);
  });

  test("the position goes on growing over restarts", async () => {
    await durably(write("apple", value(1)), write("pear", value(2)));
    await bench.harness.close();
    await bench.harness.reopen();
    expect(bench.harness.engine.position).toBe(2);
    expect(bench.harness.engine.append([write("fig", value(3))])).toBe(3);
    await bench.harness.settled(3);
    await bench.harness.compact();
    await bench.harness.crash();
    await bench.harness.reopen();
    expect(bench.harness.engine.position).toBe(3);
  });

  test("what was reported durable survives close and crash, in the order it was appended", async () => {
    for (let n = 1; n <= 20; n++) bench.harness.engine.append([write("apple", value(n)), write(`key ${n}`, value(n))]);
    await bench.harness.settled(40);
    await always((engine) => {
      expect(engine.read(SLOT, "apple")).toEqual(value(20));
      for (let n = 1; n <= 20; n++) expect(engine.read(SLOT, `key ${n}`)).toEqual(value(n));
    });
  });

  test("a crash keeps a prefix of what was appended, with everything reported durable in it", async () => {
    await durably(write("apple", value(1)));
    for (let n = 2; n <= 10; n++) bench.harness.engine.append([write("apple", value(n)), write(`key ${n}`, value(n))]);
    await bench.harness.crash();
    await bench.harness.reopen();
    const kept = bench.harness.engine.read(SLOT, "apple")?.version[1] ?? 0;
    expect(kept).toBeGreaterThanOrEqual(1);
    for (let n = 2; n < kept; n++) expect(bench.harness.engine.read(SLOT, `key ${n}`)).toEqual(value(n));
    for (let n = kept + 1; n <= 10; n++) expect(bench.harness.engine.read(SLOT, `key ${n}`)).toBeUndefined();
  });

  test("close flushes what was appended", async () => {
    bench.harness.engine.append([write("apple", value(1))]);
    await bench.harness.close();
    await bench.harness.reopen();
    expect(bench.harness.engine.read(SLOT, "apple")).toEqual(value(1));
  });

  test("values come back in the form in which they came", async () => {
    const forms: Record<string, WireValue | null> = {
      empty: "",
      text: "plain text",
      wide: "grüße 🍎 \u0000 \uFFFD",
      bytes: { base64: "AAECAwT/" },
      "no bytes": { base64: "" },
      padded: { base64: "AA==" },
      long: "x".repeat(100_000),
      "long bytes": { base64: Buffer.alloc(50_000, 0xfe).toString("base64") },
      tombstone: null,
    };
    let n = 0;
    for (const [key, form] of Object.entries(forms))
      bench.harness.engine.append([write(key, value(++n, form, `op-${key}`))]);
    await bench.harness.settled(n);
    await always((engine) => {
      let m = 0;
      for (const [key, form] of Object.entries(forms))
        expect(engine.read(SLOT, key)).toEqual(value(++m, form, `op-${key}`));
    });
  });

  test("versions, origins and operations keep their full range", async () => {
    const record: StoredRecord = {
      version: [2 ** 32 - 1, 2 ** 48 - 1],
      origin: [2 ** 31, 2 ** 33 + 1],
      value: "v",
      operation: "ü".repeat(64),
    };
    await durably(write("k".repeat(1024), record, SLOTS - 1));
    await always((engine) => expect(engine.read(SLOTS - 1, "k".repeat(1024))).toEqual(record));
  });

  test("the same key in two slots is two registers", async () => {
    await durably(write("apple", value(1), 1), write("apple", value(2), 2));
    await always((engine) => {
      expect(engine.read(1, "apple")).toEqual(value(1));
      expect(engine.read(2, "apple")).toEqual(value(2));
      expect(engine.read(3, "apple")).toBeUndefined();
    });
  });

  test("list gives keys in the order of their UTF-8 bytes, surrogate pairs behind U+FFFD", async () => {
    const keys = [
      "a",
      "b",
      "aa",
      "z",
      "ä",
      "\uE000",
      "\uFFFD",
      "🍎",
      "🍎b",
      "𐀀",
      "~",
      "a\u0000",
      "\u0001",
      "é",
      "e\u0301",
    ];
    let n = 0;
    for (const key of keys) bench.harness.engine.append([write(key, value(++n))]);
    await bench.harness.settled(keys.length);
    const bytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    await always((engine) => {
      for (const page of [1, 2, 3, 100]) expect(listAll(engine, SLOT, page).map(({ key }) => key)).toEqual(bytes);
    });
  });

  test("list starts behind `after`, whether that key exists or not, and stops at the limit", async () => {
    for (let n = 0; n < 600; n++)
      bench.harness.engine.append([write(`key ${String(n).padStart(4, "0")}`, value(n + 1))]);
    bench.harness.engine.append([write("other slot", value(1), SLOT + 1), write("other slot", value(1), SLOT - 1)]);
    await bench.harness.settled(602);
    await always((engine) => {
      expect(engine.list(SLOT, "key 0005", 3).map(({ key }) => key)).toEqual(["key 0006", "key 0007", "key 0008"]);
      expect(engine.list(SLOT, "key 0005x", 1).map(({ key }) => key)).toEqual(["key 0006"]);
      expect(engine.list(SLOT, "key 0599", 3)).toEqual([]);
      expect(engine.list(SLOT, undefined, 0)).toEqual([]);
      expect(engine.list(SLOT, undefined, 1000)).toHaveLength(600);
      expect(listAll(engine, SLOT, 7)).toHaveLength(600);
    });
  });

  test("tombstones are listed, counted apart, and part of the digest", async () => {
    await durably(write("apple", value(1)), write("pear", value(2)), write("apple", value(3, null)));
    await always((engine) => {
      expect(engine.read(SLOT, "apple")).toEqual(value(3, null));
      expect(engine.version(SLOT, "apple")).toEqual(value(3, null).version);
      expect(engine.list(SLOT, undefined, 10).map(({ key }) => key)).toEqual(["apple", "pear"]);
      expect(engine.summary(SLOT)).toMatchObject({ keys: 1, tombstones: 1 });
      expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), ZERO));
    });
  });

  test("M3: removed keys are gone, others stay, and removing nothing is no error", async () => {
    await durably(write("apple", value(1)), write("pear", value(2)), write("fig", value(3)));
    await bench.harness.compact();
    await durably({ type: "remove", slot: SLOT, keys: ["apple", "fig", "never"] });
    await always((engine) => {
      expect(engine.read(SLOT, "apple")).toBeUndefined();
      expect(engine.version(SLOT, "apple")).toBeUndefined();
      expect(engine.list(SLOT, undefined, 10).map(({ key }) => key)).toEqual(["pear"]);
      expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), ZERO));
    });
    await durably(write("apple", value(9)));
    await always((engine) => expect(engine.read(SLOT, "apple")).toEqual(value(9)));
  });
}
