import { describe, expect, test } from "vitest";
import { monotonicMs, systemTimers } from "../../../shared/io/system-clock.ts";

describe("the system clock", () => {
  test("a timer fires once, never before its time, never within the call", async () => {
    for (let round = 0; round < 20; round++) {
      const timeMs = monotonicMs() + round / 4;
      let calls = 0;
      await new Promise<void>((resolve) => {
        systemTimers.at(timeMs, () => {
          calls++;
          resolve();
        });
        expect(calls).toBe(0);
      });
      expect(systemTimers.nowMs()).toBeGreaterThanOrEqual(timeMs);
      expect(calls).toBe(1);
    }
  });

  test("a time in the past fires soon, and a cancelled timer or one beyond 2^31 ms does not", async () => {
    const fired: string[] = [];
    const cancelFar = systemTimers.at(monotonicMs() + 2 ** 33, () => fired.push("far"));
    const cancel = systemTimers.at(monotonicMs() + 1, () => fired.push("cancelled"));
    cancel();
    await new Promise<void>((resolve) => systemTimers.at(-1, resolve));
    await new Promise<void>((resolve) => systemTimers.at(monotonicMs() + 10, resolve));
    cancelFar();
    cancel();
    expect(fired).toEqual([]);
  });
});
