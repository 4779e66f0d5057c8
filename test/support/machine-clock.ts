// Machine clock: milliseconds in which this machine went about its work, for judging how long others made somebody wait. It stands still
// while the machine does: virtual machines lose their cores and their disk to others for seconds, and no program is to blame for that.
// A gauge beside the test sleeps for a moment, writes a block to the disk, and begins again; what one such round takes beyond the usual
// counts as standstill, for everybody.
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { constants } from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const PAUSE_MS = 10;
/** Of a round, also where the cores are busy with the test itself. A round takes some 12 ms. */
const USUAL_MS_MAX = 100;
const BLOCK = Buffer.alloc(512);

export class MachineClock {
  readonly #folder: string;
  readonly #file: FileHandle;
  readonly #rounds: Promise<void>;
  #standstillMs = 0;
  #roundAt = performance.now();
  #running = true;

  private constructor(folder: string, file: FileHandle) {
    this.#folder = folder;
    this.#file = file;
    this.#rounds = this.#run();
  }

  static async start(): Promise<MachineClock> {
    const folder = await mkdtemp(path.join(os.tmpdir(), "holdfast-clock-"));
    const { O_CREAT, O_WRONLY, O_DSYNC } = constants;
    return new MachineClock(folder, await open(path.join(folder, "block"), O_CREAT | O_WRONLY | O_DSYNC));
  }

  /** Milliseconds since the process began, without those in which nothing moved. */
  get now(): number {
    const now = performance.now();
    return now - this.#standstillMs - this.#beyondUsual(now);
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    await this.#rounds;
    await this.#file.close();
    await rm(this.#folder, { recursive: true });
  }

  #beyondUsual(now: number): number {
    return Math.max(0, now - this.#roundAt - USUAL_MS_MAX);
  }

  async #run(): Promise<void> {
    while (this.#running) {
      await sleep(PAUSE_MS);
      await this.#file.write(BLOCK, 0, BLOCK.length, 0);
      const now = performance.now();
      this.#standstillMs += this.#beyondUsual(now);
      this.#roundAt = now;
    }
  }
}
