// Read cache: what is told of a key is the newest of its leadership, or nothing; and there is never more of it than was allowed.
import { expect, test } from "vitest";
import type { Issued } from "../../../coordinator/sequencer/drive.ts";
import { ReadCache } from "../../../coordinator/sequencer/read-cache.ts";
import type { ReadResult } from "../../../shared/protocol/node-messages.ts";
import type { Stamp, Version } from "../../../shared/version.ts";

const MEBIBYTE = 1024 * 1024;
const STAMP: Stamp = [3, 1];
const SLOT = { stamp: STAMP };

function result(seq: number, value: string | null = `value ${seq}`): ReadResult {
  return { status: "ok", version: [3, seq], value };
}

function issued(seq: number, value: string | null = `value ${seq}`): Issued {
  return { op: "write", slot: 1, stamp: STAMP, key: "k", version: [3, seq], value };
}

/** A cache that knows version 5 of the key, and has told it once. */
function asked(): ReadCache {
  const cache = new ReadCache(MEBIBYTE);
  cache.found("k", result(5), SLOT);
  cache.get("k", SLOT);
  return cache;
}

test("what a read found is told, deletes too, with the version of the client's write", () => {
  const cache = new ReadCache(MEBIBYTE);
  expect(cache.get("k", SLOT)).toBeUndefined();
  cache.found("k", { ...result(5), origin: [2, 9] }, SLOT);
  cache.found("gone", result(6, null), SLOT);
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 5", origin: [2, 9] });
  expect(cache.get("gone", SLOT)).toMatchObject({ value: null, origin: [3, 6] });
  expect(cache.hits).toBe(2);
});

test("from when a version is issued to when a write quorum has it nothing is told, then that one", () => {
  const cache = asked();
  const write = issued(6);
  cache.issues(write);
  expect(cache.get("k", SLOT)).toBeUndefined();
  cache.installed(write);
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 6", origin: [3, 6] });
});

test("a version that a write quorum has late is not told where another one was issued since", () => {
  const cache = asked();
  const [late, newer] = [issued(6), issued(7)];
  cache.issues(late);
  cache.get("k", SLOT);
  cache.issues(newer);
  cache.installed(late);
  expect(cache.get("k", SLOT)).toBeUndefined();
  cache.installed(newer);
  cache.installed(late);
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 7" });
});

test("what is in doubt leaves nothing to tell, until a read has found what became of it", () => {
  const cache = asked();
  cache.issues(issued(6));
  expect(cache.get("k", SLOT)).toBeUndefined();
  cache.found("k", result(8), SLOT);
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 8" });
});

test("a slot that changed hands, or was about to, has another stamp: what was found at the old one is not told", () => {
  const cache = asked();
  expect(cache.get("k", { stamp: [3, 2] })).toBeUndefined();
});

test("a key that nobody asks for is not kept up to date by writes", () => {
  const cache = asked();
  for (const seq of [6, 7]) {
    const write = issued(seq);
    cache.issues(write);
    cache.installed(write);
  }
  expect([cache.get("k", SLOT), cache.bytes]).toEqual([undefined, 0]);
});

test("a key that was asked for while it was written is kept", () => {
  const cache = asked();
  for (const seq of [6, 7, 8]) {
    const write = issued(seq);
    cache.issues(write);
    cache.get("k", SLOT);
    cache.installed(write);
  }
  expect(cache.get("k", SLOT)).toMatchObject({ value: "value 8" });
});

test("it takes no more than it was allowed to, and keeps what is asked for", () => {
  const cache = new ReadCache(100_000);
  let bytesMost = 0;
  for (let number = 0; number < 10_000; number++) {
    cache.found(`key ${number}`, result(number, "v".repeat(number % 500)), SLOT);
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
  const cache = new ReadCache(4_000);
  const versions = new Map<string, Version>();
  for (let step = 0; step < 5_000; step++) {
    const key = `key ${(step * 7) % 13}`;
    const write = { ...issued(step, "v".repeat((step * 31) % 240)), key };
    if (step % 3 === 0) cache.found(key, result(step, write.value as string), SLOT);
    else if (step % 3 === 1) cache.issues(write);
    else cache.installed({ ...write, version: versions.get(key) ?? write.version });
    if (step % 3 === 1) versions.set(key, write.version);
    if (step % 2 === 0) cache.get(key, SLOT);
    expect(cache.bytes).toBeGreaterThanOrEqual(0);
  }
  for (let number = 0; number < 13; number++) {
    const write = { ...issued(9_000 + number), key: `key ${number}` };
    for (const again of [0, 1]) cache.issues({ ...write, version: [4, again] }); // asked for or not, the second one finds it unused
    cache.found(`key ${number}`, result(1), SLOT);
    cache.issues(write);
  }
  expect(cache.bytes).toBe(0);
});

test("values that would drop much else are not kept, and nothing at all where nothing is allowed", () => {
  const cache = new ReadCache(MEBIBYTE);
  cache.found("k", result(5, "v".repeat(MEBIBYTE / 16)), SLOT);
  expect([cache.get("k", SLOT), cache.bytes]).toEqual([undefined, 0]);
  const none = new ReadCache(0);
  none.found("k", result(5, null), SLOT);
  expect([none.get("k", SLOT), none.bytes]).toEqual([undefined, 0]);
});

test("a value that has grown beyond that takes its key's former one with it", () => {
  const cache = asked();
  const write = issued(6, "v".repeat(MEBIBYTE / 16));
  cache.issues(write);
  cache.installed(write);
  expect([cache.get("k", SLOT), cache.bytes]).toEqual([undefined, 0]);
});
