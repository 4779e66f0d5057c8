// The load process: runs workloads against one store at a time and measures them. Told what to do by its parent over the
// channel of `fork`; ends when the parent does. A process of its own, so that its CPU is told apart from everybody else's.
import type { Caller } from "./caller.ts";
import { ClosedLoop, type LoadRun } from "./closed-loop.ts";
import { openDriver, type Target } from "./driver.ts";
import type { FromLoad, Measured, ToLoad } from "./load-process.ts";
import { OpenLoop } from "./open-loop.ts";
import { keyOf, valueOf, workload } from "./workload.ts";

/** Writes under way while keys are filled in: fewer where values are large. */
const FILL_IN_FLIGHT = 512;
const FILL_BYTES = 8 * 1024 * 1024;
const FILL_REPEATS = 5;

process.on("message", (order: ToLoad) => void carryOut(order));
process.on("disconnect", () => process.exit(0));
// Ctrl-C reaches everybody in the terminal: it is the parent that ends this process, when nothing waits for its figures any more.
process.on("SIGINT", () => undefined);

async function carryOut(order: ToLoad): Promise<void> {
  try {
    if (order.type === "fill") await fill(order.target, order.keys, order.valueBytes);
    else return tell({ type: "measured", ...(await measure(order)) });
    tell({ type: "filled" });
  } catch (error) {
    tell({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}

function tell(message: FromLoad): void {
  process.send?.(message);
}

/** Writes every key once. */
async function fill(target: Target, keys: number, valueBytes: number): Promise<void> {
  const inFlight = Math.max(1, Math.min(FILL_IN_FLIGHT, Math.floor(FILL_BYTES / valueBytes)));
  const driver = await openDriver(target, workload("fill", "put", inFlight));
  const value = valueOf(valueBytes);
  const repeated = new Map<string, number>();
  let next = 0;
  const one = async (caller: Caller): Promise<void> => {
    while (next < keys) {
      const key = keyOf(next++);
      await insist(() => caller.put([key], value), repeated);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, index) => one(driver.caller(index))));
  await driver.close();
  for (const [code, count] of repeated)
    process.stderr.write(`filling in: ${count} puts had to be repeated after ${code}\n`);
}

/** Tries again, some times: a store that stands still while it is filled ends no run, but it is told. */
async function insist(put: () => Promise<unknown>, repeated: Map<string, number>): Promise<void> {
  for (let left = FILL_REPEATS; ; left--) {
    try {
      await put();
      return;
    } catch (error) {
      const { code } = error as { code?: string };
      if (left === 0 || code === undefined) throw error;
      repeated.set(code, (repeated.get(code) ?? 0) + 1);
    }
  }
}

async function measure(order: Extract<ToLoad, { type: "measure" }>): Promise<Measured> {
  const { target, workload: asked, warmMs, measureMs } = order;
  const driver = await openDriver(target, asked);
  const run = runOf(order);
  const settled = run.start(driver);
  await pause(warmMs);
  tell({ type: "measuring" });
  run.begin();
  await pause(measureMs);
  run.end();
  tell({ type: "measuredUntil" });
  await settled;
  await driver.close();
  return run.measured();
}

function runOf({ workload: asked, seed, ratePerSecond }: Extract<ToLoad, { type: "measure" }>): LoadRun {
  return ratePerSecond === undefined ? new ClosedLoop(asked, seed) : new OpenLoop(asked, seed, ratePerSecond);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
