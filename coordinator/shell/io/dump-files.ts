// Files of `export` and `import`. An export is written aside and takes its name when it is complete, so that a file of that name is always a
// whole one. Lines end at \n alone: a value may hold every other character that some readers break lines at.
import { createReadStream } from "node:fs";
import { access, open, rename, rm } from "node:fs/promises";
import type { ShellFiles } from "../command.ts";
import { UsageError } from "../failure.ts";

/** A line beyond this is no entry: the largest value, in base64, with its key. */
const LINE_CHARS_MAX = 8 * 1024 * 1024;

export const DUMP_FILES: ShellFiles = {
  create: async (file, { replace }) => {
    const taken = await access(file).then(
      () => true,
      () => false,
    );
    if (taken && !replace) throw new UsageError(`${file} exists`, { hint: "--force replaces it" });
    const aside = `${file}.${process.pid}.part`;
    const handle = await open(aside, "wx").catch((error: unknown) => {
      throw unusable(file, error);
    });
    return {
      write: (text) => handle.appendFile(text),
      finish: async () => {
        await handle.sync();
        await handle.close();
        await rename(aside, file);
      },
      abandon: async () => {
        await handle.close().catch(() => undefined); // closed already where the renaming failed
        await rm(aside, { force: true });
      },
    };
  },
  lines: async function* (file) {
    let rest = "";
    const input = createReadStream(file, { encoding: "utf8" });
    try {
      for await (const chunk of input) {
        const lines = (rest + String(chunk)).split("\n");
        rest = lines.pop() ?? "";
        if (rest.length > LINE_CHARS_MAX) throw new UsageError(`${file}: a line is longer than any entry`);
        yield* lines;
      }
    } catch (error) {
      throw error instanceof UsageError ? error : unusable(file, error);
    }
    if (rest !== "") yield rest;
  },
};

function unusable(file: string, error: unknown): UsageError {
  return new UsageError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
}
