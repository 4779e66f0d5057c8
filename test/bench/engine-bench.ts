// Measures the disk engine by itself: durable writes a second at several depths, recovery, opening with many keys, memory.
// Run by hand (it takes minutes and is never a test):
//   npx tsc && node --expose-gc dist/test/bench/engine-bench.js [--seconds 5] [--only writes|recovery|open]
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { slotOf } from "../../shared/slot.ts";
import { openDiskEngine } from "../../storage-node/engine/disk-engine.ts";
import type { DiskEngine } from "../../storage-node/engine/disk-engine.ts";
import type { EngineLimits } from "../../storage-node/engine/engine-limits.ts";
import type { LogRecord } from "../../storage-node/engine/engine.ts";

const VALUE = "v".repeat(100);
const DEPTHS = [1, 64, 256, 1024];
const SEED = 1;

interface Waiter {
  readonly position: number;
  readonly resolve: () => void;
}

/** An engine and the promises of its writes, resolved in order. */
class Subject {
  readonly #waiting: Waiter[] = [];
  #head = 0;
  engine!: DiskEngine;
  #seq = 0;

  static async open(directory: string, limits: Partial<EngineLimits> = {}): Promise<Subject> {
    const subject = new Subject();
    subject.engine = await openDiskEngine({
      directory,
      limits,
      events: {
        durable: (position) => subject.#settle(position),
        failed: (error) => {
          throw error;
        },
      },
    });
    return subject;
  }

  #settle(position: number): void {
    for (;;) {
      const waiter = this.#waiting[this.#head];
      if (!waiter || waiter.position > position) break;
      this.#head++;
      waiter.resolve();
    }
    if (this.#head > 4096) this.#waiting.splice(0, this.#head), (this.#head = 0);
  }

  put(key: string): Promise<void> {
    const version = [1, ++this.#seq] as const;
    const record: LogRecord = {
      type: "write",
      slot: slotOf(key, SEED),
      key,
      record: { version, origin: version, value: VALUE, operation: "" },
    };
    const position = this.engine.append([record]);
    return new Promise((resolve) => this.#waiting.push({ position, resolve }));
  }
}

function micros(): number {
  return Number(process.hrtime.bigint()) / 1000;
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Closed loop: `depth` writers, each waiting for its write. Refused while the engine is behind, as a node does. */
async function writes(subject: Subject, options: { depth: number; seconds: number; key: () => string }): Promise<string> {
  const latencies: number[] = [];
  const started = micros();
  const end = started + options.seconds * 1e6;
  const cpu = process.cpuUsage();
  let done = 0;
  async function writer(): Promise<void> {
    while (micros() < end) {
      while (!subject.engine.accepts(200)) await new Promise((resolve) => setTimeout(resolve, 1));
      const at = micros();
      await subject.put(options.key());
      done++;
      if ((done & 7) === 0) latencies.push(micros() - at);
    }
  }
  await Promise.all(Array.from({ length: options.depth }, writer));
  const seconds = (micros() - started) / 1e6;
  const used = process.cpuUsage(cpu);
  latencies.sort((a, b) => a - b);
  const [p50, p99, worst] = [percentile(latencies, 0.5), percentile(latencies, 0.99), latencies.at(-1) ?? 0];
  const perPut = (used.user + used.system) / done;
  return `${Math.round(done / seconds)} /s, p50 ${(p50 / 1000).toFixed(2)} ms, p99 ${(p99 / 1000).toFixed(2)} ms, worst ${(worst / 1000).toFixed(0)} ms, CPU ${perPut.toFixed(1)} us a put`;
}

async function measureWrites(directory: string, seconds: number): Promise<void> {
  for (const [name, key] of Object.entries(keySources())) {
    for (const depth of DEPTHS) {
      const place = join(directory, `${name}-${depth}`);
      const subject = await Subject.open(place);
      console.log(`writes, ${name} keys, ${depth} in flight: ${await writes(subject, { depth, seconds, key })}`);
      await subject.engine.close();
      await rm(place, { recursive: true });
    }
  }
}

function keySources(): Record<string, () => string> {
  let next = 0;
  return {
    "100k random": () => `user:${String(Math.floor(Math.random() * 100_000)).padStart(10, "0")}`,
    distinct: () => `user:${String(Math.imul(++next, 0x9e_37_79_b1) >>> 0).padStart(10, "0")}`,
  };
}

async function fill(subject: Subject, keys: number): Promise<void> {
  let pending: Promise<void>[] = [];
  for (let n = 0; n < keys; n++) {
    while (!subject.engine.accepts(200)) await new Promise((resolve) => setTimeout(resolve, 1));
    pending.push(subject.put(`key:${String(Math.imul(n, 0x9e_37_79_b1) >>> 0)}`));
    if (pending.length === 2000) {
      await Promise.all(pending);
      pending = [];
    }
  }
  await Promise.all(pending);
}

function megabytes(): string {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return `${Math.round(rss / 2 ** 20)} MB resident, ${Math.round(heapUsed / 2 ** 20)} MB heap`;
}

async function measureOpening(directory: string, options: { name: string; keys: number; limits: Partial<EngineLimits> }): Promise<void> {
  const place = join(directory, options.name);
  const first = await Subject.open(place, options.limits);
  await fill(first, options.keys);
  if (options.name === "open") await first.engine.checkpoint();
  console.log(`${options.name}: ${options.keys} keys written; ${megabytes()}`);
  await first.engine.crash();
  const at = micros();
  const second = await Subject.open(place, options.limits);
  console.log(`${options.name}: ready after ${((micros() - at) / 1000).toFixed(0)} ms; ${megabytes()}`);
  const summing = micros();
  let keys = 0;
  for (let slot = 0; slot < 4096; slot++) keys += second.engine.summary(slot).keys;
  console.log(`${options.name}: ${keys} keys counted in ${((micros() - summing) / 1000).toFixed(0)} ms`);
  await second.engine.close();
  await rm(place, { recursive: true });
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { seconds: { type: "string", default: "5" }, only: { type: "string" } } });
  const directory = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  console.log(`idle process: ${megabytes()}`);
  try {
    if (values.only === undefined || values.only === "writes") await measureWrites(directory, Number(values.seconds));
    // No checkpoint happens in between: everything is in the log.
    const unbounded = { freshBytesMax: 2 ** 40, logBytesMax: 2 ** 40 };
    if (values.only !== "writes" && values.only !== "open") {
      await measureOpening(directory, { name: "recovery", keys: 1_000_000, limits: unbounded });
    }
    if (values.only === undefined || values.only === "open") {
      await measureOpening(directory, { name: "open", keys: 1_000_000, limits: {} });
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

if (process.argv[1]?.endsWith("engine-bench.js")) await main();
