// What a process has cost so far, and what its files take, from the kernel's account of it (Linux). On other systems the figures are 0, and the
// report leaves them out.
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";

/** Clock ticks a second in /proc: fixed by the kernel's interface, whatever the kernel uses itself. */
const TICKS_A_SECOND = 100;
const USER_TICKS = 11;

/** User and system time of all threads, in seconds. 0 where it cannot be read. */
export function cpuSeconds(pid: number): number {
  const text = read(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // the command's name may hold spaces
  return (Number(fields[USER_TICKS] ?? 0) + Number(fields[USER_TICKS + 1] ?? 0)) / TICKS_A_SECOND;
}

/** Resident memory in MiB. 0 where it cannot be read. */
export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1_024;
}

/** What the files of a folder take on disk, in MiB. */
export function directoryMiB(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const bytes = files.reduce((sum, file) => sum + bytesOnDisk(path.join(folder, file)), 0);
  return bytes / 1_024 ** 2;
}

/** The kernel counts in blocks of 512 bytes, whatever the file system does. */
function bytesOnDisk(file: string): number {
  return (statSync(file, { throwIfNoEntry: false })?.blocks ?? 0) * 512; // the node may have removed it meanwhile
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // the process has ended, or this is no Linux
  }
}
