// What the benchmark is made of, without a store: medians, ratios, what fell, the choice of keys, replies of Redis, the chart.
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { medianOf } from "./average.ts";
import { fallen, type Report, rowOf } from "./figures.ts";
import type { RunFigures } from "./load-process.ts";
import { RedisConnection } from "./redis-client.ts";
import { chartOf, tableOf } from "./report-text.ts";
import { keyChooser, keyOf, workload } from "./workload.ts";

function run(operations: number, p99Ms = 1): RunFigures {
  return { operations, seconds: 2, p50Ms: 1, p99Ms, p999Ms: 1, maxMs: 1, errors: {}, cpu: { load: 5 } };
}

function report(ours: number, theirs: number): Report {
  const row = rowOf("put & get", { holdfast: [run(ours)], redis: [run(theirs)] });
  return { format: 1, machine: {}, versions: {}, rows: [row], singles: [{ name: "a start", value: 2, unit: "s" }] };
}

test("a median is the middle, or between the two in the middle", () => {
  expect(medianOf([3, 1, 2])).toBe(2);
  expect(medianOf([4, 1, 3, 2])).toBe(2.5);
});

test("figures are medians of the rounds, ratios those of what each round came to, for throughput and for p99", () => {
  const ours = [run(10), run(90, 6), run(20, 4)];
  const row = rowOf("put", { holdfast: ours, redis: [run(40, 8), run(45, 2), run(25, 8)] });
  expect(row.stores["holdfast"]).toMatchObject({ opsPerSecond: 10, p99Ms: 4, rounds: [5, 45, 10] });
  expect(row.ratios).toEqual({ redis: { throughput: 0.8, p99: 0.5 } });
});

test("a ratio that fell by more than a quarter is told, one that fell by less is not", () => {
  expect(fallen(report(80, 100), report(100, 100))).toEqual([]);
  expect(fallen(report(70, 100), report(100, 100))).toEqual(["put & get: 0.70 × redis, was 1.00 ×"]);
});

test("table and chart name workload, stores and ratio", () => {
  const table = tableOf(report(50, 100)).join("\n");
  expect(table).toMatch(/put & get +holdfast +25\.00/);
  expect(table).toMatch(/redis +50\.00 +0\.50/);
  expect(table).toContain("a start: 2.00 s");
  expect(chartOf(report(50, 100))).toContain("put &amp; get");
});

test("keys: uniform and Zipf within their number, Zipf by far the most often the same one, distinct never twice", () => {
  const counts = (choice: "uniform" | "zipf" | "distinct"): Map<string, number> => {
    const next = keyChooser(workload("w", "put", 1, { choice, keys: 1_000 }), 1);
    const seen = new Map<string, number>();
    for (let n = 0; n < 20_000; n++) {
      const key = next();
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    return seen;
  };
  const most = (seen: Map<string, number>): number => Math.max(...seen.values());
  for (const choice of ["uniform", "zipf"] as const)
    expect([...counts(choice).keys()].every((key) => key < keyOf(1_000))).toBe(true);
  expect(most(counts("uniform"))).toBeLessThan(60);
  expect(most(counts("zipf"))).toBeGreaterThan(1_000);
  expect(counts("distinct").size).toBe(20_000);
});

test("Redis: replies are told apart wherever the bytes are cut, and a WAIT without a replica is no acknowledgement", async () => {
  const replies = ["+OK\r\n:1\r\n", "$5\r\nwor\r\n\r\n$-1\r\n", "+OK\r\n:0\r\n"];
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("data", () => {
      for (const byte of replies.shift() ?? "") socket.write(byte);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const connection = await RedisConnection.open(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    await connection.put(["a"], "v");
    expect(await connection.ask("two gets", 2)).toEqual(["$5\r\nwor\r\n", "$-1"]);
    await expect(connection.put(["a"], "v")).rejects.toThrow("without a replica");
  } finally {
    connection.close();
    server.close();
  }
});
