// Pending writes (N4): what waits for the disk is found by key, and what is durable is not, however the log was cut into batches.
import { expect, test } from "vitest";
import { PendingWrites, type PendingWrite, weightOf } from "../../../storage-node/core/pending-writes.ts";
import { seededRandom } from "../../support/random.ts";

function write(key: string, position: number, value = "v"): PendingWrite {
  const version = [1, position] as const;
  const record = { version, origin: version, value, operation: "" };
  return { type: "write", slot: 0, key, record, place: -1, position };
}

test("N4: the newest write of a key is found until it is durable, also when an older one was durable before it", () => {
  const pending = new PendingWrites();
  pending.add(write("k", 1));
  pending.add(write("k", 2));
  expect(pending.find("k")?.position).toBe(2);
  pending.reached(1);
  expect(pending.find("k")?.position).toBe(2);
  pending.reached(2);
  expect(pending.find("k")).toBeUndefined();
});

test("what waits is counted and weighed, and nothing is left when all is durable", () => {
  const pending = new PendingWrites();
  pending.add(write("a", 1, "long value"));
  pending.add(write("b", 3));
  expect(pending).toMatchObject({
    count: 2,
    bytes: weightOf("a", "long value") + weightOf("b", "v"),
  });
  pending.reached(2);
  expect(pending).toMatchObject({ count: 1, bytes: weightOf("b", "v") });
  pending.reached(3);
  expect(pending).toMatchObject({ count: 0, bytes: 0 });
});

test("any order of appending and becoming durable gives what a plain search through the log gives", () => {
  const seed = 20_261;
  const random = seededRandom(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const pending = new PendingWrites();
  const log: PendingWrite[] = [];
  let durable = 0;
  for (let step = 0; step < 20_000; step++) {
    const key = `key-${below(20)}`;
    if (below(10) > 0) {
      log.push(write(key, log.length + 1));
      pending.add(log.at(-1) as PendingWrite);
    } else if (durable < log.length) {
      durable += 1 + below(log.length - durable);
      pending.reached(durable);
    }
    const expected = log.slice(durable).findLast((one) => one.key === key);
    expect(pending.find(key), `seed ${seed}, step ${step}`).toBe(expected);
    expect(pending.count).toBe(log.length - durable);
  }
});
