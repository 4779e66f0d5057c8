// The contract of an engine (storage-node/engine/engine.ts), as tests that every implementation passes. A harness gives an
// empty engine and can end its life in the two ways there are: close, and crash.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { entryDigest, EMPTY_DIGEST, toggle } from "../../shared/digest.ts";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "../../shared/ids.ts";
import { compareKeys } from "../../shared/key-order.ts";
import { SLOTS } from "../../shared/limits.ts";
import { utf8Bytes, valueBytes } from "../../shared/record.ts";
import type { StoredRecord, WireValue } from "../../shared/record.ts";
import { compare, ZERO } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import { slotState } from "../../storage-node/engine/control-state.ts";
import type { Engine, ListedEntry, LogRecord, SlotSummary } from "../../storage-node/engine/engine.ts";
import { seededRandom } from "../support/engine-random.ts";

/** One engine under test. `engine` changes with every reopening. */
export interface EngineHarness {
  readonly engine: Engine;
  /** Highest position reported durable. */
  readonly durable: number;
  /** Reports of durability so far, in order. */
  readonly reports: readonly number[];
  /** Resolves when everything up to a position was reported durable. */
  settled(position: number): Promise<void>;
  /** Moves what is durable to where the engine keeps it for long, if it has such a place. */
  compact(): Promise<void>;
  close(): Promise<void>;
  /** Loses the process: whatever was not reported durable may be lost. */
  crash(): Promise<void>;
  reopen(): Promise<void>;
  /** Ends the test: leaves nothing behind. */
  dispose(): Promise<void>;
}

const SLOT = 7;

export function value(n: number, text: WireValue | null = `value ${n}`, operation = ""): StoredRecord {
  return { version: [1, n], origin: [1, n], value: text, operation };
}

export function write(key: string, record: StoredRecord, slot = SLOT): LogRecord {
  return { type: "write", slot, key, record };
}

/** Every entry of a slot, by pages of a size. */
export function listAll(engine: Engine, slot: number, page: number): ListedEntry[] {
  const entries: ListedEntry[] = [];
  for (;;) {
    const next = engine.list(slot, entries.at(-1)?.key, page);
    entries.push(...next);
    if (next.length < page) return entries;
  }
}

/** A summary counted again from the entries. */
export function recount(entries: readonly ListedEntry[], purged: Version): SlotSummary {
  const summary = { digest: EMPTY_DIGEST, keys: 0, tombstones: 0, bytes: 0 };
  for (const { key, record } of entries) {
    if (record.value === null) summary.tombstones++;
    else {
      summary.keys++;
      summary.bytes += utf8Bytes(key) + valueBytes(record.value);
    }
    if (record.value !== null || compare(record.version, purged) > 0) {
      summary.digest = toggle(summary.digest, entryDigest(key, record.version));
    }
  }
  return summary;
}

