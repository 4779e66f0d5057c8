// Restored: what `--restored` does to a data directory that comes from a backup. Its fence, votes and registers went back in time,
// so nothing of it may be served under the incarnation it carries (N1, N7), nor may it vote again (V2). The directory begins as a blank
// one, with a new incarnation; the other copies fill it. What was there is put aside in the directory, not deleted: it may be the last
// copy of something, and deleting is for people.
import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import path from "node:path";
import type { NodeId } from "../shared/ids.ts";
import { openDiskEngine } from "./engine/disk-engine.ts";
import { FORMAT_FILE } from "./engine/format.ts";
import { DirectoryInUseError } from "../shared/io/directory-lock.ts";

export interface Restored {
  /** The id that the old data had; undefined where it was blank or could not be read. */
  readonly id: NodeId | undefined;
  /** Where the old contents are now; undefined where there were none. */
  readonly aside: string | undefined;
}

const ASIDE = "before-restored";

/**
 * Puts the contents of a data directory aside.
 * @throws DirectoryInUseError where a living process has it open
 */
export async function putAsideRestored(directory: string): Promise<Restored> {
  const names = existsSync(directory) ? readdirSync(directory).filter((name) => !name.startsWith(ASIDE)) : [];
  if (names.length === 0) return { id: undefined, aside: undefined };
  const id = await storedId(directory);
  const aside = freeName(directory);
  mkdirSync(aside);
  // First the file without which no start takes the rest for data: an interrupted move is seen, and done again.
  for (const name of [FORMAT_FILE, ...names.filter((other) => other !== FORMAT_FILE)]) {
    const from = path.join(directory, name);
    if (existsSync(from)) renameSync(from, path.join(aside, name));
  }
  return { id, aside };
}

/** Opening also shows that nobody else has it open. */
async function storedId(directory: string): Promise<NodeId | undefined> {
  try {
    const engine = await openDiskEngine({ directory, events: { durable: () => {}, failed: () => {} } });
    const { id } = engine.recovered.identity;
    await engine.close();
    return id;
  } catch (error) {
    if (error instanceof DirectoryInUseError) throw error;
    return undefined; // a damaged backup is put aside like a sound one
  }
}

function freeName(directory: string): string {
  for (let number = 1; ; number++) {
    const name = path.join(directory, `${ASIDE}-${number}`);
    if (!existsSync(name)) return name;
  }
}
