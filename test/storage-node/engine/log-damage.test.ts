// Rule 5: what recovery makes of a log that is cut anywhere, or has any byte changed. Nothing before the damage is lost or
// misread; damage at the very end is cut and said; damage with whole batches behind it stops the node.
import { beforeAll, describe, expect, test } from "vitest";
import type { LogRecord } from "../../../storage-node/engine/engine.ts";
import { openDiskEngine } from "../../../storage-node/engine/disk-engine.ts";
import { DamagedLogError, recover } from "../../../storage-node/engine/recovery.ts";
import type { Recovered } from "../../../storage-node/engine/recovery.ts";
import { readBody } from "../../../storage-node/engine/record-codec.ts";
import type { RecordSink } from "../../../storage-node/engine/record-codec.ts";
import { readBatch } from "../../../storage-node/engine/log-format.ts";
import { SimulatedFiles } from "../../support/engine-files.ts";
import { removeDirectory, Reports, SMALL_LIMITS, temporaryDirectory } from "../../support/engine-harness.ts";
import { randomRecord } from "../../support/engine-model.ts";
import { seededRandom } from "../../support/random.ts";

/** A segment, its batches' offsets, and how many records lie before each. */
interface Written {
  readonly path: string;
  readonly bytes: Buffer;
  readonly batches: readonly { readonly at: number; readonly end: number; readonly position: number }[];
  readonly end: number;
}

let directory: string;
let records: LogRecord[];
let segments: Written[];

function batchesOf(path: string, bytes: Buffer): Written {
  const number = Number(path.slice(-10));
  const batches: { at: number; end: number; position: number }[] = [];
  let at = 0;
  for (;;) {
    const found = readBatch(bytes, at, number);
    if (found.kind !== "batch") break;
    batches.push({ at, end: found.next, position: found.header.position });
    at = found.next;
  }
  return { path, bytes, batches, end: at };
}

beforeAll(async () => {
  directory = await temporaryDirectory();
  const files = new SimulatedFiles(1);
  const reports = new Reports();
  const limits = { ...SMALL_LIMITS, segmentBytesFirst: 1024, segmentBytesMax: 2048, batchBytesMax: 512 };
  const engine = await openDiskEngine({ directory, files, events: reports.events, limits });
  const random = seededRandom(5);
  records = [];
  while (records.length < 60) {
    const record = randomRecord(random, records.length + 1);
    if (record.type !== "write" || (typeof record.record.value === "string" && record.record.value.length < 40)) {
      records.push(record);
      await reports.settled(engine.append([record]));
    }
  }
  const disk = files.killed();
  await engine.crash();
  await removeDirectory(directory);
  segments = disk
    .paths()
    .filter((path) => path.includes("log-"))
    .map((path) => batchesOf(path, disk.bytes(path)));
});

/** Recovers a log of these segments. */
async function replay(
  contents: ReadonlyMap<string, Buffer>,
): Promise<Recovered & { replayed: LogRecord[]; said: string[] }> {
  const files = new SimulatedFiles(1);
  for (const [path, bytes] of contents) files.put(path, bytes);
  const replayed: LogRecord[] = [];
  const from = { applied: 0, batch: 0, position: 0 };
  const sink: RecordSink = {
    write: (slot, key, { bytes, start, end }) =>
      replayed.push({ type: "write", slot, key, record: readBody(bytes, start, end) }),
    control: (record) => replayed.push(record),
  };
  const said: string[] = [];
  let nowMs = 0;
  const now = (): number => (nowMs += 600); // what a segment takes
  const recovered = await recover({ files, directory, from, sink, log: (message) => said.push(message), now });
  return { ...recovered, replayed, said };
}

function whole(): Map<string, Buffer> {
  return new Map(segments.map(({ path, bytes }) => [path, bytes]));
}

/** The segment that holds the last batch. */
function lastUsed(): Written {
  const used = segments.filter(({ batches }) => batches.length > 0).at(-1);
  if (!used) throw new Error("the log holds batches");
  return used;
}

