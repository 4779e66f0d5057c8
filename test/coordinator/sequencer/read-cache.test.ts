// Read cache: what is told of a key is the newest of its leadership, or nothing; and there is never more of it than was allowed.
import { expect, test } from "vitest";
import type { Issued } from "../../../coordinator/sequencer/drive.ts";
import { ReadCache } from "../../../coordinator/sequencer/read-cache.ts";
import type { ReadResult } from "../../../shared/protocol/node-messages.ts";
import type { Stamp } from "../../../shared/version.ts";

const MEBIBYTE = 1024 * 1024;
const STAMP: Stamp = [3, 1];
const SLOT = { stamp: STAMP };

function result(seq: number, value: string | null = `value ${seq}`): ReadResult {
  return { status: "ok", version: [3, seq], value };
}

function issued(seq: number, value: string | null = `value ${seq}`): Issued {
  return { op: "write", slot: 1, stamp: STAMP, key: "k", version: [3, seq], value };
}

/** What a write does, from when it is issued to when a write quorum has it. */
function written(cache: ReadCache, write: Issued, meanwhile: () => void = () => {}): void {
  const entry = cache.issues(write);
  meanwhile();
  if (entry) cache.installed(write, entry);
}

/** Found often enough to be kept. */
function foundAgain(cache: ReadCache, key: string, found: ReadResult): void {
  for (const _time of [1, 2]) cache.found(key, found, SLOT);
}

/** A cache that knows version 5 of the key, and has told it once. */
function asked(): ReadCache {
  const cache = new ReadCache(MEBIBYTE);
  foundAgain(cache, "k", result(5));
  cache.get("k", SLOT);
  return cache;
}

test("what a read found is told, deletes too, with the version of the client's write", () => {
  const cache = new ReadCache(MEBIBYTE);
  expect(cache.get("k", SLOT)).toBeUndefined();
  foundAgain(cache, "k", { ...result(5), origin: [2, 9] });
  foundAgain(cache, "gone", result(6, null));
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 5", origin: [2, 9] });
  expect(cache.get("gone", SLOT)).toMatchObject({ value: null, origin: [3, 6] });
  expect(cache.hits).toBe(2);
});

test("what is read once is not kept: neither costs it much, nor does it drive out what is read again", () => {
  const cache = new ReadCache(100_000);
  foundAgain(cache, "k", result(5));
  for (let number = 0; number < 10_000; number++) cache.found(`key ${number}`, result(number), SLOT);
  expect(cache.get("k", SLOT)).toBeDefined();
});

test("from when a version is issued to when a write quorum has it nothing is told, then that one", () => {
  const cache = asked();
  written(cache, issued(6), () => expect(cache.get("k", SLOT)).toBeUndefined());
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 6", origin: [3, 6] });
});

test("a version that a write quorum has late is not told where another one was issued since", () => {
  const cache = asked();
  const [late, newer] = [issued(6), issued(7)];
  const entry = cache.issues(late);
  cache.get("k", SLOT);
  written(cache, newer, () => {
    if (entry) cache.installed(late, entry);
    expect(cache.get("k", SLOT)).toBeUndefined();
  });
  if (entry) cache.installed(late, entry);
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 7" });
});

test("what is in doubt leaves nothing to tell, until a read has found what became of it", () => {
  const cache = asked();
  cache.issues(issued(6));
  expect(cache.get("k", SLOT)).toBeUndefined();
  foundAgain(cache, "k", result(8));
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 8" });
});

test("a slot that changed hands, or was about to, has another stamp: what was found at the old one is not told", () => {
  const cache = asked();
  expect(cache.get("k", { stamp: [3, 2] })).toBeUndefined();
});

test("a key that nobody asks for is not kept up to date by writes", () => {
  const cache = asked();
  for (const seq of [6, 7]) written(cache, issued(seq));
  expect([cache.get("k", SLOT), cache.bytes]).toEqual([undefined, 0]);
});

test("a key that was asked for while it was written is kept", () => {
  const cache = asked();
  for (const seq of [6, 7, 8]) written(cache, issued(seq), () => void cache.get("k", SLOT));
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 8" });
});

test("it takes no more than it was allowed to, and keeps what is asked for", () => {
  const cache = new ReadCache(100_000);
  let bytesMost = 0;
  for (let number = 0; number < 10_000; number++) {
    foundAgain(cache, `key ${number}`, result(number, "v".repeat(number % 500)));
    cache.get("key 0", SLOT);
    bytesMost = Math.max(bytesMost, cache.bytes);
  }
  expect(cache.get("key 0", SLOT)).toBeDefined();
  expect(cache.get("key 1", SLOT)).toBeUndefined();
  expect(cache.get("key 9999", SLOT)).toBeDefined();
  expect(bytesMost).toBeGreaterThan(50_000);
  expect(bytesMost).toBeLessThanOrEqual(101_000); // one more entry, until the Maps turn over
});

test("what is counted is what is there, whatever was done", () => {
  const cache = new ReadCache(8_000);
  let bytesMost = 0;
  for (let step = 0; step < 5_000; step++) {
    const key = `key ${(step * 7) % 13}`;
    const value = "v".repeat((step * 31) % 240);
    if (step % 3 === 0) foundAgain(cache, key, result(step, value));
    else if (step % 3 === 1) written(cache, { ...issued(step, value), key });
    else cache.get(key, SLOT);
    bytesMost = Math.max(bytesMost, cache.bytes);
  }
  expect(bytesMost).toBeLessThanOrEqual(8_500);
  // Nobody asks any more: two writes of each key leave nothing of it.
  for (const seq of [6_000, 6_001])
    for (let number = 0; number < 13; number++) written(cache, { ...issued(seq), key: `key ${number}` });
  expect(cache.bytes).toBe(0);
});

test("what grows by writes stays within what was allowed, too", () => {
  const cache = new ReadCache(100_000);
  let bytesMost = 0;
  for (const grown of [10, 100, 1_000, 5_000]) {
    for (let number = 0; number < 200; number++) {
      cache.get(`key ${number}`, SLOT);
      const write = { ...issued(grown + number, "v".repeat(grown)), key: `key ${number}` };
      if (grown === 10) foundAgain(cache, write.key, { status: "ok", version: write.version, value: "" });
      else written(cache, write);
      bytesMost = Math.max(bytesMost, cache.bytes);
    }
  }
  expect(bytesMost).toBeGreaterThan(40_000);
  expect(bytesMost).toBeLessThanOrEqual(101_000);
});

test("values that would drop much else are not kept, and nothing at all where nothing is allowed", () => {
  const cache = new ReadCache(MEBIBYTE);
  foundAgain(cache, "k", result(5, "v".repeat(MEBIBYTE / 16)));
  expect([cache.get("k", SLOT), cache.bytes]).toEqual([undefined, 0]);
  const none = new ReadCache(0);
  foundAgain(none, "k", result(5, null));
  expect([none.get("k", SLOT), none.bytes]).toEqual([undefined, 0]);
});

test("a value that has grown beyond that takes its key's former one with it", () => {
  const cache = asked();
  written(cache, issued(6, "v".repeat(MEBIBYTE / 16)));
  expect([cache.get("k", SLOT), cache.bytes]).toEqual([undefined, 0]);
});
