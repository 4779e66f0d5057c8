// Files of a coordinator: the cluster file (which cluster, where to look for it) and, beside it, its own voter record (V5). Both are
// replaced atomically: written aside, synced, renamed, the directory synced.
import {
  accessSync,
  closeSync,
  constants,
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
import { DirectoryInUseError, lockDirectory } from "../shared/io/directory-lock.ts";
import type { ClusterFile } from "./coordinator-events.ts";
import type { LocalVoterFile } from "./election/local-voter.ts";

/** Coordinators that run from one cluster file at a time. */
const VOTER_PLACES_MAX = 16;

/** Reads a JSON file of format 1; undefined where there is none. @throws KvError for a damaged or newer one */
function readJson(file: string): Readonly<Record<string, unknown>> | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new KvError("BAD_REQUEST", `${file} cannot be read: ${message}`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw damaged(file);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw damaged(file);
  const { format } = parsed as { readonly format?: unknown };
  if (typeof format === "number" && format > 1)
    throw new KvError("UNSUPPORTED_PROTOCOL", `${file} has format ${format}: a newer version of holdfast wrote it`);
  if (format !== 1) throw damaged(file);
  return parsed as Readonly<Record<string, unknown>>;
}

function damaged(file: string): KvError {
  return new KvError(
    "BAD_REQUEST",
    `${file} is damaged, no cluster can be read from it: restore it, or move it away and use --join host:port of any node`,
  );
}

/** @throws KvError for one that is damaged, or of a newer format; it is left as it is */
export function readClusterFile(file: string): ClusterFile | undefined {
  const found = readJson(file);
  if (found === undefined) return undefined;
  const { cluster, addresses } = found;
  const text = (item: unknown): boolean => typeof item === "string";
  if (!text(cluster) || !Array.isArray(addresses) || !addresses.every(text)) throw damaged(file);
  return found as unknown as ClusterFile;
}

/** Makes sure that files can be written beside this one. @throws KvError saying what to do */
export function checkWritable(file: string): void {
  const directory = path.dirname(file);
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
  } catch (error) {
    const { message } = error as NodeJS.ErrnoException;
    throw new KvError(
      "BAD_REQUEST",
      `${directory} cannot be written (${message}): make it writable, or name another place with --cluster-file`,
    );
  }
}

/** The voter record that a process may use, until it gives it back. */
export interface VoterPlace {
  readonly file: string;
  release(): Promise<void>;
}

/**
 * Claims a voter record beside the cluster file. A record is one seat among the voters, so only one process may use it at a time (V5):
 * beside a coordinator that runs from the same cluster file already, another one gets a record of its own.
 */
export async function claimVoterPlace(clusterFile: string): Promise<VoterPlace> {
  for (let number = 1; ; number++) {
    const file = number === 1 ? `${clusterFile}.voter` : `${clusterFile}.voter-${number}`;
    const directory = `${file}.lock`;
    mkdirSync(directory, { recursive: true });
    try {
      const lock = await lockDirectory(directory);
      return { file, release: () => lock.release() };
    } catch (error) {
      if (!(error instanceof DirectoryInUseError) || number >= VOTER_PLACES_MAX) throw error;
    }
  }
}

/** @throws KvError as readClusterFile */
export function readVoterFile(file: string): LocalVoterFile | undefined {
  const found = readJson(file);
  return found as unknown as LocalVoterFile | undefined;
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