describe("rule 5", () => {
  test("an undamaged log of several segments is replayed whole", async () => {
    expect(segments.filter(({ batches }) => batches.length > 0).length).toBeGreaterThan(2);
    const recovered = await replay(whole());
    expect(recovered.replayed).toEqual(records);
    expect(recovered.said[0]).toMatch(/^replaying the log: 2 of \d+ segments, \d+ records$/);
    expect(recovered).toMatchObject({
      tailCut: false,
      position: records.length,
      records: records.length,
      batch: records.length,
    });
  });

  test("the last segment cut at any byte: everything before the cut is there, and damage is said", async () => {
    const last = lastUsed();
    for (let length = 0; length < last.end + 32; length++) {
      const recovered = await replay(whole().set(last.path, last.bytes.subarray(0, length)));
      const lost = last.batches.filter(({ end }) => end > length);
      expect(recovered.replayed, `cut at ${length}`).toEqual(records.slice(0, lost[0]?.position ?? records.length));
      expect(recovered.tailCut, `cut at ${length}`).toBe(true);
    }
  });

  test("any byte of the last segment changed: the last batch is cut and said, an earlier one stops the node", async () => {
    const last = lastUsed();
    for (let at = 0; at < last.end + 32; at++) {
      const bytes = Buffer.from(last.bytes);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      const hit = last.batches.findIndex(({ end }) => at < end);
      const damaged = replay(whole().set(last.path, bytes));
      if (hit >= 0 && hit < last.batches.length - 1) {
        await expect(damaged, `byte ${at}`).rejects.toThrow(DamagedLogError);
        continue;
      }
      const recovered = await damaged;
      expect(recovered.replayed, `byte ${at}`).toEqual(
        records.slice(0, hit < 0 ? records.length : last.batches[hit]?.position),
      );
      expect(recovered.tailCut, `byte ${at}`).toBe(true);
    }
  });

  test("any byte of the first segment changed: its batches are never lost silently, since later segments follow", async () => {
    const [first] = segments;
    if (!first) throw new Error("the log has a first segment");
    for (let at = 0; at < first.end + 32; at++) {
      const bytes = Buffer.from(first.bytes);
      bytes[at] = (bytes[at] ?? 0) ^ 0x55;
      const damaged = replay(whole().set(first.path, bytes));
      if (at < first.end) await expect(damaged, `byte ${at}`).rejects.toThrow(/corrupt.*the other copies restore it/s);
      // The end mark alone: nothing is missing, the next segment goes on with the next number.
      else expect((await damaged).replayed, `byte ${at}`).toEqual(records);
    }
  });

  test("a missing segment stops the node", async () => {
    const middle = segments[1];
    if (!middle) throw new Error("the log has a second segment");
    const rest = whole();
    rest.delete(middle.path);
    await expect(replay(rest)).rejects.toThrow(/is missing or damaged, batch \d+ follows/);
  });

  test("stale bytes of an older segment in a reused file are never replayed", async () => {
    const [first] = segments;
    const last = lastUsed();
    if (!first) throw new Error("the log has a first segment");
    const reused = Buffer.concat([last.bytes.subarray(0, last.end + 32), first.bytes.subarray(0, first.end + 32)]);
    const recovered = await replay(whole().set(last.path, reused));
    expect(recovered.replayed).toEqual(records);
    expect(recovered.tailCut).toBe(false);
  });

  test("a cut made by an earlier recovery, followed by a segment that goes on, is no corruption", async () => {
    const last = lastUsed();
    const cut = last.batches.at(-1);
    if (!cut) throw new Error("the segment has batches");
    const torn = Buffer.from(last.bytes);
    torn.fill(0xaa, cut.at + 40);
    const files = new SimulatedFiles(2);
    const place = await temporaryDirectory();
    try {
      const moved = (path: string): string => path.replace(directory, place);
      const reports = new Reports();
      const fresh = await openDiskEngine({ directory: place, files, events: reports.events, limits: SMALL_LIMITS });
      await fresh.crash();
      const disk = files.killed();
      for (const { path, bytes } of segments) disk.put(moved(path), path === last.path ? torn : bytes);
      for (let round = 1; round <= 3; round++) {
        const again = await openDiskEngine({
          directory: place,
          files: disk,
          events: reports.events,
          limits: SMALL_LIMITS,
        });
        expect(again.position, `round ${round}`).toBe(cut.position + round - 1);
        // Said until a checkpoint has taken the damaged segment away.
        expect(again.tailCut, `round ${round}`).toBe(true);
        await reports.settled(again.append([{ type: "fence", group: 0, epoch: round }]));
        if (round === 3) await again.checkpoint();
        await again.close();
      }
      const healed = await openDiskEngine({
        directory: place,
        files: disk,
        events: reports.events,
        limits: SMALL_LIMITS,
      });
      expect(healed.tailCut).toBe(false);
      await healed.close();
    } finally {
      await removeDirectory(place);
    }
  });
});
