// A generation against a plain model: a Map of registers a slot, a set of those that changed since they were settled.
import fc from "fast-check";
import { expect, test } from "vitest";
import { compareKeys } from "../../../shared/key-order.ts";
import type { StoredRecord } from "../../../shared/record.ts";
import { type Entry, Generation, NONE, type Place } from "../../../storage-node/engine/generation.ts";
import { type Body, RecordWriter, writeBody } from "../../../storage-node/engine/record-codec.ts";
import type { Counted } from "../../../storage-node/engine/slot-account.ts";

const SLOTS_USED = [0, 1, 4095] as const;
const COUNTED: readonly Counted[] = [
  { live: true, bytes: 2 ** 32 - 1, digest: [2 ** 32 - 1, 2] },
  { live: false, bytes: 0, digest: [0, 2 ** 31] },
  { live: false, bytes: 0, digest: undefined },
];

interface Known {
  readonly record: StoredRecord | undefined;
  readonly counted: Counted | null | undefined;
  readonly waits: boolean;
}

class Model {
  readonly slots = new Map<number, Map<string, Known>>(SLOTS_USED.map((slot) => [slot, new Map()]));
  readonly wiped = new Set<number>();
  /** Where registers were found at some time, by slot and key. */
  readonly places = new Map<string, Place>();

  of(slot: number): Map<string, Known> {
    return this.slots.get(slot) as Map<string, Known>;
  }
}

type Step = (generation: Generation, model: Model) => void;

const slot = fc.constantFrom(...SLOTS_USED);
/** The same key in several slots, and keys that begin alike. */
const key = fc.oneof(fc.constantFrom("a", "b", "ab", "ba", "äöü", "k".repeat(1_024)), fc.string({ minLength: 1 }));
const record: fc.Arbitrary<StoredRecord> = fc
  .record({
    version: fc.tuple(
      fc.nat({ max: 2 ** 31 - 1 }),
      fc.maxSafeNat().map((n) => n % 2 ** 48),
    ),
    value: fc.oneof(fc.constant(null), fc.string({ maxLength: 40 }), fc.constantFrom("long".repeat(5_000))),
    operation: fc.string({ maxLength: 8 }),
  })
  .map((fields) => ({ ...fields, origin: fields.version }));

const BASE = 1_000;
/** Where the register is said to be: where it was found, perhaps before the slot was wiped; nowhere; or in an earlier generation. */
const place = fc.oneof(fc.constant("found" as const), fc.integer({ min: NONE, max: BASE - 1 }));

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(slot, key, record, place).map(([at, name, stored, where]): Step => (generation, model) => {
      const found = model.places.get(`${at} ${name}`) ?? NONE;
      generation.set(at, name, bodyOf(stored), where === "found" ? found : where);
      model.places.set(`${at} ${name}`, generation.placeOf(generation.find(at, name)));
      const { counted } = model.of(at).get(name) ?? {};
      model.of(at).set(name, { record: stored, counted, waits: true });
    }),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(slot, key).map(([at, name]): Step => (generation, model) => {
      generation.set(at, name, undefined);
      const { counted } = model.of(at).get(name) ?? {};
      model.of(at).set(name, { record: undefined, counted, waits: true });
    }),
  },
  {
    weight: 1,
    arbitrary: slot.map((at): Step => (generation, model) => {
      generation.wipe(at);
      model.of(at).clear();
      model.wiped.add(at);
    }),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(slot, fc.constantFrom(...COUNTED)).map(([at, counted]): Step => (generation, model) => {
      for (const entry of generation.unsettled(at)) generation.settled(entry, generation.gone(entry) ? null : counted);
      for (const [name, known] of model.of(at)) {
        if (known.waits) model.of(at).set(name, { ...known, counted: known.record ? counted : null, waits: false });
      }
    }),
  },
);

function bodyOf(stored: StoredRecord): Body {
  const writer = new RecordWriter(64);
  writer.reserve(1_024 + 3 * JSON.stringify(stored).length);
  writeBody(writer, stored);
  return { bytes: writer.buffer, start: 0, end: writer.length };
}

function expectSame(generation: Generation, model: Model): void {
  for (const [at, registers] of model.slots) {
    const names = [...registers.keys()].sort(compareKeys);
    expect(generation.sorted(at).map((entry) => generation.key(entry))).toEqual(names);
    expect(generation.keysAbove(at, "b", 2)).toEqual(names.filter((name) => compareKeys(name, "b") > 0).slice(0, 2));
    expect(generation.wiped(at)).toBe(model.wiped.has(at));
    expect(generation.touches(at)).toBe(registers.size > 0 || model.wiped.has(at));
    const waiting = [...registers].filter(([, { waits }]) => waits).map(([name]) => name);
    expect(new Set(generation.unsettled(at).map((entry) => generation.key(entry)))).toEqual(new Set(waiting));
    for (const [name, known] of registers) expectKnown(generation, generation.find(at, name), known);
    const located = generation.locate([...names, "never written"].map((name) => ({ slot: at, key: name })));
    expect(located.map((found) => generation.entryAt(found))).toEqual([
      ...names.map((name) => generation.find(at, name)),
      NONE,
    ]);
    expect(generation.find(at, "never written, and longer than others")).toBe(NONE);
  }
}

function expectKnown(generation: Generation, entry: Entry, known: Known): void {
  expect(entry).not.toBe(NONE);
  expect(generation.gone(entry)).toBe(known.record === undefined);
  expect(generation.record(entry)).toEqual(known.record);
  expect(generation.version(entry)).toEqual(known.record?.version);
  expect(generation.counted(entry)).toEqual(known.counted);
}

test("holds what was set last, whatever was set, wiped and settled before", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat({ max: 200 }), (steps, expected) => {
      const generation = new Generation({ entries: expected, base: BASE });
      const model = new Model();
      for (const next of steps) next(generation, model);
      expectSame(generation, model);
    }),
    { numRuns: 300 },
  );
});

test.each([0, 100, 20_000])("finds every key where %i were expected, and takes memory as they come", (expected) => {
  const generation = new Generation({ entries: expected });
  const body = bodyOf({ version: [1, 1], origin: [1, 1], value: "v".repeat(100), operation: "" });
  const count = 20_000;
  for (let n = 0; n < count; n++) generation.set(n % 4_096, `key:${n}`, body);
  const { bytes } = generation;
  for (let n = 0; n < count; n++) expect(generation.key(generation.find(n % 4_096, `key:${n}`))).toBe(`key:${n}`);
  for (let n = 0; n < count; n++) expect(generation.find((n + 1) % 4_096, `key:${n}`)).toBe(NONE);
  expect(bytes).toBeGreaterThan(count * 230);
  for (let n = 0; n < count; n++) generation.set(n % 4_096, `key:${n}`, body);
  expect(generation.bytes).toBe(bytes);
});
