// What `./runtime` and `./node_server` do before the program: make sure that what is about to run is what the
// sources say, then run it in this same process, so that signals, standard input and the exit code are the program's.
//
// This is plain JavaScript because it runs before the compiler has. When nothing is to be done it costs a few
// milliseconds: one stat per source file, one hash of the lockfile. Installing and building live in build.mjs, which
// is loaded only then. Everything said here goes to standard error: standard output belongs to the program.
//
// Installed as a package (no tsconfig.build.json beside package.json) or with HOLDFAST_SKIP_BUILD=1, nothing is
// checked or built: dist/ is run as it is.

import { existsSync } from "node:fs";
import module from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { isBuilt, isInstalled, PROGRAM } from "./freshness.mjs";

/** The folder that holds package.json. */
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The oldest Node.js this runs on, as `engines` in package.json says. */
const NODE_MIN = [20, 19];

/**
 * Runs a compiled program after bringing packages and dist/ up to date.
 * @param {string} entry Module under dist/ that exports `main(argv: string[]): Promise<void>`.
 */
export async function launch(entry) {
  requireNode();
  if (existsSync(path.join(ROOT, "tsconfig.build.json")) && process.env.HOLDFAST_SKIP_BUILD !== "1") {
    await prepare(PROGRAM, entry);
  }
  await runMain(entry);
}

/**
 * Makes sure that packages are installed and dist/ is the compiled form of the sources. Ends the process with status
 * 1, after printing why, when that cannot be had.
 * @param {import("./freshness.mjs").Target} target What has to be built.
 * @param {string} [entry] A module under dist/ that must be there afterwards.
 */
export async function prepare(target, entry) {
  if (!(await tryPrepare(target, entry))) process.exit(1);
}

/**
 * As prepare, but leaves it to the caller what to do when it cannot be had.
 * @param {import("./freshness.mjs").Target} target
 * @param {string} [entry]
 * @returns {Promise<boolean>} False when packages or dist/ are not as they should be; the reason has been printed.
 */
export async function tryPrepare(target, entry) {
  const built = isBuilt(ROOT, target) && (entry === undefined || existsSync(path.join(ROOT, "dist", entry)));
  // A finished dist/ needs no compiler: an image with production packages only must start.
  if (built && isInstalled(ROOT, { dev: target.dev })) return true;
  const { bringUpToDate } = await import("./build.mjs");
  return await bringUpToDate(ROOT, target, entry);
}

/**
 * Imports a compiled program and runs its `main` with this process's arguments.
 * @param {string} entry Module under dist/.
 * @param {string[]} [argv] Arguments for `main`; those of the process by default.
 */
export async function runMain(entry, argv = process.argv.slice(2)) {
  const file = path.join(ROOT, "dist", entry);
  if (!existsSync(file)) {
    process.stderr.write(
      `holdfast: ${file} is missing. In a checkout, unset HOLDFAST_SKIP_BUILD or see whether its source is there; ` +
        "a package that lacks it has to be installed again.\n",
    );
    process.exit(1);
  }
  // Node.js 22 and later keep compiled code between runs. Beside the packages, never in a temporary directory that
  // others can write to; where it cannot be written, Node.js goes on without.
  module.enableCompileCache?.(path.join(ROOT, "node_modules", ".cache", "holdfast-compile"));
  const { main } = await import(pathToFileURL(file).href);
  await main(argv);
}

/** Ends the process with a clear message on a Node.js that is too old. */
export function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  process.stderr.write(
    `holdfast: this is Node.js ${process.versions.node}, at least ${NODE_MIN.join(".")} is needed. ` +
      "Install a newer one from https://nodejs.org and run the command again.\n",
  );
  process.exit(1);
}
