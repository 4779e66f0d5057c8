// The format file of a data directory: which format the rest is in, and the incarnation the directory was made with. It is
// written last when a directory is made, so that where it exists, the table and the log must exist too.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { Incarnation } from "../../shared/ids.ts";
import { systemCode } from "./file-layer.ts";
import type { FileLayer } from "./file-layer.ts";
import { segmentNumber } from "./segments.ts";

/**
 * The format this program writes. Older released formats open; a newer one is refused.
 * 1: 0.1 — segments with HFB1 batches, table with `registers` and `meta`.
 */
export const DATA_FORMAT = 1;
/** First program version that reads a format: named when a newer directory is refused. */
const READ_SINCE = "the program version that wrote it, or a newer one";

export const FORMAT_FILE = "format.json";
const FORMAT_TEMPORARY = "format.json.tmp";

/** The directory is not one this program can open; the message says why and what to do. */
export class DataDirectoryError extends Error {}

export interface DataFormat {
  readonly format: number;
  readonly incarnation: Incarnation;
}

/**
 * The format of a directory; undefined where nothing was ever stored in it.
 * @throws DataDirectoryError for a newer format, or a directory that holds something else.
 */
export async function readFormat(files: FileLayer, directory: string): Promise<DataFormat | undefined> {
  const text = await readText(files, join(directory, FORMAT_FILE));
  if (text === undefined) return undefined;
  const parsed = parse(text);
  if (!parsed) {
    throw new DataDirectoryError(
      `${join(directory, FORMAT_FILE)} is damaged: expected {"format":1,"incarnation":"…"}; restore it from a backup, or start with an empty directory`,
    );
  }
  if (parsed.format > DATA_FORMAT) {
    throw new DataDirectoryError(
      `the data in ${directory} has format ${parsed.format}${parsed.program ? ` (written by ${parsed.program})` : ""}; this program reads up to format ${DATA_FORMAT}. Use ${READ_SINCE}`,
    );
  }
  return { format: parsed.format, incarnation: parsed.incarnation };
}

/** A directory without a format file must hold nothing of ours but what an interrupted first start leaves. @throws DataDirectoryError */
export async function checkUnused(files: FileLayer, directory: string): Promise<void> {
  const names = await files.names(directory);
  if (!names.some((name) => segmentNumber(name) !== undefined)) return;
  throw new DataDirectoryError(
    `${directory} holds log segments but no format file: restore the file from a backup, or start with an empty directory`,
  );
}

/** A format with a new incarnation, for a new directory. */
export function newFormat(): DataFormat {
  return { format: DATA_FORMAT, incarnation: randomUUID() as string as Incarnation };
}

/** Writes the format file durably. @param program Name and version of this program, for people. */
export async function writeFormat(
  files: FileLayer,
  { directory, format, program }: { readonly directory: string; readonly format: DataFormat; readonly program: string },
): Promise<void> {
  const temporary = join(directory, FORMAT_TEMPORARY);
  const file = await files.open(temporary, { create: true });
  try {
    await file.write(Buffer.from(`${JSON.stringify({ ...format, program })}\n`), 0);
  } finally {
    await file.close();
  }
  await files.rename(temporary, join(directory, FORMAT_FILE));
  await files.syncDirectory(directory);
}

async function readText(files: FileLayer, path: string): Promise<string | undefined> {
  try {
    return (await files.read(path)).toString("utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parse(text: string): (DataFormat & { readonly program?: string }) | undefined {
  try {
    const { format, incarnation, program } = JSON.parse(text) as Record<string, unknown>;
    if (!Number.isInteger(format) || typeof format !== "number" || format < 1 || typeof incarnation !== "string")
      return undefined;
    const known = { format, incarnation: incarnation as Incarnation };
    return typeof program === "string" ? { ...known, program } : known;
  } catch {
    return undefined; // not JSON: damaged, said by the caller
  }
}
