// Rule 8: one process per data directory, and no lock outlives its process.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DirectoryInUseError, LOCK_FILE, lockDirectory } from "../../../shared/io/directory-lock.ts";
import { removeDirectory, temporaryDirectory } from "../../support/engine-harness.ts";

const root = join(import.meta.dirname, "../../..");
let scratch: string;
let script: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  scratch = await temporaryDirectory();
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const source = join(root, "shared/io/directory-lock.ts");
  const options = ["--ignoreConfig", "--skipLibCheck", "--types", "node", "--module", "nodenext", "--target", "es2023"];
  await promisify(execFile)(
    process.execPath,
    [tsc, ...options, "--rewriteRelativeImportExtensions", "--outDir", scratch, source],
    { cwd: root },
  );
  await writeFile(join(scratch, "package.json"), '{"type":"module"}');
  script = join(scratch, "hold.js");
  await writeFile(
    script,
    'import { lockDirectory } from "./directory-lock.js";\n' +
      "try { await lockDirectory(process.argv[2]); console.log('locked'); setInterval(() => undefined, 1000); }\n" +
      "catch (error) { console.log(error.message); process.exitCode = 1; }\n",
  );
}, 60_000);

afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await removeDirectory(scratch);
});

/** Starts a process that locks a directory; resolves with what it says. */
async function holder(directory: string): Promise<{ child: ChildProcess; says: string }> {
  const child = spawn(process.execPath, [script, directory], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const [chunk] = (await once(child.stdout, "data")) as [Buffer];
  return { child, says: chunk.toString().trim() };
}

async function directoryOf(name: string): Promise<string> {
  const directory = join(scratch, name);
  await mkdir(directory, { recursive: true });
  return directory;
}

describe.each([
  ["a short path", "short"],
  ["a path longer than a socket address", `${"long-directory-name/".repeat(8)}end`],
])("rule 8, %s", (_, name) => {
  test("a second process is refused with the directory's name, until the first is killed", async () => {
    const directory = await directoryOf(name);
    const first = await holder(directory);
    expect(first.says).toBe("locked");
    const second = await holder(directory);
    expect(second.says).toContain(`another process uses the data directory ${directory}`);
    await expect(lockDirectory(directory)).rejects.toThrow(DirectoryInUseError);
    const exited = once(first.child, "exit");
    first.child.kill("SIGKILL");
    await exited;
    const lock = await lockDirectory(directory);
    expect((await holder(directory)).says).toContain("another process uses");
    await lock.release();
    expect((await holder(directory)).says).toBe("locked");
  }, 30_000);

  test("a stopped process still holds its directory", async () => {
    const directory = await directoryOf(`${name}-stopped`);
    const { child } = await holder(directory);
    child.kill("SIGSTOP");
    await expect(lockDirectory(directory)).rejects.toThrow(DirectoryInUseError);
  }, 30_000);

  test("the same process is refused too, and may lock again after releasing", async () => {
    const directory = await directoryOf(`${name}-again`);
    const lock = await lockDirectory(directory);
    await expect(lockDirectory(directory)).rejects.toThrow(/stop it first, or give this node a directory of its own/);
    await lock.release();
    await (await lockDirectory(directory)).release();
  });
});

test("rule 8: a process in another network name space is seen by the socket in the directory", async () => {
  const directory = await directoryOf("container");
  const other = createServer((socket) => socket.destroy());
  other.listen(join(directory, LOCK_FILE));
  await once(other, "listening");
  await expect(lockDirectory(directory)).rejects.toThrow(DirectoryInUseError);
  await new Promise((resolve) => other.close(resolve));
  await (await lockDirectory(directory)).release();
});

test("two locks of different directories do not meet", async () => {
  const locks = await Promise.all(["one", "two"].map(async (name) => lockDirectory(await directoryOf(name))));
  for (const lock of locks) await lock.release();
});