export function engineContract(name: string, open: () => Promise<EngineHarness>): void {
  describe(`engine contract: ${name}`, () => {
    let harness: EngineHarness;

    beforeEach(async () => {
      harness = await open();
    });

    afterEach(async () => {
      await harness.dispose();
    });

    async function durably(...records: LogRecord[]): Promise<void> {
      await harness.settled(harness.engine.append(records));
    }

    /** Asserts now, after compaction, after a clean close and after a crash. */
    async function always(check: (engine: Engine) => void): Promise<void> {
      check(harness.engine);
      await harness.compact();
      check(harness.engine);
      await harness.close();
      await harness.reopen();
      check(harness.engine);
      await harness.crash();
      await harness.reopen();
      check(harness.engine);
      await harness.compact();
      check(harness.engine);
    }

    test("an empty engine holds nothing", () => {
      const { engine } = harness;
      expect(engine.read(SLOT, "apple")).toBeUndefined();
      expect(engine.list(SLOT, undefined, 10)).toEqual([]);
      expect(engine.summary(SLOT)).toEqual({ digest: EMPTY_DIGEST, keys: 0, tombstones: 0, bytes: 0 });
      expect(engine.position).toBe(0);
      expect(engine.tailCut).toBe(false);
      expect(engine.diskFull).toBe(false);
      expect(engine.accepts(1000)).toBe(true);
      expect(engine.recovered).toMatchObject({ fence: 0, voter: undefined });
      expect(engine.recovered.slots).toHaveLength(SLOTS);
    });

    test("N5: a record shows only when its position was reported durable", async () => {
      const position = harness.engine.append([write("apple", value(1))]);
      expect(position).toBe(1);
      expect(harness.durable).toBe(0);
      expect(harness.engine.read(SLOT, "apple")).toBeUndefined();
      expect(harness.engine.summary(SLOT).keys).toBe(0);
      await harness.settled(position);
      expect(harness.engine.read(SLOT, "apple")).toEqual(value(1));
      expect(harness.engine.position).toBe(1);
    });

    test("positions grow by one a record, and reports never go back", async () => {
      for (let n = 1; n <= 50; n++) {
        const position = harness.engine.append([write(`a${n}`, value(n)), write(`b${n}`, value(n))]);
        expect(position).toBe(2 * n);
        if (n % 10 === 0) await harness.settled(position);
      }
      await harness.settled(100);
      expect([...harness.reports]).toEqual([...harness.reports].sort((a, b) => a - b));
      expect(new Set(harness.reports).size).toBe(harness.reports.length);
      expect(harness.reports.at(-1)).toBe(100);
    });

    test("the position goes on growing over restarts", async () => {
      await durably(write("apple", value(1)), write("pear", value(2)));
      await harness.close();
      await harness.reopen();
      expect(harness.engine.position).toBe(2);
      expect(harness.engine.append([write("fig", value(3))])).toBe(3);
      await harness.settled(3);
      await harness.compact();
      await harness.crash();
      await harness.reopen();
      expect(harness.engine.position).toBe(3);
    });

    test("what was reported durable survives close and crash, in the order it was appended", async () => {
      for (let n = 1; n <= 20; n++) harness.engine.append([write("apple", value(n)), write(`key ${n}`, value(n))]);
      await harness.settled(40);
      await always((engine) => {
        expect(engine.read(SLOT, "apple")).toEqual(value(20));
        for (let n = 1; n <= 20; n++) expect(engine.read(SLOT, `key ${n}`)).toEqual(value(n));
      });
    });

    test("a crash keeps a prefix of what was appended, with everything reported durable in it", async () => {
      await durably(write("apple", value(1)));
      for (let n = 2; n <= 10; n++) harness.engine.append([write("apple", value(n)), write(`key ${n}`, value(n))]);
      await harness.crash();
      await harness.reopen();
      const kept = harness.engine.read(SLOT, "apple")?.version[1] ?? 0;
      expect(kept).toBeGreaterThanOrEqual(1);
      for (let n = 2; n < kept; n++) expect(harness.engine.read(SLOT, `key ${n}`)).toEqual(value(n));
      for (let n = kept + 1; n <= 10; n++) expect(harness.engine.read(SLOT, `key ${n}`)).toBeUndefined();
    });

    test("close flushes what was appended", async () => {
      harness.engine.append([write("apple", value(1))]);
      await harness.close();
      await harness.reopen();
      expect(harness.engine.read(SLOT, "apple")).toEqual(value(1));
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
      for (const [key, form] of Object.entries(forms)) harness.engine.append([write(key, value(++n, form, `op-${key}`))]);
      await harness.settled(n);
      await always((engine) => {
        let m = 0;
        for (const [key, form] of Object.entries(forms)) expect(engine.read(SLOT, key)).toEqual(value(++m, form, `op-${key}`));
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
      const keys = ["a", "b", "aa", "z", "ä", "\uE000", "\uFFFD", "🍎", "🍎b", "𐀀", "~", "a\u0000", "\u0001", "é", "e\u0301"];
      let n = 0;
      for (const key of keys) harness.engine.append([write(key, value(++n))]);
      await harness.settled(keys.length);
      const bytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      await always((engine) => {
        for (const page of [1, 2, 3, 100]) expect(listAll(engine, SLOT, page).map(({ key }) => key)).toEqual(bytes);
      });
    });

    test("list starts behind `after`, whether that key exists or not, and stops at the limit", async () => {
      for (let n = 0; n < 600; n++) harness.engine.append([write(`key ${String(n).padStart(4, "0")}`, value(n + 1))]);
      harness.engine.append([write("other slot", value(1), SLOT + 1), write("other slot", value(1), SLOT - 1)]);
      await harness.settled(602);
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
        expect(engine.list(SLOT, undefined, 10).map(({ key }) => key)).toEqual(["apple", "pear"]);
        expect(engine.summary(SLOT)).toMatchObject({ keys: 1, tombstones: 1 });
        expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), ZERO));
      });
    });

    test("M3: removed keys are gone, others stay, and removing nothing is no error", async () => {
      await durably(write("apple", value(1)), write("pear", value(2)), write("fig", value(3)));
      await harness.compact();
      await durably({ type: "remove", slot: SLOT, keys: ["apple", "fig", "never"] });
      await always((engine) => {
        expect(engine.read(SLOT, "apple")).toBeUndefined();
        expect(engine.list(SLOT, undefined, 10).map(({ key }) => key)).toEqual(["pear"]);
        expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), ZERO));
      });
      await durably(write("apple", value(9)));
      await always((engine) => expect(engine.read(SLOT, "apple")).toEqual(value(9)));
    });

    test("N9: purge forgets tombstones up to a version, and nothing else", async () => {
      await durably(write("a", value(1, null)), write("b", value(2)), write("c", value(3, null)));
      await harness.compact();
      await durably(write("d", value(4, null)), write("e", value(2, null)), write("f", value(5)));
      await durably({ type: "purge", slot: SLOT, upTo: [1, 3] });
      await always((engine) => {
        expect(engine.list(SLOT, undefined, 10).map(({ key }) => key)).toEqual(["b", "d", "f"]);
        expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), [1, 3]));
        expect(slotState(engine.recovered, SLOT + 1).purged).toEqual(ZERO);
      });
      expect(slotState(harness.engine.recovered, SLOT).purged).toEqual([1, 3]);
    });

    test("N9: a tombstone that arrives at or below the purged version is kept, but left out of the digest", async () => {
      await durably({ type: "purge", slot: SLOT, upTo: [1, 5] });
      await durably(write("late", value(4, null)), write("live", value(3)), write("new", value(6, null)));
      await always((engine) => {
        expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), [1, 5]));
        expect(engine.summary(SLOT)).toMatchObject({ keys: 1, tombstones: 2 });
        expect(engine.read(SLOT, "late")).toEqual(value(4, null));
      });
      await durably({ type: "purge", slot: SLOT, upTo: [1, 6] });
      await always((engine) => {
        expect(engine.list(SLOT, undefined, 10).map(({ key }) => key)).toEqual(["live"]);
        expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), [1, 6]));
      });
    });

    test("N7: a role with wipe makes the registers vanish, and later writes of the slot survive", async () => {
      for (let n = 1; n <= 300; n++) harness.engine.append([write(`old ${n}`, value(n)), write(`kept ${n}`, value(n), 8)]);
      await harness.settled(600);
      await harness.compact();
      await durably(write("old 1", value(900)), { type: "purge", slot: SLOT, upTo: [1, 3] });
      await durably(
        { type: "role", slots: [SLOT, 9], role: "incoming", stamp: [2, 1], wipe: true },
        write("new", value(1)),
        write("old 2", value(5)),
      );
      await always((engine) => {
        expect(engine.list(SLOT, undefined, 1000).map(({ key }) => key)).toEqual(["new", "old 2"]);
        expect(engine.read(SLOT, "old 1")).toBeUndefined();
        expect(engine.summary(SLOT)).toEqual(recount(listAll(engine, SLOT, 10), ZERO));
        expect(engine.summary(8).keys).toBe(300);
      });
      expect(slotState(harness.engine.recovered, SLOT)).toMatchObject({ role: "incoming", stamp: [2, 1], purged: ZERO });
    });

    test("a role without wipe keeps the registers", async () => {
      await durably(write("apple", value(1)), { type: "role", slots: [SLOT], role: "member", stamp: [1, 1], wipe: false });
      await always((engine) => expect(engine.read(SLOT, "apple")).toEqual(value(1)));
    });

    test("fence, votes, identity, stamps, roles and copies are recovered", async () => {
      const identity = {
        incarnation: "i-2" as Incarnation,
        cluster: "c" as ClusterId,
        id: "node-1" as NodeId,
        seed: 4_000_000_000,
      };
      await durably(
        { type: "identity", identity },
        { type: "fence", group: 0, epoch: 7 },
        { type: "role", slots: [1, 2, 3], role: "incoming", stamp: [7, 2], wipe: true },
        { type: "copied", slots: [2], stamp: [7, 2] },
        { type: "role", slots: [3], role: "member", stamp: [7, 3], wipe: false },
        { type: "stamp", slots: [1, 4], stamp: [7, 9] },
        { type: "promise", epoch: 8, owner: "owner" as OwnerId },
        { type: "accept", ballot: [8, 1], state: '{"text":"größe"}' },
      );
      await harness.compact();
      await harness.crash();
      await harness.reopen();
      for (let round = 0; round < 2; round++) {
        const { recovered } = harness.engine;
        expect(recovered.identity).toEqual(identity);
        expect(recovered.fence).toBe(7);
        expect(recovered.voter).toEqual({ promised: 8, owner: "owner", ballot: [8, 1], state: '{"text":"größe"}' });
        expect(slotState(recovered, 1)).toMatchObject({ role: "incoming", stamp: [7, 9], copied: false });
        expect(slotState(recovered, 2)).toMatchObject({ role: "incoming", stamp: [7, 2], copied: true });
        expect(slotState(recovered, 3)).toMatchObject({ role: "member", stamp: [7, 3] });
        expect(slotState(recovered, 4)).toMatchObject({ role: "none", stamp: [7, 9] });
        await harness.close();
        await harness.reopen();
      }
    });

    test("the recovered control state belongs to the caller: changing it changes nothing durable", async () => {
      harness.engine.recovered.fence = 99;
      slotState(harness.engine.recovered, SLOT).purged = [9, 9];
      await durably(write("t", value(1, null)));
      await harness.compact();
      expect(harness.engine.summary(SLOT)).toEqual(recount(listAll(harness.engine, SLOT, 10), ZERO));
      await harness.close();
      await harness.reopen();
      expect(harness.engine.recovered.fence).toBe(0);
    });

    test("random histories: reads, lists and summaries equal a plain model, whatever happens in between", async () => {
      for (const seed of [1, 2, 3, 4]) await randomHistory(harness, seed);
    }, 60_000);
  });
}

