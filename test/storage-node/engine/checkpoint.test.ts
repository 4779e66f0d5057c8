// How a checkpoint takes its time: small transactions while it is ahead of the next one, large ones while it is behind.
import { expect, test } from "vitest";
import { SLOTS } from "../../../shared/limits.ts";
import { ZERO } from "../../../shared/version.ts";
import { Ceilings } from "../../../storage-node/engine/ceilings.ts";
import { blankControlState } from "../../../storage-node/engine/control-state.ts";
import { Checkpoint, type CheckpointDependencies } from "../../../storage-node/engine/checkpoint.ts";
import { ENGINE_LIMITS } from "../../../storage-node/engine/engine-limits.ts";
import { Generation } from "../../../storage-node/engine/generation.ts";
import { RecordWriter, writeBody } from "../../../storage-node/engine/record-codec.ts";
import { emptyAccount } from "../../../storage-node/engine/slot-account.ts";
import type { TableCommit } from "../../../storage-node/engine/table.ts";

const KEYS = 4_000;
const OPERATIONS_MAX = 400;

/**
 * Registers in each transaction of a checkpoint of KEYS, but for the first and the last.
 * @param gathered By how much of the checkpoint is written.
 * @param options.periodMs From the checkpoint before to this one; a transaction takes 1 ms. Undefined: there was none.
 * @param options.full Whether the disk is.
 */
async function transactions(
  gathered: (written: number) => number,
  { periodMs, full = false }: { readonly periodMs?: number; readonly full?: boolean } = {},
): Promise<number[]> {
  const sizes: number[] = [];
  let clockMs = 0;
  const table = {
    counted: () => null,
    commit: (commit: TableCommit) => {
      sizes.push(commit.changes.length);
      clockMs++;
      return Promise.resolve();
    },
    refresh: () => undefined,
  };
  const dependencies = {
    table,
    keyspace: { settleFrozen: () => ({ live: true, bytes: 1, digest: [1, 1] }) },
    accounts: Array.from({ length: SLOTS }, emptyAccount),
    ceilings: new Ceilings(ZERO),
    space: { found: () => undefined, full },
    limits: { ...ENGINE_LIMITS, chunkOperations: OPERATIONS_MAX },
    gathered: () => gathered(sizes.reduce((sum, size) => sum + size, 0) / KEYS),
    now: () => clockMs,
  };
  const writer = new RecordWriter(256);
  writeBody(writer, { version: [1, 1], origin: [1, 1], value: "value", operation: "" });
  const body = { bytes: writer.buffer, start: 0, end: writer.length };
  const frozen = new Generation();
  for (let n = 0; n < KEYS; n++) frozen.set(n % SLOTS, `key ${n}`, body);
  const meta = { control: blankControlState("i-1" as never), applied: 1, batch: 1, position: KEYS };
  const checkpoint = new Checkpoint(dependencies as unknown as CheckpointDependencies);
  if (periodMs !== undefined) {
    await checkpoint.run(new Generation(), meta);
    sizes.length = 0;
    clockMs = periodMs;
  }
  await checkpoint.run(frozen, meta);
  expect(sizes.reduce((sum, size) => sum + size)).toBe(KEYS);
  return sizes.slice(1, -1);
}

test("while little gathers behind it, a quarter of a full transaction at a time", async () => {
  for (const share of [0, 1 / 8])
    expect(new Set(await transactions((written) => share * written))).toEqual(new Set([OPERATIONS_MAX / 4]));
});

test("when the next one is on its way to being due already, full transactions", async () => {
  expect(new Set(await transactions(() => 0.25))).toEqual(new Set([OPERATIONS_MAX]));
});

test("when what takes as long as this one does was all there was between the last two, full transactions", async () => {
  const transactionsMin = KEYS / OPERATIONS_MAX;
  expect(new Set(await transactions(() => 0, { periodMs: transactionsMin }))).toEqual(new Set([OPERATIONS_MAX]));
  expect(new Set(await transactions(() => 0, { periodMs: 100 * transactionsMin }))).toEqual(
    new Set([OPERATIONS_MAX / 4]),
  );
});

test("on a full disk, full transactions: the log that they set free is waited for", async () => {
  expect(new Set(await transactions(() => 0, { full: true }))).toEqual(new Set([OPERATIONS_MAX]));
});
