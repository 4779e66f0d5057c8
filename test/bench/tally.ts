// What a run counts while it is measured: operations, how long each took, and what went wrong. None of what went wrong counts as
// an operation.
import { LatencyHistogram } from "../../shared/latency-histogram.ts";
import type { Measured } from "./load-process.ts";

export class Tally {
  readonly #latency = new LatencyHistogram();
  readonly #errors = new Map<string, number>();
  #operations = 0;

  /** @param operations Issued together, and done after so many milliseconds. */
  done(operations: number, durationMs: number): void {
    this.#operations += operations;
    this.#latency.record(durationMs);
  }

  failed(error: unknown): void {
    const name = (error as { code?: string }).code ?? String(error);
    this.#errors.set(name, (this.#errors.get(name) ?? 0) + 1);
  }

  /** @param seconds How long it was counted. */
  measured(seconds: number): Measured {
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
}
