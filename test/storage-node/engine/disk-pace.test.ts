// Disk pace: when writes of the log are waited for, and when they go to the background.
import { expect, test } from "vitest";
import { DiskPace } from "../../../storage-node/engine/disk-pace.ts";

/** Waits for writes that take so long, one after the other, until they go to the background. Returns when. */
function slowUntilAway(pace: DiskPace, from: number, ms = 10): number {
  let now = from;
  for (; pace.quick(now); now += ms) pace.took(ms, now);
  return now;
}

/** How long it stays away. */
function awayFor(pace: DiskPace, from: number): number {
  let now = from;
  while (!pace.quick(now)) now += 100;
  return now - from;
}

test("quick writes are waited for, and a stall among them changes nothing", () => {
  const pace = new DiskPace();
  for (let now = 0; now < 1_000; now++) {
    expect(pace.quick(now)).toBe(true);
    pace.took(now % 100 === 50 ? 50 : 0.1, now);
  }
});

test("a slow disk is not waited for: less often each time that it is tried again", () => {
  const pace = new DiskPace();
  const times: number[] = [];
  for (let now = 0; times.length < 9;) {
    now = slowUntilAway(pace, now);
    const away = awayFor(pace, now);
    times.push(Math.round(away / 1_000));
    now += away;
  }
  expect(times).toEqual([2, 4, 8, 16, 32, 60, 60, 60, 60]);
});

test("a disk that was quick for long is tried again soon after it was slow", () => {
  const pace = new DiskPace();
  let now = slowUntilAway(pace, 0);
  now += awayFor(pace, now);
  now = slowUntilAway(pace, now);
  now += awayFor(pace, now);
  for (const until = now + 10_000; now < until; now++) pace.took(0.1, now);
  now = slowUntilAway(pace, now);
  expect(awayFor(pace, now)).toBeLessThanOrEqual(1_100);
});
