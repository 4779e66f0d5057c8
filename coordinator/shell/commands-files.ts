// Commands that read or write a file of keys: export and import. NDJSON, one `{"key","value"}` a line, values as on the wire: text, or
// {"base64"}. Both ask at quorum, many keys at a time. An export is no snapshot: each key is as it was when it was read; a key that is there
// throughout is in it exactly once. An import overwrites, so one that stopped half-way is simply run again.
import { KvError } from "../../shared/errors.ts";
import { KEY_BYTES_MAX, SCAN_LIMIT_MAX } from "../../shared/limits.ts";
import { isWireValue, utf8Bytes, type WireValue } from "../../shared/record.ts";
import { required } from "./arguments.ts";
import type { CommandSpec, ShellContext } from "./command.ts";
import { InterruptedError, UsageError } from "./failure.ts";
import { countOf, safeText } from "./text.ts";

/** Keys asked for at a time. */
const AT_A_TIME = 64;

interface Entry {
  readonly key: string;
  readonly value: WireValue;
}

export const EXPORT: CommandSpec = {
  name: "export",
  group: "data",
  args: [
    { name: "file", kind: "file" },
    { name: "prefix", kind: "prefix", optional: true },
  ],
  options: [{ name: "force", help: "replace the file if it exists" }],
  help: "write all keys and values to a file",
  details: ['NDJSON: {"key":"apple","value":"123"} a line; bytes as {"base64":"..."}.'],
  examples: ["export backup.ndjson", "export users.ndjson user:"],
  run: async (context, args) => {
    const file = required(args, "file");
    const output = await context.files.create(file, { replace: args.options["force"] !== undefined });
    try {
      const keys = await writeAll(context, args.words["prefix"] ?? "", output.write);
      await output.finish();
      return { lines: [`Exported ${countOf(keys, "key")} to ${safeText(file)}.`], json: { status: "ok", file, keys } };
    } catch (error) {
      await output.abandon();
      throw error;
    }
  },
};

export const IMPORT: CommandSpec = {
  name: "import",
  group: "data",
  args: [{ name: "file", kind: "file" }],
  help: "store all keys and values of such a file",
  details: ["Overwrites keys that exist. Stopped half-way, run it again."],
  examples: ["import backup.ndjson"],
  writes: true,
  run: async (context, args) => {
    const file = required(args, "file");
    const keys = await readAll(context, file);
    return { lines: [`Imported ${countOf(keys, "key")} from ${safeText(file)}.`], json: { status: "ok", file, keys } };
  },
};

/** @returns how many keys were written */
async function writeAll(
  context: ShellContext,
  prefix: string,
  write: (text: string) => Promise<void>,
): Promise<number> {
  let written = 0;
  let cursor: string | undefined;
  do {
    const page = await context.call<"scan">({
      op: "scan",
      prefix,
      limit: SCAN_LIMIT_MAX,
      ...(cursor !== undefined && { cursor }),
    });
    for (const keys of inGroups(page.keys)) {
      checkStillWanted(context);
      const entries = await Promise.all(keys.map((key) => entryOf(context, key)));
      const found = entries.filter((entry) => entry !== undefined);
      await write(found.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
      written += found.length;
      context.progress(`export: ${countOf(written, "key")}`);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  return written;
}

/** Undefined for a key that was deleted since it was listed. */
async function entryOf(context: ShellContext, key: string): Promise<Entry | undefined> {
  try {
    const { value } = await context.call<"get">({ op: "get", key, consistency: "quorum" });
    return { key, value };
  } catch (error) {
    if (error instanceof KvError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

/** @returns how many keys were stored */
async function readAll(context: ShellContext, file: string): Promise<number> {
  let stored = 0;
  let number = 0;
  let group: Entry[] = [];
  const store = async (): Promise<void> => {
    checkStillWanted(context);
    await Promise.all(
      group.map(({ key, value }) => context.call<"put">({ op: "put", key, value, consistency: "quorum" })),
    );
    stored += group.length;
    group = [];
    context.progress(`import: ${countOf(stored, "key")}`);
  };
  for await (const line of context.files.lines(file)) {
    number++;
    if (line.trim() === "") continue;
    const entry = parseEntry(line, `${file}:${number}`);
    // Of one key that comes twice, the later line wins.
    if (group.length >= AT_A_TIME || group.some(({ key }) => key === entry.key)) await store();
    group.push(entry);
  }
  await store();
  return stored;
}

/** @throws UsageError naming the line */
function parseEntry(line: string, where: string): Entry {
  const hint = 'a line is {"key":"...","value":"..."}; the lines before it may be stored already';
  let found: unknown;
  try {
    found = JSON.parse(line);
  } catch {
    throw new UsageError(`${safeText(where)}: no JSON`, { hint });
  }
  const { key, value } = (found ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof key !== "string" || key === "" || utf8Bytes(key) > KEY_BYTES_MAX)
    throw new UsageError(`${safeText(where)}: no key of 1 to ${KEY_BYTES_MAX} bytes`, { hint });
  if (!isWireValue(value)) throw new UsageError(`${safeText(where)}: no value`, { hint });
  return { key, value };
}

function checkStillWanted({ over }: ShellContext): void {
  if (over) throw new InterruptedError();
}

function* inGroups<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += AT_A_TIME) yield items.slice(from, from + AT_A_TIME);
}
