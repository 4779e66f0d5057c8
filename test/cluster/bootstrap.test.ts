// The two commands install and build what is missing, once, and otherwise start at once. Real processes in a copy of
// the tree: small stand-ins for the programs, the real compiler, and a stand-in for npm, so that nothing is downloaded.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COPIED = ["runtime", "node_server", "package.json", "package-lock.json", "tsconfig.json", "tsconfig.build.json"];
const BUILDING = "holdfast: building";
const WAITING = "holdfast: waiting for another holdfast command";

const MAIN = `
import { greet } from "../shared/greet.ts";
export async function main(argv: string[]): Promise<void> {
  process.stdout.write(greet(argv.join(" ")) + "\\n");
  process.exitCode = 7;
}
`;

const trees: string[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) fs.rmSync(tree, { recursive: true, force: true });
});

/** A copy of what the commands need, with stand-ins for the programs. Removed after the test. */
function makeTree(options: { packages: boolean } = { packages: true }): string {
  const tree = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-bootstrap-"));
  trees.push(tree);
  for (const file of COPIED) fs.copyFileSync(path.join(ROOT, file), path.join(tree, file));
  fs.cpSync(path.join(ROOT, "shared/bootstrap"), path.join(tree, "shared/bootstrap"), { recursive: true });
  write(tree, "shared/greet.ts", "export const greet = (name: string): string => `hello ${name}`;\n");
  write(tree, "coordinator/main.ts", MAIN);
  write(tree, "storage-node/main.ts", MAIN);
  if (options.packages) linkPackages(tree);
  return tree;
}

function write(tree: string, file: string, text: string): void {
  fs.mkdirSync(path.dirname(path.join(tree, file)), { recursive: true });
  fs.writeFileSync(path.join(tree, file), text);
}

/** node_modules whose entries are links: stamps written into it stay in the copy. */
function linkPackages(tree: string): void {
  fs.mkdirSync(path.join(tree, "node_modules"));
  for (const name of fs.readdirSync(path.join(ROOT, "node_modules"))) {
    if (name === ".holdfast-stamp" || name === ".cache") continue;
    fs.symlinkSync(path.join(ROOT, "node_modules", name), path.join(tree, "node_modules", name));
  }
}

/** An `npm` that logs its first word to npm.log, and for the words in `works` links the real packages. */
function fakeNpm(tree: string, works: "ci" | "install" | "nothing"): Record<string, string> {
  const real = path.join(ROOT, "node_modules");
  const script = `#!/bin/sh
echo "$1" >> "${tree}/npm.log"
if [ "$1" != "${works}" ]; then echo "npm says no to $1" >&2; exit 1; fi
rm -rf node_modules && mkdir node_modules && ln -s "${real}"/* "${real}"/.package-lock.json node_modules/
`;
  write(tree, "fake/npm", script);
  fs.chmodSync(path.join(tree, "fake/npm"), 0o755);
  return { PATH: `${path.join(tree, "fake")}:${process.env["PATH"] ?? ""}` };
}

interface Run {
  readonly child: ChildProcess;
  readonly done: Promise<{ code: number | null; stdout: string; stderr: string }>;
  /** Resolves when standard error has shown the text. */
  readonly says: (text: string) => Promise<void>;
}

function start(tree: string, command: string, args: string[] = [], env: Record<string, string> = {}): Run {
  const { HOLDFAST_SKIP_BUILD: _, ...inherited } = process.env;
  const child = spawn(path.join(tree, command), args, { cwd: os.tmpdir(), env: { ...inherited, ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const done = new Promise<Awaited<Run["done"]>>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  const says = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (stderr.includes(text)) resolve();
      };
      child.stderr.on("data", look);
      child.on("close", () => reject(new Error(`ended without saying "${text}": ${stderr}`)));
      look();
    });
  return { child, done, says };
}

const run = (tree: string, command: string, args: string[] = [], env: Record<string, string> = {}) =>
  start(tree, command, args, env).done;

/** A pid that was a process's a moment ago. */
function deadPid(): number {
  return spawnSync(process.execPath, ["-e", ""]).pid;
}

const holders = (...pids: number[]): string => JSON.stringify({ holders: pids.map((pid) => ({ pid, started: null })) });

