// Log: which batches overlap and which are waited for, and what closing waits for. The file answers when a test says so.
import { expect, test } from "vitest";
import { ENGINE_LIMITS } from "../../../storage-node/engine/engine-limits.ts";
import { Log, type LogOptions } from "../../../storage-node/engine/log.ts";
import type { Segments } from "../../../storage-node/engine/segments.ts";
import { Space } from "../../../storage-node/engine/space.ts";
import { value, write } from "../../contract/engine.ts";
import { SimulatedFiles } from "../../support/engine-files.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Bench {
  readonly said: string[] = [];
  readonly log: Log;
  #finish: () => void = () => {};

  constructor(waitedForBytesMax: number) {
    const file = {
      write: (): Promise<void> => {
        this.said.push("begun");
        return new Promise((resolve) => (this.#finish = resolve));
      },
      writeNow: (): void => void this.said.push("waited for"),
      close: (): Promise<void> => Promise.resolve(void this.said.push("closed")),
    };
    const segments = { take: () => Promise.resolve({ number: 1, bytes: 2 ** 20, file }) };
    const limits = { ...ENGINE_LIMITS, waitedForBytesMax };
    const space = new Space({
      files: new SimulatedFiles(1),
      directory: "none",
      freeBytesMin: 0,
      retryMs: 1_000,
      log: () => {},
    });
    const options: LogOptions = {
      segments: segments as unknown as Segments,
      space,
      limits,
      number: 0,
      position: 0,
      durable: ({ position }) => void this.said.push(`durable ${position}`),
      failed: (error) => void this.said.push(error.message),
    };
    this.log = new Log(options);
  }

  /** Appends a record, and lets the log do what it does by itself. */
  async append(bytes = 1): Promise<void> {
    this.log.append([write("key", value(1, "v".repeat(bytes)))]);
    await this.settle();
  }

  /** The write under way is done. */
  async finish(): Promise<void> {
    this.#finish();
    await this.settle();
  }

  async settle(): Promise<void> {
    for (let turns = 0; turns < 5; turns++) await turn();
  }
}

test("the disk works on the next batch while one takes effect", async () => {
  const bench = new Bench(0);
  await bench.append();
  await bench.append();
  await bench.finish();
  expect(bench.said).toEqual(["begun", "begun", "durable 1"]);
});

test("a small batch is waited for, behind those before it; a large one overlaps", async () => {
  const bench = new Bench(1_000);
  await bench.append();
  await bench.append();
  await bench.finish(); // the first needs a segment, so it is not waited for
  expect(bench.said.splice(0)).toEqual(["begun", "durable 1", "waited for", "durable 2"]);
  await bench.append(2_000);
  await bench.append(2_000);
  await bench.finish();
  expect(bench.said).toEqual(["begun", "begun", "durable 3"]);
});

test("closing awaits the write under way, also of a log that was given up", async () => {
  const bench = new Bench(0);
  await bench.append();
  bench.log.abandon();
  const closed = bench.log.close();
  await bench.settle();
  expect(bench.said).toEqual(["begun"]);
  await bench.finish();
  await closed;
  expect(bench.said).toEqual(["begun", "closed"]);
});
