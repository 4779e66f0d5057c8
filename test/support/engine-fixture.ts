// What the committed data directories of released formats hold (test/fixtures/data-format-N). Also makes one, once per format:
//   npx tsc && node dist/test/support/engine-fixture.js test/fixtures/data-format-1
// Never run it over a released fixture: its whole point is that an older program wrote it.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { ClusterId, Incarnation, NodeId, OwnerId } from "../../shared/ids.ts";
import { openDiskEngine } from "../../storage-node/engine/disk-engine.ts";
import { LOCK_FILE } from "../../shared/io/directory-lock.ts";
import type { LogRecord } from "../../storage-node/engine/engine.ts";

const IDENTITY = {
  incarnation: "0a0b0c0d-0000-4000-8000-000000000001" as Incarnation,
  cluster: "cluster" as ClusterId,
  id: "node-1" as NodeId,
  seed: 7,
};

function put(n: number): LogRecord {
  const value =
    n % 7 === 0 ? null : n % 5 === 0 ? { base64: Buffer.alloc(20, n).toString("base64") } : `value ${n} ü🍎`;
  return {
    type: "write",
    slot: n % 4,
    key: `key ${n % 80}`,
    record: { version: [2, n], origin: [1, n], value, operation: n % 2 ? `op-${n}` : "" },
  };
}

/** The history of a fixture: the first part is in its table, the second only in its log. */
export const FIXTURE_TABLE: readonly LogRecord[] = [
  { type: "identity", identity: IDENTITY },
  { type: "fence", group: 0, epoch: 2 },
  { type: "role", slots: [0, 1, 2, 3], role: "member", stamp: [1, 1], wipe: false },
  { type: "purge", slot: 1, upTo: [2, 3] },
  { type: "promise", epoch: 2, owner: "owner" as OwnerId },
  { type: "accept", ballot: [2, 1], state: '{"slots":"…"}' },
  ...Array.from({ length: 120 }, (_, n) => put(n + 1)),
];
export const FIXTURE_LOG: readonly LogRecord[] = [
  ...Array.from({ length: 40 }, (_, n) => put(n + 121)),
  { type: "remove", slot: 0, keys: ["key 4", "key 8"] },
  { type: "stamp", slots: [0, 1], stamp: [2, 5] },
  { type: "role", slots: [3], role: "incoming", stamp: [2, 6], wipe: true },
  { type: "copied", slots: [3], stamp: [2, 6] },
];

async function make(directory: string): Promise<void> {
  let durable = 0;
  const limits = {
    segmentBytesFirst: 16 * 1024,
    segmentBytesMax: 16 * 1024,
    batchBytesMax: 8 * 1024,
    freeBytesMin: 0,
    mapBytes: 2 ** 30,
  };
  const failed = (error: Error): never => {
    throw error;
  };
  const engine = await openDiskEngine({
    directory,
    limits,
    program: "holdfast 0.1.0",
    events: { durable: (position) => (durable = position), failed },
  });
  engine.append(FIXTURE_TABLE);
  await engine.checkpoint();
  const end = engine.append(FIXTURE_LOG);
  while (durable < end) await new Promise((resolve) => setTimeout(resolve, 1));
  await engine.crash();
  for (const name of [LOCK_FILE, "table/lock.mdb"]) await rm(join(directory, name), { force: true });
}

const [, script, target] = process.argv;
if (script?.endsWith("engine-fixture.js") && target) await make(target);
