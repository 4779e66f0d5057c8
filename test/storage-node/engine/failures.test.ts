// Rule 6 and N10: what the engine does when the disk is full, when it fails, and when it hangs.
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { SimulatedFiles } from "../../support/engine-files.ts";
import { DiskHarness, SMALL_LIMITS } from "../../support/engine-harness.ts";
import { value, write } from "../../contract/engine.ts";
import { guard, StuckError } from "../../../storage-node/engine/watchdog.ts";

const open: DiskHarness[] = [];

async function harnessOf(files: SimulatedFiles, limits: object = {}): Promise<DiskHarness> {
  const harness = await DiskHarness.open({ files, limits: { ...SMALL_LIMITS, spaceRetryMs: 10, ...limits } });
  open.push(harness);
  return harness;
}

afterEach(async () => {
  for (const harness of open.splice(0)) await harness.dispose();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("rule 6: out of space, user data is refused, control records and reads go on, and it recovers by itself", async () => {
  const files = new SimulatedFiles(1);
  const harness = await harnessOf(files);
  const { engine } = harness;
  await harness.settled(engine.append([write("apple", value(1))]));
  files.free = 0;
  // The segment in use ends; the next one was prepared already, the one after that meets the full disk.
  for (let n = 2; !engine.diskFull; n++)
    await harness.settled(engine.append([write("pear", value(n, "x".repeat(1000)))]));
  expect(engine.accepts(1)).toBe(false);
  expect(engine.read(7, "apple")).toEqual(value(1));
  await harness.settled(engine.append([{ type: "fence", group: 0, epoch: 3 }]));
  expect(harness.messages.join()).toMatch(/no space left in .*: writes are refused until some is freed; reads go on/);
  files.free = 2 ** 30;
  await until(() => !engine.diskFull);
  expect(engine.accepts(1)).toBe(true);
  await harness.settled(engine.append([write("fig", value(9))]));
  await harness.close();
  await harness.reopen();
  expect(harness.engine.recovered.fence).toBe(3);
  expect(harness.engine.read(7, "fig")).toEqual(value(9));
  expect(harness.reported.failures).toEqual([]);
});

test("rule 6: the reserve is not for user data", async () => {
  const files = new SimulatedFiles(2);
  files.free = 10_000_000;
  const harness = await harnessOf(files, { freeBytesMin: 5_000_000 });
  expect(harness.engine.diskFull).toBe(false);
  files.free = 4_000_000;
  await harness.engine.checkpoint();
  await until(() => harness.engine.diskFull);
  expect(harness.engine.accepts(1)).toBe(false);
  await harness.settled(harness.engine.append([{ type: "fence", group: 0, epoch: 1 }]));
  files.free = 10_000_000;
  await until(() => harness.engine.accepts(1));
});

test("an append that finds no space after all waits for it, and nothing fails", async () => {
  const files = new SimulatedFiles(3);
  const harness = await harnessOf(files);
  let refusals = 0;
  files.before = (operation, name) => {
    if (operation !== "write" || !name.endsWith("log-0000000001") || refusals >= 3) return undefined;
    refusals++;
    return Object.assign(new Error("no space"), { code: "ENOSPC" });
  };
  await harness.settled(harness.engine.append([write("apple", value(1))]));
  expect(refusals).toBe(3);
  expect(harness.engine.read(7, "apple")).toEqual(value(1));
  expect(harness.reported.failures).toEqual([]);
});

test.each(["EIO", "EROFS"])(
  "N10: %s on the log ends the engine: it says so once, and acknowledges nothing any more",
  async (code) => {
    const files = new SimulatedFiles(4);
    const harness = await harnessOf(files);
    await harness.settled(harness.engine.append([write("apple", value(1))]));
    files.before = (operation) => (operation === "write" ? Object.assign(new Error(code), { code }) : undefined);
    harness.engine.append([write("pear", value(2))]);
    expect(await harness.reported.failure()).toMatchObject({ code });
    files.before = undefined;
    harness.engine.append([write("fig", value(3))]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(harness.durable).toBe(1);
    expect(harness.reported.failures).toHaveLength(1);
    expect(harness.engine.accepts(1)).toBe(false);
    expect(harness.engine.read(7, "pear")).toBeUndefined();
  },
);

test("N10: a write that never settles ends the engine", async () => {
  const files = new SimulatedFiles(5);
  const harness = await harnessOf(files, { stuckMs: 200 });
  files.stuck = (operation, name) => operation === "write" && name.endsWith("log-0000000001");
  harness.engine.append([write("apple", value(1))]);
  expect(await harness.reported.failure()).toBeInstanceOf(StuckError);
});

test("N10: the watchdog counts running time: a stop of the process adds at most one step", async () => {
  const block = new Int32Array(new SharedArrayBuffer(4));
  let settle: ((value: string) => void) | undefined;
  const guarded = guard("a write", new Promise<string>((resolve) => (settle = resolve)), 400);
  await new Promise((resolve) => setTimeout(resolve, 20));
  Atomics.wait(block, 0, 0, 600);
  setImmediate(() => settle?.("written"));
  await expect(guarded).resolves.toBe("written");
});

test("N10: a damaged record of the table is never served: the engine ends", async () => {
  const harness = await DiskHarness.open();
  open.push(harness);
  await harness.settled(harness.engine.append([write("apple", value(1, "a value that is easy to find"))]));
  await harness.engine.checkpoint();
  await harness.close();
  const path = join(harness.directory, "table", "data.mdb");
  const bytes = await readFile(path);
  for (let at = bytes.indexOf("easy to find"); at >= 0; at = bytes.indexOf("easy to find", at + 1)) bytes[at] = 0x45;
  await writeFile(path, bytes);
  await harness.reopen();
  expect(() => harness.engine.read(7, "apple")).toThrow(/damaged record/);
  expect(await harness.reported.failure()).toMatchObject({
    message: expect.stringMatching(/rejoin it with an empty data directory/) as unknown,
  });
});

test("a checkpoint killed behind any of its transactions loses nothing and leaves every summary right", async () => {
  const steps = 12;
  for (let step = 1; step <= steps; step++) {
    let commits = -1; // the first one makes the table
    let copied: string | undefined;
    let release: (() => void) | undefined;
    const harness: DiskHarness = await DiskHarness.open({
      tableCommitted: async () => {
        if (++commits !== step) return;
        copied = join(harness.directory, "copied.mdb");
        await copyFile(join(harness.directory, "table", "data.mdb"), copied);
        await new Promise<void>((resolve) => (release = resolve));
      },
    });
    open.push(harness);
    for (let n = 1; n <= 60; n++)
      harness.engine.append([write(`key ${n}`, value(n, n % 5 ? `value ${n}` : null), 7 + (n % 3))]);
    harness.engine.append([
      { type: "role", slots: [8], role: "incoming", stamp: [1, 1], wipe: true },
      write("new", value(99), 8),
    ]);
    await harness.settled(62);
    const before = [7, 8, 9].map((slot) => harness.engine.summary(slot));
    let over = false; // one that is held behind a transaction does not end
    void harness.engine.checkpoint().then(() => (over = true));
    await until(() => copied !== undefined || over);
    if (!copied) {
      expect(step, "the checkpoint has several transactions").toBeGreaterThan(4);
      break;
    }
    const second = await DiskHarness.open();
    open.push(second);
    await second.crash();
    await copyFile(copied, join(second.directory, "table", "data.mdb"));
    for (const name of ["log-0000000001", "log-0000000002"])
      await copyFile(join(harness.directory, name), join(second.directory, name));
    await second.reopen();
    expect(
      [7, 8, 9].map((slot) => second.engine.summary(slot)),
      `step ${step}`,
    ).toEqual(before);
    expect(second.engine.read(8, "key 1"), `step ${step}`).toBeUndefined();
    await second.engine.checkpoint();
    expect(
      [7, 8, 9].map((slot) => second.engine.summary(slot)),
      `step ${step}, again`,
    ).toEqual(before);
    expect(second.engine.list(8, undefined, 10).map(({ key }) => key)).toEqual(["new"]);
    release?.();
  }
});
