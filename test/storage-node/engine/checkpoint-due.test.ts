// What makes a checkpoint due, each by itself: the memory that records take which are not in the table yet, and what recovery would have
// to read, or to apply.
import { afterEach, expect, test } from "vitest";
import { value, write } from "../../contract/engine.ts";
import { DiskHarness, SMALL_LIMITS } from "../../support/engine-harness.ts";

const NEVER = 2 ** 40;
const RECORDS = 20;
const TEXT = "v".repeat(1_000);

let harness: DiskHarness;

afterEach(() => harness.dispose());

async function open(limits: object): Promise<void> {
  const never = { freshBytesMax: NEVER, logBytesMax: NEVER, logRecordsMax: NEVER };
  harness = await DiskHarness.open({ limits: { ...SMALL_LIMITS, ...never, ...limits } });
}

async function writes(count: number, keys = 1): Promise<void> {
  for (let n = 1; n <= count; n++)
    await harness.settled(harness.engine.append([write(`key-${n % keys}`, value(n, TEXT))]));
}

async function checkpointed(): Promise<void> {
  while (harness.engine.counters.checkpoints.count === 0) await new Promise((resolve) => setImmediate(resolve));
}

test.each([
  { why: "fresh bytes", limits: { freshBytesMax: RECORDS * TEXT.length }, keys: RECORDS },
  { why: "bytes of the log", limits: { logBytesMax: RECORDS * TEXT.length }, keys: 1 },
  { why: "records of the log", limits: { logRecordsMax: RECORDS }, keys: 1 },
])("a checkpoint is due by its $why", async ({ limits, keys }) => {
  await open(limits);
  await writes(RECORDS, keys);
  await checkpointed();
  expect(harness.reported.failures).toEqual([]);
});

test.each([
  { why: "bytes", limits: { logBytesMax: RECORDS * TEXT.length } },
  { why: "records", limits: { logRecordsMax: RECORDS } },
])("$why that were replayed count, too", async ({ limits }) => {
  await open(limits);
  await writes(RECORDS / 2);
  await harness.crash();
  await harness.reopen();
  expect(harness.engine.counters.checkpoints.count).toBe(0);
  await writes(RECORDS / 2);
  await checkpointed();
});