describe("building", () => {
  test("a missing dist/ is built, said on standard error only, and the program gets arguments and exit code", async () => {
    const tree = makeTree();
    const result = await run(tree, "runtime", ["a", "b"]);
    expect(result.stdout).toBe("hello a b\n");
    expect(result.stderr).toContain(BUILDING);
    expect(result.code).toBe(7);
  });

  test("a current dist/ is run without a word, by either command", async () => {
    const tree = makeTree();
    await run(tree, "runtime");
    expect(await run(tree, "node_server", ["5001"])).toEqual({ code: 7, stdout: "hello 5001\n", stderr: "" });
  });

  test("an edited source is built again, a touched one is not, a deleted one leaves nothing behind", async () => {
    const tree = makeTree();
    write(tree, "shared/extra.ts", "export const extra = 1;\n");
    await run(tree, "runtime");
    expect(fs.existsSync(path.join(tree, "dist/shared/extra.js"))).toBe(true);

    const soon = new Date(Date.now() + 5_000);
    fs.utimesSync(path.join(tree, "shared/greet.ts"), soon, soon);
    expect((await run(tree, "runtime")).stderr).toBe("");

    write(tree, "shared/greet.ts", "export const greet = (name: string): string => `bye ${name}`;\n");
    const edited = await run(tree, "runtime", ["now"]);
    expect(edited.stdout).toBe("bye now\n");
    expect(edited.stderr).toContain(BUILDING);

    fs.rmSync(path.join(tree, "shared/extra.ts"));
    expect((await run(tree, "runtime")).stderr).toContain(BUILDING);
    expect(fs.existsSync(path.join(tree, "dist/shared/extra.js"))).toBe(false);
  });

  test("a file that is not TypeScript is copied beside the compiled code", async () => {
    const tree = makeTree();
    write(tree, "coordinator/api/page.html", "<p>");
    await run(tree, "runtime");
    expect(fs.readFileSync(path.join(tree, "dist/coordinator/api/page.html"), "utf8")).toBe("<p>");
  });

  test("a failing compile prints the compiler's errors, exits 1 and is tried again", async () => {
    const tree = makeTree();
    write(tree, "shared/greet.ts", "export const greet = (name: string): string => 42;\n");
    const broken = await run(tree, "runtime");
    expect(broken.code).toBe(1);
    expect(broken.stdout).toBe("");
    expect(broken.stderr).toMatch(/shared\/greet\.ts.*TS2322/);
    write(tree, "shared/greet.ts", "export const greet = (name: string): string => name;\n");
    expect((await run(tree, "runtime", ["mended"])).stdout).toBe("mended\n");
  });

  test("a build that was killed is done again", async () => {
    const tree = makeTree();
    const killed = start(tree, "runtime");
    await killed.says(BUILDING);
    killed.child.kill("SIGKILL");
    await killed.done;
    expect(fs.existsSync(path.join(tree, "dist/.built"))).toBe(false);
    const next = await run(tree, "runtime", ["again"]);
    expect(next.stderr).toContain(BUILDING);
    expect(next.stdout).toBe("hello again\n");
  });

  test("an installed package, which has no sources, is never built", async () => {
    const tree = makeTree();
    await run(tree, "runtime");
    const { files } = JSON.parse(fs.readFileSync(path.join(tree, "package.json"), "utf8")) as { files: string[] };
    const installed = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-package-"));
    trees.push(installed);
    for (const file of ["package.json", ...files].filter((name) => fs.existsSync(path.join(tree, name)))) {
      fs.cpSync(path.join(tree, file), path.join(installed, file), { recursive: true });
    }
    write(installed, "coordinator/main.ts", "this does not compile");
    expect(await run(installed, "runtime", ["package"])).toEqual({ code: 7, stdout: "hello package\n", stderr: "" });
  });
});

