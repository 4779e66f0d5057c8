// Measures the disk engine by itself: durable writes a second at several depths, recovery, opening with many keys, memory.
// Run by hand (it takes minutes and is never a test):
//   npx tsc && node --expose-gc dist/test/bench/engine-bench.js [--seconds 5] [--only writes|recovery|open] [--depth 256]
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
/** Writes in flight; `--depth` picks one. */
const DEPTHS = [1, 64, 256, 1024];
const SEED = 1;

/** An engine that is kept at a depth: as much is appended as became durable. Harnesses with a promise a write cost more than the engine. */
class Subject {
  engine!: DiskEngine;
  durable = 0;
  #seq = 0;
  onDurable: (() => void) | undefined;

  static async open(directory: string, limits: Partial<EngineLimits> = {}): Promise<Subject> {
    const subject = new Subject();
    subject.engine = await openDiskEngine({
      directory,
      limits,
      events: {
        durable: (position) => {
          subject.durable = position;
          subject.onDurable?.();
        },
        failed: (error) => {
          throw error;
        },
      },
    });
    subject.durable = subject.engine.position;
    return subject;
  }

  /** Appends `count` writes and returns the position behind them. */
  put(keys: () => Key, count: number): number {
    const records: LogRecord[] = [];
    for (let n = 0; n < count; n++) {
      const { key, slot } = keys();
      const version = [1, ++this.#seq] as const;
      records.push({ type: "write", slot, key, record: { version, origin: version, value: VALUE, operation: "" } });
    }
    return this.engine.append(records);
  }

  async settled(position: number): Promise<void> {
    while (this.durable < position) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Waits while the engine refuses user data because it is behind. */
  async room(): Promise<void> {
    while (!this.engine.accepts(200)) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

interface Key {
  readonly key: string;
  readonly slot: number;
}

function keyOf(n: number): Key {
  const key = Buffer.from(`user:${String(n).padStart(10, "0")}`).toString("latin1");
  return { key, slot: slotOf(key, SEED) };
}

function micros(): number {
  return Number(process.hrtime.bigint()) / 1000;
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Closed loop with `depth` writes in flight; refused while the engine is behind, as a node does. */
async function writes(subject: Subject, options: { depth: number; seconds: number; keys: () => Key }): Promise<string> {
  const { depth, seconds, keys } = options;
  const latencies: number[] = [];
  const waiting: { position: number; at: number }[] = [];
  const started = micros();
  const end = started + seconds * 1e6;
  const cpu = process.cpuUsage();
  const first = subject.durable;
  let appended = first;
  let refusedTurns = 0;
  function fill(): void {
    if (micros() >= end) return;
    if (!subject.engine.accepts(200 * depth)) {
      if (refusedTurns++ % 2 === 0) setTimeout(fill, 1);
      return;
    }
    const count = depth - (appended - subject.durable);
    if (count <= 0) return;
    appended = subject.put(keys, count);
    waiting.push({ position: appended, at: micros() });
  }
  subject.onDurable = () => {
    for (let head = waiting[0]; head && head.position <= subject.durable; head = waiting[0]) {
      latencies.push(micros() - head.at);
      waiting.shift();
    }
    fill();
  };
  fill();
  while (micros() < end) await new Promise((resolve) => setTimeout(resolve, 10));
  await subject.settled(appended);
  const elapsed = (micros() - started) / 1e6;
  const used = process.cpuUsage(cpu);
  const done = subject.durable - first;
  latencies.sort((a, b) => a - b);
  const [p50, p99, worst] = [percentile(latencies, 0.5), percentile(latencies, 0.99), latencies.at(-1) ?? 0];
  const perPut = (used.user + used.system) / done;
  return `${Math.round(done / elapsed)} /s, p50 ${(p50 / 1000).toFixed(2)} ms, p99 ${(p99 / 1000).toFixed(2)} ms, worst ${(worst / 1000).toFixed(0)} ms, CPU ${perPut.toFixed(1)} us a put`;
}

async function measureWrites(
  directory: string,
  { seconds, depths }: { seconds: number; depths: readonly number[] },
): Promise<void> {
  for (const [name, keys] of Object.entries(keySources())) {
    for (const depth of depths) {
      const place = join(directory, `${name}-${depth}`);
      const subject = await Subject.open(place);
      console.log(`writes, ${name} keys, ${depth} in flight: ${await writes(subject, { depth, seconds, keys })}`);
      await subject.engine.close();
      await rm(place, { recursive: true });
    }
  }
}

function keySources(): Record<string, () => Key> {
  const known = Array.from({ length: 100_000 }, (_, n) => keyOf(n));
  let next = 0;
  return {
    "100k random": () => known[Math.floor(Math.random() * known.length)] ?? keyOf(0),
    distinct: () => keyOf(Math.imul(++next, 0x9e_37_79_b1) >>> 0),
  };
}

async function fillUp(subject: Subject, keys: number): Promise<void> {
  let next = 0;
  while (next < keys) {
    await subject.room();
    await subject.settled(subject.put(() => keyOf(Math.imul(++next, 0x9e_37_79_b1) >>> 0), 2000));
  }
}

function megabytes(): string {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  return `${Math.round(rss / 2 ** 20)} MB resident, ${Math.round(heapUsed / 2 ** 20)} MB heap`;
}

async function measureOpening(
  directory: string,
  options: { name: string; keys: number; limits: Partial<EngineLimits> },
): Promise<void> {
  const place = join(directory, options.name);
  const first = await Subject.open(place, options.limits);
  await fillUp(first, options.keys);
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
  const { values } = parseArgs({
    options: { seconds: { type: "string", default: "5" }, only: { type: "string" }, depth: { type: "string" } },
  });
  const depths = values.depth ? [Number(values.depth)] : DEPTHS;
  const directory = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  console.log(`idle process: ${megabytes()}`);
  try {
    if (values.only === undefined || values.only === "writes")
      await measureWrites(directory, { seconds: Number(values.seconds), depths });
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
