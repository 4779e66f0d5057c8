// Files of a coordinator: the cluster file (which cluster, where to look for it) and, beside it, its own voter record (V5). Both are
// replaced atomically: written aside, synced, renamed, the directory synced.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  linkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { KvError } from "../shared/errors.ts";
import type { ClusterFile } from "./coordinator.ts";
import type { LocalVoterFile } from "./election/local-voter.ts";

/** Reads a JSON file of format 1; undefined where there is none. @throws KvError for a damaged or newer one */
function readJson<T extends { readonly format: 1 }>(file: string): T | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  let parsed: { readonly format?: unknown };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    throw new KvError("BAD_REQUEST", `${file} is not JSON: restore it, or move it away and use --join host:port`);
  }
  if (parsed.format !== 1) {
    throw new KvError(
      "UNSUPPORTED_PROTOCOL",
      `${file} has format ${String(parsed.format)}: a newer version of holdfast wrote it`,
    );
  }
  return parsed as T;
}

export function readClusterFile(file: string): ClusterFile | undefined {
  return readJson<ClusterFile>(file);
}

export function voterFileOf(clusterFile: string): string {
  return `${clusterFile}.voter`;
}

export function readVoterFile(clusterFile: string): LocalVoterFile | undefined {
  return readJson<LocalVoterFile>(voterFileOf(clusterFile));
}

/**
 * Writes a file durably.
 * @param options.create It must not exist yet (C0).
 */
export function writeDurably(file: string, content: object, options: { readonly create: boolean }): void {
  const directory = path.dirname(file);
  mkdirSync(directory, { recursive: true });
  const aside = `${file}.${process.pid}.new`;
  const handle = openSync(aside, "w", 0o600);
  try {
    writeSync(handle, `${JSON.stringify(content)}\n`);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  if (options.create) {
    // A link fails where the name is taken, a rename would not.
    linkSync(aside, file);
    unlinkSync(aside);
  } else renameSync(aside, file);
  syncDirectory(directory);
}

function syncDirectory(directory: string): void {
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
