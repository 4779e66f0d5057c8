// The contract of an engine (storage-node/engine/engine.ts), as tests that every implementation passes. A harness gives an
// empty engine and can end its life in the two ways there are: close, and crash.
// Its tests are in engine-registers.ts and engine-control.ts; here they are put together, beside random histories.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compareKeys } from "../../shared/key-order.ts";
import type { StoredRecord } from "../../shared/record.ts";
import { compare, ZERO } from "../../shared/version.ts";
import type { Version } from "../../shared/version.ts";
import type { Engine, LogRecord } from "../../storage-node/engine/engine.ts";
import { seededRandom } from "../support/random.ts";
import { controlContract } from "./engine-control.ts";
import { registerContract } from "./engine-registers.ts";
import { type EngineHarness, listAll, recount, value, write } from "./engine-terms.ts";

// Those who run the contract need its terms too.
export type { EngineHarness } from "./engine-terms.ts";
export { listAll, recount, value, write } from "./engine-terms.ts";

/** Declares the tests of an engine. `open` gives a new, empty one for each. */
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

    const bench = {
      get harness() {
        return harness;
      },
      durably,
      always,
    };
    registerContract(bench);
    controlContract(bench);

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
  await harness.settled(
    harness.engine.append([{ type: "role", slots: RANDOM_SLOTS, role: "none", stamp: [1, seed], wipe: true }]),
  );
  for (let n = 1; n <= 400; n++) {
    const slot = RANDOM_SLOTS[pick(3)] ?? 100;
    const state = model.get(slot);
    if (!state) throw new Error("no such slot");
    const key = `k${pick(40)}`;
    const roll = random();
    let record: LogRecord;
    if (roll < 0.75) {
      const stored = value(seed * 1000 + n, pick(3) === 0 ? null : `v${n}`.repeat(pick(4)), pick(2) ? `op${n}` : "");
      record = { ...write(key, stored, slot), ...(pick(2) === 0 && { place: placeOf(harness.engine, slot, key) }) };
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
    if (entries.length > 0) expect(engine.mayHold(slot), where).toBe(true);
    expect(engine.summary(slot), where).toEqual(recount(entries, purged));
    expect(engine.lastSummary(slot), where).toEqual(engine.summary(slot));
    expect(listAll(engine, slot, 9), where).toEqual(entries);
    for (const { key, record } of entries) expect(engine.read(slot, key), where).toEqual(record);
    for (const { key, record } of entries) expect(engine.version(slot, key), where).toEqual(record.version);
    expect(engine.read(slot, "never"), where).toBeUndefined();
    expect(engine.version(slot, "never"), where).toBeUndefined();
    const names = [...registers.keys(), "never"].map((key) => ({ slot, key }));
    const places = engine.locate(names);
    for (const [index, { key }] of names.entries()) {
      expect(engine.read(slot, key, places?.[index]), where).toEqual(registers.get(key));
      const version = registers.get(key)?.version;
      expect(engine.version(slot, key, places?.[index]), where).toEqual(version);
      expectAround(version, (below) => engine.version(slot, key, places?.[index], below), where);
    }
  }
}

/** Asked with a version that it may be below, an engine tells its own, or nothing where that is below. */
function expectAround(version: Version | undefined, ask: (below: Version) => Version | undefined, where: string): void {
  const [epoch, n] = version ?? [1, 0];
  for (const below of [
    [epoch, n - 1],
    [epoch, n],
    [epoch, n + 1],
    [epoch + 1, 0],
  ] as const) {
    const told = ask(below);
    const mayBeSilent = version === undefined || compare(version, below) < 0;
    expect(told ?? (mayBeSilent ? version : "missing"), where).toEqual(version);
  }
}

/** Where a register is before it is written, which may be long ago when the write takes effect. */
function placeOf(engine: Engine, slot: number, key: string): number {
  engine.version(slot, key);
  return engine.place;
}
