// Process: a simulated operating-system process on the virtual clock. It runs, is paused (SIGSTOP) or is dead; what was meant for an
// earlier life of it never reaches a later one, and what arrives while it is paused waits, in order, until it goes on.
import type { Timers } from "../../shared/timers.ts";

export class Process {
  readonly name: string;
  readonly #timers: Timers;
  /** Grows with every start and every death. */
  life = 0;
  up = false;
  paused = false;
  #backlog: (() => void)[] = [];

  constructor(name: string, timers: Timers) {
    this.name = name;
    this.#timers = timers;
  }

  /** The process's monotonic clock, ms. */
  get now(): number {
    return this.#timers.now;
  }

  start(): void {
    this.life++;
    this.up = true;
    this.paused = false;
    this.#backlog = [];
  }

  die(): void {
    this.life++;
    this.up = false;
    this.paused = false;
    this.#backlog = [];
  }

  pause(): void {
    if (this.up) this.paused = true;
  }

  resume(): void {
    this.paused = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const event of backlog) event();
  }

  /** Runs `event` in this process after `delayMs`, unless this life of it is over by then. */
  after(delayMs: number, event: () => void): void {
    const { life } = this;
    this.#timers.after(delayMs, () => this.inLife(life, event));
  }

  /** Runs `event` now, or when the process goes on, unless that life of it is over. */
  inLife(life: number, event: () => void): void {
    if (!this.up || this.life !== life) return;
    if (this.paused) this.#backlog.push(() => this.inLife(life, event));
    else event();
  }
}