const RANDOM_SLOTS = [100, 101, 102];

interface ModelSlot {
  registers: Map<string, StoredRecord>;
  purged: Version;
}

/** Applies a random history to an engine and to maps, and compares them. */
async function randomHistory(harness: EngineHarness, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const pick = (n: number): number => Math.floor(random() * n);
  const model = new Map<number, ModelSlot>();
  for (const slot of RANDOM_SLOTS) model.set(slot, { registers: new Map(), purged: ZERO });
  await harness.settled(harness.engine.append([{ type: "role", slots: RANDOM_SLOTS, role: "none", stamp: [1, seed], wipe: true }]));
  for (let n = 1; n <= 400; n++) {
    const slot = RANDOM_SLOTS[pick(3)] ?? 100;
    const state = model.get(slot);
    if (!state) throw new Error("no such slot");
    const key = `k${pick(40)}`;
    const roll = random();
    let record: LogRecord;
    if (roll < 0.75) {
      const stored = value(seed * 1000 + n, pick(3) === 0 ? null : `v${n}`.repeat(pick(4)), pick(2) ? `op${n}` : "");
      record = write(key, stored, slot);
      state.registers.set(key, stored);
    } else if (roll < 0.85) {
      const keys = [key, `k${pick(40)}`];
      record = { type: "remove", slot, keys };
      for (const gone of keys) state.registers.delete(gone);
    } else if (roll < 0.93) {
      const upTo: Version = [1, seed * 1000 + n - pick(60)];
      record = { type: "purge", slot, upTo };
      if (compare(upTo, state.purged) > 0) state.purged = upTo;
      for (const [name, { value: held, version }] of state.registers) {
        if (held === null && compare(version, upTo) <= 0) state.registers.delete(name);
      }
    } else {
      record = { type: "role", slots: [slot], role: "incoming", stamp: [1, n], wipe: true };
      model.set(slot, { registers: new Map(), purged: ZERO });
    }
    const position = harness.engine.append([record]);
    if (pick(4) === 0) {
      await harness.settled(position);
      if (pick(3) === 0) compareModel(harness.engine, model, `seed ${seed}, step ${n}`);
      if (pick(8) === 0) void harness.compact();
      if (pick(16) === 0) {
        await (pick(2) ? harness.crash() : harness.close());
        await harness.reopen();
        compareModel(harness.engine, model, `seed ${seed}, reopened at step ${n}`);
      }
    }
  }
  await harness.settled(harness.engine.append([{ type: "fence", group: 0, epoch: seed }]));
  compareModel(harness.engine, model, `seed ${seed}, end`);
}

function compareModel(engine: Engine, model: ReadonlyMap<number, ModelSlot>, where: string): void {
  for (const [slot, { registers, purged }] of model) {
    const entries = [...registers].map(([key, record]) => ({ key, record })).sort((a, b) => compareKeys(a.key, b.key));
    expect(engine.summary(slot), where).toEqual(recount(entries, purged));
    expect(listAll(engine, slot, 9), where).toEqual(entries);
    for (const { key, record } of entries) expect(engine.read(slot, key), where).toEqual(record);
    expect(engine.read(slot, "never"), where).toBeUndefined();
  }
}
