// The commands behind `npm run …` and `npm test`. Plain JavaScript, and nothing but Node.js: each of them may be the
// very first command in a fresh clone, so they install and build before anything else.
//
//   build                  packages and dist/
//   check [--long] [...]   packages, dist/, then lint, format, types and vitest; with a filter, vitest alone
//   simulation | chaos | bench [...]   compiles the tests as well, then runs test/<name>/main.ts in this process

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isInstalled, PROGRAM, WITH_TESTS } from "../../shared/bootstrap/freshness.mjs";
import { prepare, requireNode, runMain, tryPrepare } from "../../shared/bootstrap/start.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const RUNNERS = ["simulation", "chaos", "bench"];

requireNode();
const [command = "", ...args] = process.argv.slice(2);
if (command === "build") {
  await prepare(PROGRAM);
} else if (command === "check") {
  process.exitCode = await check(args);
} else if (RUNNERS.includes(command)) {
  const entry = `test/${command}/main.js`;
  await prepare(WITH_TESTS, entry);
  await runMain(entry, args);
} else {
  process.stderr.write(`usage: run.mjs build | check | ${RUNNERS.join(" | ")}\n`);
  process.exitCode = 2;
}

/** @param {string[]} given @returns {Promise<number>} The exit status. */
async function check(given) {
  const built = await tryPrepare({ ...PROGRAM, dev: true });
  if (!isInstalled(ROOT, { dev: true })) return 1; // without packages there is nothing to check with
  const long = given.includes("--long");
  const rest = given.filter((arg) => arg !== "--long");
  const filtered = rest.some((arg) => !arg.startsWith("-"));
  const failed = built ? [] : ["build"];
  if (!filtered) failed.push(...(await staticChecks()));
  const env = long ? { ...process.env, HOLDFAST_LONG: "1" } : process.env;
  // Last, so that vitest's summary is the last thing on standard output.
  if (!(await runTool("vitest", "vitest", ["run", ...rest], env))) failed.push("vitest");
  if (failed.length > 0) process.stderr.write(`failed: ${failed.join(", ")}\n`);
  return failed.length === 0 ? 0 : 1;
}

/** Runs them all even when one fails: one run shows everything there is to mend. @returns {Promise<string[]>} */
async function staticChecks() {
  const failed = [];
  if (!(await runTool("oxlint", "oxlint", ["--type-aware"]))) failed.push("lint");
  if (!(await runTool("oxfmt", "oxfmt", ["--check"]))) failed.push("format");
  if (!(await runTool("typescript", "tsc", ["--noEmit", "-p", "tsconfig.json"]))) failed.push("types");
  return failed;
}

/**
 * Runs a package's command with this Node.js, its output going straight through.
 * @param {string} name The package. @param {string} bin @param {string[]} toolArgs @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<boolean>} Whether it succeeded.
 */
function runTool(name, bin, toolArgs, env = process.env) {
  const folder = path.join(ROOT, "node_modules", name);
  const bins = createRequire(import.meta.url)(path.join(folder, "package.json")).bin;
  const script = path.join(folder, typeof bins === "string" ? bins : bins[bin]);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...toolArgs], { cwd: ROOT, stdio: "inherit", env });
    child.on("error", () => resolve(false));
    child.on("close", (code) => resolve(code === 0));
  });
}