describe("several at once", () => {
  test("three commands typed at once install and build once", async () => {
    const tree = makeTree({ packages: false });
    const env = fakeNpm(tree, "ci");
    const results = await Promise.all(
      ["runtime", "node_server", "node_server"].map((name) => run(tree, name, ["x"], env)),
    );
    expect(results.map((result) => result.stdout)).toEqual(Array(3).fill("hello x\n"));
    expect(results.filter((result) => result.stderr.includes(BUILDING))).toHaveLength(1);
    expect(fs.readFileSync(path.join(tree, "npm.log"), "utf8")).toBe("ci\n");
  });

  test("a living builder is waited for", async () => {
    const tree = makeTree();
    write(tree, "dist/.lock/4", holders(process.pid));
    const waiter = start(tree, "runtime", ["late"]);
    await waiter.says(WAITING);
    expect(fs.existsSync(path.join(tree, "dist/.built"))).toBe(false);
    write(tree, "dist/.lock/4", holders());
    expect((await waiter.done).stdout).toBe("hello late\n");
  });

  test("a lock whose holder lives no more is taken over, by one of several", async () => {
    const tree = makeTree();
    write(tree, "dist/.lock/7", holders(deadPid()));
    const results = await Promise.all(["runtime", "runtime", "node_server"].map((name) => run(tree, name)));
    expect(results.map((result) => result.code)).toEqual([7, 7, 7]);
    expect(results.filter((result) => result.stderr.includes(BUILDING))).toHaveLength(1);
  });

  test("a lock is not free while the npm of a killed builder still runs", async () => {
    const tree = makeTree();
    write(tree, "dist/.lock/1", holders(deadPid(), process.pid));
    const waiter = start(tree, "runtime");
    await waiter.says(WAITING);
    write(tree, "dist/.lock/1", holders());
    expect((await waiter.done).code).toBe(7);
  });

  const tellsStart = fs.existsSync("/proc/self/stat");
  test.skipIf(!tellsStart)("a pid that belongs to a newer process by now holds nothing", async () => {
    const tree = makeTree();
    write(tree, "dist/.lock/1", JSON.stringify({ holders: [{ pid: process.pid, started: "1" }] }));
    expect((await run(tree, "runtime")).code).toBe(7);
  });
});

describe("installing", () => {
  test("packages from another lockfile are installed again, with npm install where npm ci fails", async () => {
    const tree = makeTree();
    write(tree, "node_modules/.holdfast-stamp", "another lockfile");
    const result = await run(tree, "runtime", ["x"], fakeNpm(tree, "install"));
    expect(result.stderr).toContain("holdfast: installing packages (package-lock.json has changed)");
    expect(result.stdout).toBe("hello x\n");
    expect(fs.readFileSync(path.join(tree, "npm.log"), "utf8")).toBe("ci\ninstall\n");
  });

  test("when npm fails, its words are shown and the exit status is 1", async () => {
    const tree = makeTree({ packages: false });
    const result = await run(tree, "runtime", [], fakeNpm(tree, "nothing"));
    expect(result.code).toBe(1);
    expect(result.stdout).toBe("");
    expect(result.stderr).toContain("npm says no to ci");
    expect(result.stderr).toContain("npm says no to install");
  });

  test("a current dist/ runs with production packages only", async () => {
    const tree = makeTree();
    await run(tree, "runtime");
    const listed = path.join(tree, "node_modules/.package-lock.json");
    const { packages } = JSON.parse(fs.readFileSync(listed, "utf8")) as { packages: Record<string, { dev?: boolean }> };
    const production = Object.fromEntries(Object.entries(packages).filter(([, entry]) => entry.dev !== true));
    fs.rmSync(listed);
    fs.writeFileSync(listed, JSON.stringify({ packages: production }));
    fs.rmSync(path.join(tree, "node_modules/typescript"));
    expect(await run(tree, "runtime", ["lean"])).toEqual({ code: 7, stdout: "hello lean\n", stderr: "" });
  });
});

test("the check before every start costs under 30 ms with 150 sources", async () => {
  const tree = makeTree();
  for (let i = 0; i < 150; i++) write(tree, `shared/many/file${i}.ts`, `export const n = ${i};\n`);
  await run(tree, "runtime");
  const probe = `
    import { isBuilt, isInstalled, PROGRAM } from "${path.join(tree, "shared/bootstrap/freshness.mjs")}";
    const costs = Array.from({ length: 11 }, () => {
      const start = performance.now();
      if (!isBuilt("${tree}", PROGRAM) || !isInstalled("${tree}", { dev: false })) throw new Error("stale");
      return performance.now() - start;
    });
    console.log(costs.sort((a, b) => a - b)[5]);`;
  const result = spawnSync(process.execPath, ["--input-type=module", "-e", probe], { encoding: "utf8" });
  expect(result.stderr).toBe("");
  expect(Number(result.stdout)).toBeLessThan(30);
});
