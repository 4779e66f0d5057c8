// Power cuts: the real engine over a disk that loses, tears and forgets what was not synced. kill -9 never tests that. After each
// cut the engine must open, show exactly a prefix of what was appended, with everything acknowledged in it, and go on.
// POWER_CUTS sets how many cuts (the long run: 500 and more), POWER_CUT_SEED where the seeds start.
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openDiskEngine } from "../../../storage-node/engine/disk-engine.ts";
import type { DiskEngine } from "../../../storage-node/engine/disk-engine.ts";
import type { LogRecord } from "../../../storage-node/engine/engine.ts";
import { SimulatedFiles } from "../../support/engine-files.ts";
import { removeDirectory, Reports, SMALL_LIMITS, temporaryDirectory } from "../../support/engine-harness.ts";
import { EngineModel, randomRecord } from "../../support/engine-model.ts";
import { seededRandom } from "../../support/random.ts";

const CUTS = Number(process.env["POWER_CUTS"] ?? 90);
const CUTS_PER_SEED = 5;
const FIRST_SEED = Number(process.env["POWER_CUT_SEED"] ?? 1);

const LIMITS = {
  ...SMALL_LIMITS,
  segmentBytesFirst: 4096,
  segmentBytesMax: 16 * 1024,
  batchBytesMax: 4096,
  logBytesMax: 48 * 1024,
  freshBytesMax: 16 * 1024,
  chunkOperations: 24,
};

/** The places of one life after another, and the table as of its last durable transaction. */
class Machine {
  readonly #root: string;
  #life = 0;
  #snapshot: string | undefined;
  #snapshots = 0;

  constructor(root: string) {
    this.#root = root;
  }

  get directory(): string {
    return join(this.#root, `life-${this.#life}`);
  }

  /** A new directory with the table as it survived. */
  async restart(): Promise<void> {
    this.#life++;
    await mkdir(join(this.directory, "table"), { recursive: true });
    if (this.#snapshot) await copyFile(this.#snapshot, join(this.directory, "table", "data.mdb"));
  }

  async tableCommitted(): Promise<void> {
    const copy = join(this.#root, `snapshot-${++this.#snapshots % 2}.mdb`);
    await copyFile(join(this.directory, "table", "data.mdb"), copy);
    this.#snapshot = copy;
  }
}

/** Files are known by the directory they are in; the next life has another one. */
function moved(files: SimulatedFiles, from: string, to: string): SimulatedFiles {
  const next = new SimulatedFiles(files.operations + 1);
  for (const path of files.paths()) next.put(path.replace(from, to), files.bytes(path));
  return next;
}

async function run(seed: number): Promise<{ cuts: number; tailsCut: number; commits: number }> {
  const random = seededRandom(seed);
  const root = await temporaryDirectory();
  const machine = new Machine(root);
  let files = new SimulatedFiles(seed);
  let history: LogRecord[] = [];
  let acknowledged = 0;
  const totals = { cuts: 0, tailsCut: 0, commits: 0 };
  await machine.restart();
  try {
    for (let life = 0; life <= CUTS_PER_SEED; life++) {
      const reports = new Reports();
      const where = `seed ${seed}, life ${life}`;
      const cutAt = 3 + Math.floor(random() ** 2 * 400);
      let survivors: SimulatedFiles | undefined;
      const current = files;
      const cut = (): void => {
        survivors ??= current.cut();
      };
      const open = async (): Promise<DiskEngine> =>
        openDiskEngine({
          directory: machine.directory,
          files: current,
          // Half of them wait for no write: all are torn while others gather.
          limits: { ...LIMITS, ...(seed % 2 === 0 && { waitedForBytesMax: 0 }) },
          events: reports.events,
          tableCommitted: async () => {
            if (survivors) return;
            totals.commits++;
            await machine.tableCommitted();
            if (random() < 0.03 && life < CUTS_PER_SEED) cut();
          },
        });
      current.before = (_operation, _name, index) => {
        if (index === cutAt && life < CUTS_PER_SEED) cut();
        return undefined;
      };
      const engine = await open().catch((error: unknown) => {
        if (!survivors) throw error;
        return undefined;
      });
      if (engine) {
        expect(engine.position, where).toBeGreaterThanOrEqual(acknowledged);
        expect(engine.position, where).toBeLessThanOrEqual(history.length);
        history = history.slice(0, engine.position);
        if (engine.tailCut) totals.tailsCut++;
        EngineModel.of(history).matches(engine, where, { recovered: true });
        acknowledged = engine.position;
        if (life === CUTS_PER_SEED) {
          await engine.close();
          break;
        }
        while (!survivors) {
          const batch = Array.from({ length: 1 + Math.floor(random() * 6) }, (_, n) =>
            randomRecord(random, history.length + n + 1),
          );
          history.push(...batch);
          engine.append(batch);
          // File operations are quick and commits of the table are not: now and then wait for one.
          if (random() < 0.05) await engine.checkpoint();
          await new Promise((resolve) => setImmediate(resolve));
        }
        acknowledged = Math.max(acknowledged, reports.durable);
        await engine.crash();
      }
      totals.cuts++;
      const before = machine.directory;
      await machine.restart();
      if (!survivors) throw new Error("a life ends with a cut");
      files = moved(survivors, before, machine.directory);
    }
  } finally {
    await removeDirectory(root);
  }
  return totals;
}

test(`${CUTS} power cuts: nothing acknowledged is lost, nothing is misread, and the engine opens every time`, async () => {
  const totals = { cuts: 0, tailsCut: 0, commits: 0 };
  for (let seed = FIRST_SEED; totals.cuts < CUTS; seed++) {
    const { cuts, tailsCut, commits } = await run(seed);
    totals.cuts += cuts;
    totals.tailsCut += tailsCut;
    totals.commits += commits;
  }
  console.log(`power cuts from seed ${FIRST_SEED}: ${JSON.stringify(totals)}`);
  expect(totals.tailsCut, "some writes were torn").toBeGreaterThan(0);
  expect(totals.commits, "checkpoints were cut as well").toBeGreaterThan(2 * totals.cuts);
}, 1_800_000);
