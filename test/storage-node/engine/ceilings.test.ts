// What is certainly newer than whatever the table holds is not looked up there.
import { expect, test } from "vitest";
import { SLOTS } from "../../../shared/limits.ts";
import { ZERO, type Version } from "../../../shared/version.ts";
import { Ceilings } from "../../../storage-node/engine/ceilings.ts";
import { Keyspace } from "../../../storage-node/engine/keyspace.ts";
import { emptyAccount } from "../../../storage-node/engine/slot-account.ts";

test("a ceiling only rises, and is that of its slot", () => {
  const ceilings = new Ceilings([2, 7]);
  expect([ceilings.below(1, [2, 7]), ceilings.below(1, [2, 8])]).toEqual([false, true]);
  ceilings.raise(1, [2, 9]);
  ceilings.raise(1, [2, 8]);
  expect([ceilings.below(1, [2, 9]), ceilings.below(1, [3, 0]), ceilings.below(2, [2, 8])]).toEqual([
    false,
    true,
    true,
  ]);
  expect(ceilings.newest).toEqual([2, 9]);
});

test("N4: only a version that the table may hold a newer one for is compared with what the table holds", () => {
  const looked: string[] = [];
  const table = {
    get: () => undefined,
    version: (_slot: number, key: string): Version => {
      looked.push(key);
      return [2, 5];
    },
    counted: () => null,
    page: () => [],
  };
  const ceilings = new Ceilings(ZERO);
  ceilings.raise(1, [2, 7]);
  const accounts = Array.from({ length: SLOTS }, emptyAccount);
  const keyspace = new Keyspace(table, { accounts, purged: () => ZERO, ceilings });
  expect(keyspace.version(1, "newer", undefined, [2, 8])).toBeUndefined();
  expect(keyspace.version(1, "the same", undefined, [2, 7])).toEqual([2, 5]);
  expect(keyspace.version(1, "older", undefined, [2, 6])).toEqual([2, 5]);
  expect(keyspace.version(1, "whatever it is")).toEqual([2, 5]);
  expect(looked).toEqual(["the same", "older", "whatever it is"]);
});
