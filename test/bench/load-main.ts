// The load process: runs workloads against one store at a time and measures them. Told what to do by its parent over the
// channel of `fork`; ends when the parent does. A process of its own, so that its CPU is told apart from everybody else's.
import { LatencyHistogram } from "../../shared/latency-histogram.ts";
import type { Caller, Driver } from "./caller.ts";
import { openDriver, type Target } from "./driver.ts";
import type { FromLoad, Measured, ToLoad } from "./load-process.ts";
import { keyChooser, keyOf, valueOf, type Workload, workload } from "./workload.ts";

/** Writes under way while keys are filled in. */
const FILL_IN_FLIGHT = 512;

process.on("message", (order: ToLoad) => void carryOut(order));
process.on("disconnect", () => process.exit(0));

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
  const driver = await openDriver(target, workload("fill", "put", FILL_IN_FLIGHT));
  const value = valueOf(valueBytes);
  let next = 0;
  const one = async (caller: Caller): Promise<void> => {
    while (next < keys) await caller.put([keyOf(next++)], value);
  };
  await Promise.all(Array.from({ length: FILL_IN_FLIGHT }, (_, index) => one(driver.caller(index))));
  await driver.close();
}

async function measure(order: Extract<ToLoad, { type: "measure" }>): Promise<Measured> {
  const { target, workload: asked, warmMs, measureMs } = order;
  const driver = await openDriver(target, asked);
  const run = new Run(asked, order.seed);
  const callers = run.start(driver);
  await pause(warmMs);
  tell({ type: "measuring" });
  run.begin();
  await pause(measureMs);
  const measured = run.end();
  tell({ type: "measuredUntil" });
  await callers;
  await driver.close();
  return measured;
}

class Run {
  readonly #workload: Workload;
  readonly #choose: () => string;
  readonly #value: string;
  #latency = new LatencyHistogram();
  #errors = new Map<string, number>();
  #operations = 0;
  #running = true;
  #beganMs = 0;
  #turn = 0;

  constructor(asked: Workload, seed: number) {
    this.#workload = asked;
    this.#choose = keyChooser(asked, seed);
    this.#value = valueOf(asked.valueBytes);
  }

  /** Settles when every caller has ended. */
  async start(driver: Driver): Promise<void> {
    const { inFlight, together } = this.#workload;
    await Promise.all(Array.from({ length: inFlight / together }, (_, index) => this.#calls(driver.caller(index))));
  }

  begin(): void {
    this.#latency = new LatencyHistogram();
    this.#errors = new Map();
    this.#operations = 0;
    this.#beganMs = performance.now();
  }

  end(): Measured {
    this.#running = false;
    const seconds = (performance.now() - this.#beganMs) / 1_000;
    const latency = this.#latency;
    return {
      operations: this.#operations,
      seconds,
      p50Ms: latency.quantile(0.5),
      p99Ms: latency.quantile(0.99),
      p999Ms: latency.quantile(0.999),
      maxMs: latency.maxMs,
      errors: Object.fromEntries(this.#errors),
    };
  }

  async #calls(caller: Caller): Promise<void> {
    const { together } = this.#workload;
    while (this.#running) {
      const startedMs = performance.now();
      try {
        await this.#issue(caller, together);
        this.#operations += together;
        this.#latency.record(performance.now() - startedMs);
      } catch (error) {
        const name = (error as { code?: string }).code ?? String(error);
        this.#errors.set(name, (this.#errors.get(name) ?? 0) + 1);
      }
    }
  }

  #issue(caller: Caller, together: number): Promise<unknown> {
    const keys = together === 1 ? [this.#choose()] : Array.from({ length: together }, this.#choose);
    switch (this.#workload.work) {
      case "put":
        return caller.put(keys, this.#value);
      case "get":
        return caller.get(keys);
      case "mixed-95":
        return this.#turn++ % 20 === 0 ? caller.put(keys, this.#value) : caller.get(keys);
      case "mixed-50":
        return this.#turn++ % 2 === 0 ? caller.put(keys, this.#value) : caller.get(keys);
      case "replace":
        return caller.replace(keys[0] as string, this.#value);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
