// Is dist/ what the sources compile to, and is node_modules what the lockfile says? Answered by stamps, written only
// after the work succeeded, so that a build that was killed half-way counts as none.
//
// The build stamp holds two fingerprints of the same file list (a deleted source changes it): one of sizes and times,
// which is cheap and decides nearly always, and one of contents, which decides when the times differ: a fresh
// checkout, a copied tree or a container image whose times were cut to seconds is not built again.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

/**
 * Something tsc builds into dist/.
 * @typedef {object} Target
 * @property {string} config tsconfig file, relative to the root.
 * @property {string[]} folders Source folders it compiles.
 * @property {string} stamp Stamp file under dist/.
 * @property {boolean} dev Whether it needs the packages for building and testing even when nothing is to be built.
 */

const FOLDERS = ["shared", "storage-node", "coordinator"];
const CONFIGS = ["package.json", "tsconfig.json", "tsconfig.build.json"];

/** The two programs and the client library: all that users need. @type {Target} */
export const PROGRAM = { config: "tsconfig.build.json", folders: FOLDERS, stamp: ".built", dev: false };

/** The programs and everything under test/: the simulator, the chaos run, the benchmarks. @type {Target} */
export const WITH_TESTS = {
  config: "tsconfig.json",
  folders: [...FOLDERS, "test"],
  stamp: ".built-with-tests",
  dev: true,
};

/** Compiled or read by people, so not copied into dist/. */
const NOT_ASSETS = /\.(?:d\.)?[cm]?ts$|\.mjs$|\.md$/;

/**
 * Whether a file is needed beside the compiled code as it is (a page, a table).
 * @param {string} file
 */
export function isAsset(file) {
  return !NOT_ASSETS.test(file);
}

/**
 * Every file a target is made from, relative to the root, sorted.
 * @param {string} root
 * @param {Target} target
 * @returns {string[]}
 */
export function sourcesOf(root, target) {
  const files = CONFIGS.filter((file) => existsSync(path.join(root, file)));
  for (const folder of target.folders) collect(root, folder, files);
  return files.sort();
}

/** @param {string} root @param {string} folder @param {string[]} files */
function collect(root, folder, files) {
  let entries;
  try {
    entries = readdirSync(path.join(root, folder), { withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOENT") return; // a folder that is not there has no sources
    throw error;
  }
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const file = `${folder}/${entry.name}`;
    if (entry.isDirectory()) collect(root, file, files);
    else if (entry.name.endsWith(".ts") || isAsset(entry.name)) files.push(file);
  }
}

/**
 * Both fingerprints of the sources as they are now. Take them before compiling: an edit made while the compiler runs
 * then makes the build stale, as it should.
 * @param {string} root
 * @param {Target} target
 */
export function fingerprint(root, target) {
  const files = sourcesOf(root, target);
  return { times: timesOf(root, files), contents: contentsOf(root, files) };
}

/** @param {string} root @param {string[]} files */
function timesOf(root, files) {
  const hash = createHash("sha256");
  for (const file of files) {
    const stat = statSync(path.join(root, file), { throwIfNoEntry: false });
    hash.update(`${file}\0${stat?.size}\0${stat?.mtimeMs}\n`);
  }
  return hash.digest("hex");
}

/** @param {string} root @param {string[]} files */
function contentsOf(root, files) {
  const hash = createHash("sha256");
  for (const file of files) {
    const content = readOrNull(path.join(root, file)) ?? "";
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

/**
 * Whether dist/ is the compiled form of the sources.
 * @param {string} root
 * @param {Target} target
 */
export function isBuilt(root, target) {
  const stamp = readStamp(root, target);
  if (stamp === null) return false;
  const files = sourcesOf(root, target);
  const times = timesOf(root, files);
  if (stamp.times === times) return true;
  const contents = contentsOf(root, files);
  if (stamp.contents !== contents) return false;
  rememberTimes(root, target, { times, contents });
  return true;
}

/** @param {string} root @param {Target} target @param {{times: string, contents: string}} stamp */
function rememberTimes(root, target, stamp) {
  try {
    writeStamp(root, target, stamp);
  } catch {
    // A read-only tree: contents are compared again next time, which is slower and just as right.
  }
}

/** @param {string} root @param {Target} target */
function readStamp(root, target) {
  const text = readOrNull(path.join(root, "dist", target.stamp));
  try {
    return text === null ? null : JSON.parse(text.toString());
  } catch {
    return null; // cut short by a kill: as good as none
  }
}

/**
 * Records that dist/ is the compiled form of these sources.
 * @param {string} root
 * @param {Target} target
 * @param {{times: string, contents: string}} stamp
 */
export function writeStamp(root, target, stamp) {
  mkdirSync(path.join(root, "dist"), { recursive: true });
  writeFileSync(path.join(root, "dist", target.stamp), `${JSON.stringify(stamp)}\n`);
}

/**
 * Whether node_modules holds what package-lock.json asks for. Packages somebody installed with npm by hand count.
 * @param {string} root
 * @param {{dev: boolean}} options Whether the packages for building and testing have to be there as well.
 */
export function isInstalled(root, { dev }) {
  const lockfile = readOrNull(path.join(root, "package-lock.json"));
  if (lockfile === null) return existsSync(path.join(root, "node_modules"));
  const stamp = readOrNull(installStampOf(root));
  if (stamp !== null && stamp.toString() === installStamp(lockfile)) return true;
  // npm writes its own list into node_modules after it succeeded.
  const listed = readOrNull(path.join(root, "node_modules", ".package-lock.json"));
  return (
    listed !== null && stamp === null && holdsAll(JSON.parse(listed.toString()), JSON.parse(lockfile.toString()), dev)
  );
}

/** @param {any} listed @param {any} lockfile @param {boolean} dev */
function holdsAll(listed, lockfile, dev) {
  return Object.entries(lockfile.packages).every(([name, wanted]) => {
    if (name === "" || wanted.optional || wanted.devOptional || wanted.peer || (wanted.dev && !dev)) return true;
    return listed.packages[name]?.version === wanted.version;
  });
}

/** Where it is recorded which lockfile node_modules was installed from. @param {string} root */
export function installStampOf(root) {
  return path.join(root, "node_modules", ".holdfast-stamp");
}

/** Records that node_modules is what the lockfile says. @param {string} root */
export function writeInstallStamp(root) {
  const lockfile = readOrNull(path.join(root, "package-lock.json"));
  if (lockfile !== null) writeFileSync(installStampOf(root), installStamp(lockfile));
}

/** The platform counts: packages with native code that were copied from another machine do not load here. */
function installStamp(lockfile) {
  return `${createHash("sha256").update(lockfile).digest("hex")} ${process.platform}-${process.arch}\n`;
}

/** @param {string} file @returns {Uint8Array | null} Null when there is no such file. */
function readOrNull(file) {
  try {
    return readFileSync(file);
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw error;
  }
}
