// The data directory's format: newer ones are refused with a way out, released ones open, foreign contents are left alone.
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DataDirectoryError, FORMAT_FILE } from "../../../storage-node/engine/format.ts";
import { DiskHarness, removeDirectory, temporaryDirectory } from "../../support/engine-harness.ts";
import { FIXTURE_LOG, FIXTURE_TABLE } from "../../support/engine-fixture.ts";
import { EngineModel } from "../../support/engine-model.ts";
import { value, write } from "../../contract/engine.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

let directory: string;

beforeEach(async () => {
  directory = await temporaryDirectory();
});

afterEach(async () => {
  await removeDirectory(directory);
});

/** Opens, writes one register and closes. */
async function used(): Promise<void> {
  const harness = await DiskHarness.open({ directory });
  await harness.settled(harness.engine.append([write("apple", value(1))]));
  await harness.close();
}

async function refusal(): Promise<Error> {
  const harness = DiskHarness.open({ directory });
  await expect(harness).rejects.toThrow(DataDirectoryError);
  return harness.then(
    () => new Error("opened"),
    (error: Error) => error,
  );
}

test("a new directory gets an incarnation that stays", async () => {
  await used();
  const { format, incarnation } = JSON.parse(await readFile(join(directory, FORMAT_FILE), "utf8")) as Record<
    string,
    unknown
  >;
  expect(format).toBe(1);
  const harness = await DiskHarness.open({ directory });
  expect(harness.engine.recovered.identity.incarnation).toBe(incarnation);
  await harness.close();
});

test("a newer format is refused, with the program that wrote it and what to use", async () => {
  await used();
  await writeFile(join(directory, FORMAT_FILE), '{"format":2,"incarnation":"i","program":"holdfast 3.0.0"}');
  expect((await refusal()).message).toBe(
    `the data in ${directory} has format 2 (written by holdfast 3.0.0); this program reads up to format 1. Use the program version that wrote it, or a newer one`,
  );
});

test.each(["", "not JSON", "{}", '{"format":"1","incarnation":"i"}', '{"format":1}'])(
  "a damaged format file is refused: %j",
  async (text) => {
    await used();
    await writeFile(join(directory, FORMAT_FILE), text);
    expect((await refusal()).message).toMatch(/format\.json is damaged/);
  },
);

test("a directory with a log but no format file is refused", async () => {
  await used();
  await rm(join(directory, FORMAT_FILE));
  expect((await refusal()).message).toMatch(/holds log segments but no format file/);
});

test("a directory whose table is gone is refused: its incarnation would promise what it does not hold", async () => {
  await used();
  await rm(join(directory, "table"), { recursive: true });
  expect((await refusal()).message).toMatch(/the table in .* is missing or empty/);
});

test("a table that LMDB does not recognise is refused with what to do", async () => {
  await used();
  await writeFile(join(directory, "table", "data.mdb"), Buffer.alloc(65_536, 0x55));
  expect((await refusal()).message).toMatch(/the table in .* is damaged: start with an empty directory/);
});

test("a first start that was interrupted before the format file is finished by the next", async () => {
  await used();
  const names = await readdir(directory);
  for (const name of names.filter((one) => one.startsWith("log-") || one === FORMAT_FILE))
    await rm(join(directory, name));
  const harness = await DiskHarness.open({ directory });
  const text = await readFile(join(directory, FORMAT_FILE), "utf8");
  expect(text).toContain(harness.engine.recovered.identity.incarnation);
  await harness.close();
});

test("after a refusal the directory is free for the program that can open it", async () => {
  await used();
  const good = await readFile(join(directory, FORMAT_FILE));
  await writeFile(join(directory, FORMAT_FILE), '{"format":9,"incarnation":"i"}');
  await refusal();
  await writeFile(join(directory, FORMAT_FILE), good);
  const harness = await DiskHarness.open({ directory });
  expect(harness.engine.read(7, "apple")).toEqual(value(1));
  await harness.close();
});

test("a directory written in format 1 opens, table and log", async () => {
  await cp(join(FIXTURES, "data-format-1"), directory, { recursive: true });
  const harness = await DiskHarness.open({ directory });
  const model = EngineModel.of([...FIXTURE_TABLE, ...FIXTURE_LOG]);
  const { engine } = harness;
  expect(engine.position).toBe(FIXTURE_TABLE.length + FIXTURE_LOG.length);
  expect(engine.tailCut).toBe(false);
  model.matches(engine, "fixture", { recovered: true, slots: [0, 1, 2, 3] });
  expect(engine.recovered.identity).toEqual(model.control.identity);
  await harness.engine.checkpoint();
  model.matches(engine, "fixture, after a checkpoint", { recovered: true, slots: [0, 1, 2, 3] });
  await harness.close();
});
