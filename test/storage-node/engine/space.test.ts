// Rule 6: how lack of space is told from a failing disk, and how it passes.
import { constants } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { Space } from "../../../storage-node/engine/space.ts";
import { SimulatedFiles } from "../../support/engine-files.ts";

const spaces: Space[] = [];

function spaceOn(files: SimulatedFiles, messages: string[] = []): Space {
  const space = new Space({
    files,
    directory: "/data",
    freeBytesMin: 100,
    retryMs: 1,
    log: (message) => messages.push(message),
  });
  spaces.push(space);
  return space;
}

afterEach(() => {
  for (const space of spaces.splice(0)) space.close();
});

function failure(code: string | number): Error {
  return Object.assign(new Error("failed"), { code });
}

describe("rule 6", () => {
  test.each(["ENOSPC", "EDQUOT", constants.errno.ENOSPC])("%s is lack of space, however much is free", async (code) => {
    expect(await spaceOn(new SimulatedFiles(1)).explains(failure(code), 1)).toBe(true);
  });

  test("EIO of the table is lack of space where a transaction may not have fitted, and a failing disk where it did", async () => {
    const files = new SimulatedFiles(1);
    const space = spaceOn(files);
    files.free = 999;
    expect(await space.explains(failure(constants.errno.EIO), 1000)).toBe(true);
    files.free = 1000;
    expect(await space.explains(failure(constants.errno.EIO), 1000)).toBe(false);
    expect(await space.explains(failure("EROFS"), 2000)).toBe(false);
    expect(await space.explains(new Error("anything"), 2000)).toBe(false);
  });

  test("every reason must pass before user data is taken again, and each change is said once", () => {
    const messages: string[] = [];
    const space = spaceOn(new SimulatedFiles(1), messages);
    space.exhausted("log");
    space.exhausted("table");
    space.exhausted("log");
    space.found("log");
    expect(space.full).toBe(true);
    space.found("table");
    expect(space.full).toBe(false);
    expect(messages).toEqual([
      expect.stringContaining("no space left in /data"),
      expect.stringContaining("space found in /data"),
    ]);
  });

  test("a touched reserve is looked at again until it is whole", async () => {
    const files = new SimulatedFiles(1);
    const space = spaceOn(files);
    files.free = 99;
    await space.check();
    expect(space.full).toBe(true);
    files.free = 100;
    while (space.full) await new Promise((resolve) => setTimeout(resolve, 1));
  });

  test("waiting for space ends when it is there, and when the engine closes", async () => {
    const files = new SimulatedFiles(1);
    const space = spaceOn(files);
    files.free = 0;
    let ended = false;
    const waiting = space.waitFor(10).then(() => (ended = true));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ended).toBe(false);
    files.free = 10;
    await waiting;
    files.free = 0;
    const second = space.waitFor(10);
    space.close();
    await second;
  });
});
