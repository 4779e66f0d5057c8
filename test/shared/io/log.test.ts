// Logs that nobody watches stay small, are read from their end, and are put as people read them.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openLog, readableLine } from "../../../shared/io/log.ts";
import { lastLines, ROTATED_FILES_MAX, RotatedFile } from "../../../shared/io/rotated-file.ts";

let folder = "";
let file = "";

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-log-"));
  file = path.join(folder, "logs", "node.log");
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

const line = (number: number): string => `line ${String(number).padStart(4, "0")}\n`;
const LINE_BYTES = line(0).length;

describe("a rotated file", () => {
  test("keeps whole lines, the newest ones, in a bounded number of bounded files", () => {
    const bytesMax = 10 * LINE_BYTES;
    const rotated = new RotatedFile(file, { bytesMax });
    for (let number = 0; number < 1_000; number++) rotated.write(line(number));
    const names = fs.readdirSync(path.dirname(file));
    expect(names).toHaveLength(ROTATED_FILES_MAX);
    for (const name of names) expect(fs.statSync(path.join(folder, "logs", name)).size).toBeLessThanOrEqual(bytesMax);
    expect(lastLines(file, 25)).toEqual(Array.from({ length: 25 }, (_, index) => line(975 + index).trim()));
    expect(lastLines(file, 10_000)).toHaveLength(10 * ROTATED_FILES_MAX);
  });

  test("goes on where an earlier process stopped, and with another process, losing no line", () => {
    const bytesMax = 10 * LINE_BYTES;
    new RotatedFile(file, { bytesMax }).write(line(0));
    const pair = [new RotatedFile(file, { bytesMax }), new RotatedFile(file, { bytesMax })] as const;
    for (let number = 1; number < 30; number++) pair[number % 2 === 0 ? 0 : 1].write(line(number));
    expect(lastLines(file, 1_000)?.toSorted()).toEqual(Array.from({ length: 30 }, (_, index) => line(index).trim()));
  });

  test("that cannot be written stops nobody, and is tried again", () => {
    fs.writeFileSync(path.join(folder, "logs"), "in the way");
    const rotated = new RotatedFile(file);
    rotated.write(line(0));
    fs.rmSync(path.join(folder, "logs"));
    rotated.write(line(1));
    expect(lastLines(file, 10)).toEqual(["line 0001"]);
  });

  test("that was never written has no lines to show", () => {
    expect(lastLines(file, 10)).toBeUndefined();
  });
});

describe("a log line", () => {
  test("is JSON in a file, and readable for people", () => {
    openLog({ name: "runtime", file }).info({ epoch: 3, missing: ["A"] }, "role");
    const [text = ""] = lastLines(file, 1) ?? [];
    expect(JSON.parse(text)).toMatchObject({ level: "info", name: "runtime", epoch: 3, msg: "role" });
    expect(readableLine(text)).toMatch(/^\d\d:\d\d:\d\d\.\d{3} info {2}role epoch=3 missing=\["A"\]$/);
  });

  test("of an error shows its stack", () => {
    openLog({ name: "runtime", file }).error(new Error("out of cheese"), "stopped");
    expect(readableLine(lastLines(file, 1)?.[0] ?? "")).toMatch(/ error stopped\nError: out of cheese\n {4}at /);
  });

  test("that is none of ours is shown as it is", () => {
    expect(readableLine("Segmentation fault\n")).toBe("Segmentation fault");
  });
});
