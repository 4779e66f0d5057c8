// One builder at a time: several commands typed at once on a fresh clone install and build once, the others wait.
//
// The lock is a folder of numbered files; the highest number is the lock, and it is held while the process it names
// (or the child that process waits for: a killed builder may leave npm running) is alive. A lock is taken by creating
// the next number exclusively. That is what makes taking over from a dead holder safe: any number of waiters may find
// number 7 stale at once, only one of them can create number 8. The highest file is never deleted, so a number is
// never used twice; releasing writes that it is free.
//
// It does not guard against a process on another machine that shares the folder: at worst both build.

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";

const POLL_MS = 100;
/** Nothing installs or builds for longer: whoever still holds the lock then is stuck, or its pid is another's now. */
const HELD_MS_MAX = 15 * 60_000;
/** A lock file that cannot be read yet is being written; one that stays so was left by a kill in between. */
const WRITING_MS_MAX = 3_000;

/**
 * Runs work while holding the lock.
 * @template T
 * @param {string} folder The lock; created when missing.
 * @param {() => void} onWait Called once when somebody else holds it.
 * @param {(lock: {guard(childPid: number | undefined): void}) => Promise<T>} work `guard` names a child process
 *   without whose end the lock is not free.
 * @returns {Promise<T>}
 */
export async function withLock(folder, onWait, work) {
  let waits = false;
  let file = tryAcquire(folder);
  while (file === null) {
    if (!waits) onWait();
    waits = true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    file = tryAcquire(folder);
  }
  const own = file;
  try {
    return await work({ guard: (childPid) => writeHolder(own, [process.pid, childPid]) });
  } finally {
    writeFileSync(own, JSON.stringify({ holders: [] }));
  }
}

/** @param {string} folder @returns {string | null} The file that is ours now, or null when somebody holds the lock. */
function tryAcquire(folder) {
  mkdirSync(folder, { recursive: true });
  const last = highest(folder);
  if (last > 0 && isHeld(path.join(folder, String(last)))) return null;
  const own = path.join(folder, String(last + 1));
  try {
    writeHolder(own, [process.pid], "wx");
  } catch (error) {
    if (error.code === "EEXIST" || error.code === "ENOENT") return null; // another waiter was quicker
    throw error;
  }
  if (highest(folder) !== last + 1) {
    // We looked long ago: others have taken and released higher numbers since, and cleared ours away.
    rmSync(own, { force: true });
    return null;
  }
  for (const number of numbers(folder)) {
    if (number < last + 1) rmSync(path.join(folder, String(number)), { force: true });
  }
  return own;
}

/** @param {string} folder @returns {number[]} */
function numbers(folder) {
  return readdirSync(folder)
    .map(Number)
    .filter((number) => Number.isSafeInteger(number));
}

/** @param {string} folder */
function highest(folder) {
  return numbers(folder).reduce((max, number) => Math.max(max, number), 0);
}

/** @param {string} file @param {(number | undefined)[]} pids @param {"w" | "wx"} [flag] */
function writeHolder(file, pids, flag = "w") {
  const holders = pids.filter((pid) => pid !== undefined).map((pid) => ({ pid, started: startOf(pid) }));
  writeFileSync(file, JSON.stringify({ holders }), { flag });
}

/** @param {string} file */
function isHeld(file) {
  const age = ageMs(file);
  if (age > HELD_MS_MAX) return false;
  try {
    const { holders } = JSON.parse(readFileSync(file, "utf8"));
    return holders.some(isAlive);
  } catch {
    return age < WRITING_MS_MAX;
  }
}

/** @param {string} file */
function ageMs(file) {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? 0 : Date.now() - stat.mtimeMs;
}

/** @param {{pid: number, started: string | null}} holder */
function isAlive({ pid, started }) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code === "ESRCH") return false; // EPERM: alive, and somebody else's
  }
  const now = startOf(pid);
  return started === null || now === null || now === started;
}

/**
 * When a process started, so that a pid that was given to a new process is not taken for the old one.
 * @param {number} pid
 * @returns {string | null} Null where the system does not say.
 */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "dead" : (fields[19] ?? null); // a zombie holds nothing
  } catch {
    return null;
  }
}
