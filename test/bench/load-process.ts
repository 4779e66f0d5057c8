// The load process as its parent sees it: orders out, figures back, and the CPU that every process of a store spent while
// the load was measured.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { cpuSeconds } from "./process-figures.ts";
import type { Target } from "./driver.ts";
import type { Workload } from "./workload.ts";

export type ToLoad =
  | { readonly type: "fill"; readonly target: Target; readonly keys: number; readonly valueBytes: number }
  | {
      readonly type: "measure";
      readonly target: Target;
      readonly workload: Workload;
      readonly seed: number;
      readonly warmMs: number;
      readonly measureMs: number;
      /** Operations are issued by this schedule; without it as the workload says, each caller as soon as it was answered. */
      readonly ratePerSecond?: number;
    };

export type FromLoad =
  | { readonly type: "filled" | "measuring" | "measuredUntil" }
  | ({ readonly type: "measured" } & Measured)
  | { readonly type: "failed"; readonly message: string };

export interface Measured {
  readonly operations: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** How often each error was seen; none of them counts as an operation. */
  readonly errors: Readonly<Record<string, number>>;
}

/** Figures of one run. CPU in microseconds an operation, by role, the load itself included. */
export interface RunFigures extends Measured {
  readonly cpu: Readonly<Record<string, number>>;
}

/** Processes of a store by what they do: `node` may be several. */
export type Roles = readonly { readonly role: string; readonly pid: number }[];

export class LoadProcess {
  readonly #child: ChildProcess;
  /** Messages nobody has taken yet: two may come in one turn. */
  readonly #messages: FromLoad[] = [];
  #taker: ((message: FromLoad) => void) | undefined;

  constructor() {
    this.#child = fork(fileURLToPath(new URL("load-main.js", import.meta.url)), { stdio: ["ignore", 2, 2, "ipc"] });
    this.#child.on("message", (message) => this.#received(message as FromLoad));
    this.#child.on("exit", () => this.#received({ type: "failed", message: "the load process ended" }));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async fill(target: Target, keys: number, valueBytes: number): Promise<void> {
    this.#order({ type: "fill", target, keys, valueBytes });
    await this.#answer("filled");
  }

  async measure(order: Omit<Extract<ToLoad, { type: "measure" }>, "type">, roles: Roles): Promise<RunFigures> {
    const everybody = [...roles, { role: "load", pid: this.pid }];
    this.#order({ type: "measure", ...order });
    await this.#answer("measuring");
    const before = everybody.map(({ pid }) => cpuSeconds(pid));
    await this.#answer("measuredUntil");
    const spent = everybody.map(({ pid }, index) => cpuSeconds(pid) - (before[index] ?? 0));
    const { type: _, ...measured } = await this.#answer("measured");
    const cpu: Record<string, number> = {};
    everybody.forEach(({ role }, index) => {
      cpu[role] = (cpu[role] ?? 0) + ((spent[index] ?? 0) * 1e6) / Math.max(1, measured.operations);
    });
    return { ...measured, cpu };
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }

  #order(order: ToLoad): void {
    this.#child.send(order);
  }

  #received(message: FromLoad): void {
    this.#messages.push(message);
    const taker = this.#taker;
    this.#taker = undefined;
    const first = taker && this.#messages.shift();
    if (first) taker?.(first);
  }

  /** @throws Error where the load failed or its process ended */
  async #answer<Type extends FromLoad["type"]>(type: Type): Promise<Extract<FromLoad, { type: Type }>> {
    const message = this.#messages.shift() ?? (await new Promise<FromLoad>((resolve) => (this.#taker = resolve)));
    if (message.type === "failed") throw new Error(`load: ${message.message}`);
    if (message.type !== type) throw new Error(`load: ${message.type} where ${type} was awaited`);
    return message as Extract<FromLoad, { type: Type }>;
  }
}
