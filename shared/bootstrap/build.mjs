// The slow path of start.mjs: installs packages with npm and compiles with tsc, one process at a time (lock.mjs), and
// writes the stamps (freshness.mjs) only when each step succeeded. Says what it does in one line on standard error;
// what npm or tsc print is shown only when they fail.

import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import {
  fingerprint,
  installStampOf,
  isAsset,
  isBuilt,
  isInstalled,
  PROGRAM,
  sourcesOf,
  writeInstallStamp,
  writeStamp,
} from "./freshness.mjs";
import { withLock } from "./lock.mjs";

/** Of what a failed child printed, so much is shown: enough for any list of compiler errors one would read. */
const OUTPUT_CHARS_MAX = 64 * 1024;

/**
 * Installs and builds what is missing or out of date.
 * @param {string} root
 * @param {import("./freshness.mjs").Target} target
 * @param {string} [entry] A module under dist/ whose absence means that the build is not whole.
 * @returns {Promise<boolean>} False when a step failed; what was wrong has then been printed.
 */
export async function bringUpToDate(root, target, entry) {
  const onWait = () => say("waiting for another holdfast command to finish building…");
  return await withLock(path.join(root, "dist", ".lock"), onWait, async (lock) => {
    // Looked at again under the lock: whoever held it before has probably done the work.
    const whole = entry === undefined || existsSync(path.join(root, "dist", entry));
    const mustBuild = !whole || !isBuilt(root, target);
    const dev = mustBuild || target.dev;
    if (!isInstalled(root, { dev }) && !(await install(root, lock))) return false;
    return !mustBuild || (await build(root, target, lock));
  });
}

/** @param {string} root @param {{guard(childPid: number | undefined): void}} lock */
async function install(root, lock) {
  const first = !existsSync(path.join(root, "node_modules"));
  say(first ? "installing packages (first run, about 20 s)…" : "installing packages (package-lock.json has changed)…");
  rmSync(installStampOf(root), { force: true });
  // The compiler is a development package: NODE_ENV=production must not leave it out.
  const options = ["--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  // npm ci refuses a lockfile that another version of npm finds incomplete; --no-save leaves it as it is committed.
  const clean = await run(root, lock, "npm", ["ci", ...options]);
  const result = clean.ok ? clean : await run(root, lock, "npm", ["install", "--no-save", ...options]);
  if (result.ok) {
    writeInstallStamp(root);
    return true;
  }
  process.stderr.write(`${clean.output.trimEnd()}\n${result.output.trimEnd()}\n`);
  say(`npm could not install the packages (above). Set that right, or run "npm ci" in ${root} yourself.`);
  return false;
}

/** @param {string} root @param {import("./freshness.mjs").Target} target @param {Parameters<typeof install>[1]} lock */
async function build(root, target, lock) {
  say("building (a few seconds)…");
  const stamp = fingerprint(root, target);
  const program = fingerprint(root, PROGRAM);
  rmSync(path.join(root, "dist", target.stamp), { force: true });
  rmSync(path.join(root, "dist", PROGRAM.stamp), { force: true });
  const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc");
  const result = await run(root, lock, process.execPath, [tsc, "-p", target.config, "--noEmitOnError"]);
  if (!result.ok) {
    process.stderr.write(`${result.output.trimEnd()}\n`);
    say("the sources do not compile (above).");
    return false;
  }
  tidyDist(root, target);
  writeStamp(root, PROGRAM, program); // every target contains the programs
  writeStamp(root, target, stamp);
  return true;
}

/**
 * Copies what is not compiled and removes what has no source any more.
 * @param {string} root
 * @param {import("./freshness.mjs").Target} target
 */
function tidyDist(root, target) {
  const dist = path.join(root, "dist");
  const sources = new Set(sourcesOf(root, target));
  for (const file of sources) {
    if (!file.includes("/") || !isAsset(file)) continue;
    mkdirSync(path.dirname(path.join(dist, file)), { recursive: true });
    copyFileSync(path.join(root, file), path.join(dist, file));
  }
  for (const folder of target.folders) {
    if (!existsSync(path.join(dist, folder))) continue;
    for (const entry of readdirSync(path.join(dist, folder), { recursive: true, withFileTypes: true })) {
      const file = path.relative(dist, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, "/");
      const source = file.replace(/\.(?:d\.ts|js|js\.map)$/, ".ts");
      if (entry.isFile() && !sources.has(source) && !sources.has(file)) rmSync(path.join(dist, file));
    }
  }
}

/**
 * Runs a child to its end, keeping its output back.
 * @param {string} root @param {Parameters<typeof install>[1]} lock @param {string} command @param {string[]} args
 * @returns {Promise<{ok: boolean, output: string}>}
 */
function run(root, lock, command, args) {
  return new Promise((resolve) => {
    let output = "";
    const keep = (/** @type {string} */ text) => {
      if (output.length < OUTPUT_CHARS_MAX) output += text.slice(0, OUTPUT_CHARS_MAX - output.length);
    };
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    lock.guard(child.pid);
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    child.on("error", (error) => resolve({ ok: false, output: `${output}${command}: ${error.message}` }));
    child.on("close", (code) => resolve({ ok: code === 0, output }));
  });
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`holdfast: ${text}\n`);
}
