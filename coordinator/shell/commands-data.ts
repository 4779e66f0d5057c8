// Commands on keys: put, get, del, scan, where. Wording of put and get is that of the original program.
import { KvError } from "../../shared/errors.ts";
import { SCAN_LIMIT_DEFAULT, SCAN_LIMIT_MAX } from "../../shared/limits.ts";
import type { GetAnswer, Level, ReplicaReport, WhereAnswer } from "../../shared/protocol/client-messages.ts";
import type { WireValue } from "../../shared/record.ts";
import { isWireValue, valueBytes } from "../../shared/record.ts";
import type { Arguments, CommandSpec, OptionSpec, Reply, ShellContext } from "./command.ts";
import { numberOption, required, withoutId } from "./arguments.ts";
import { UsageError } from "./failure.ts";
import { tableLines } from "./table.ts";
import { countOf, cut, safeText, shownValue, sizeText, valueText } from "./text.ts";
import { quoteWord } from "./words.ts";

/** Keys that one `scan` shows at most, whatever its limit asks: it is held in memory under --json. */
const SCAN_KEYS_MAX = 100_000;
/** Characters of a value that `put` repeats for each replica. */
const ECHO_CHARS_MAX = 60;

const IF_VERSION: OptionSpec = {
  name: "if-version",
  value: "version",
  help: "only if the key has this version (where <key>)",
};
const LEVEL_DETAILS = [
  "one: the first replica; quorum: a majority of them; all: every one.",
  "`consistency` shows and sets the level used where none is given.",
];

export const PUT: CommandSpec = {
  name: "put",
  group: "data",
  args: [
    { name: "key", kind: "key" },
    { name: "value", kind: "value" },
    { name: "level", kind: "level", optional: true },
  ],
  options: [
    { name: "if-absent", help: "only if the key holds no value" },
    IF_VERSION,
    { name: "base64", help: "the value is in base64: bytes that are no text" },
  ],
  help: "store a value",
  details: LEVEL_DETAILS,
  examples: ["put apple 123", 'put greeting "hello world" all', "put apple 124 --if-version 3.1042"],
  writes: true,
  lookWith: (args) => `get ${quoteWord(required(args, "key"))}`,
  run: async (context, args) => {
    const key = required(args, "key");
    const value = valueOf(context, args);
    const conditions = conditionsOf(args);
    const consistency = levelOf(context, args);
    const answer = await context.call<"put">({ op: "put", key, value, consistency, report: true, ...conditions });
    const replicas = answer.replicas ?? [];
    return { lines: putLines(key, value, replicas, answer.version), json: { status: "ok", key, ...withoutId(answer) } };
  },
};

export const GET: CommandSpec = {
  name: "get",
  group: "data",
  args: [
    { name: "key", kind: "key" },
    { name: "level", kind: "level", optional: true },
  ],
  options: [{ name: "raw", help: "print nothing but the value" }],
  help: "read a value",
  details: LEVEL_DETAILS,
  examples: ["get apple", "get apple one"],
  run: async (context, args) => {
    const key = required(args, "key");
    const answer = await read(context, args, key);
    if (answer === null) return notFound(key);
    const text = args.options["raw"] === undefined ? undefined : valueText(answer.value);
    const shown = text ?? `${safeText(key)} -> ${shownValue(answer.value)}`;
    return { lines: [shown], json: { status: "ok", key, ...withoutId(answer) } };
  },
};

export const DEL: CommandSpec = {
  name: "del",
  aliases: ["delete", "remove"],
  group: "data",
  args: [
    { name: "key", kind: "key" },
    { name: "level", kind: "level", optional: true },
  ],
  options: [IF_VERSION],
  help: "delete a key",
  examples: ["del apple", "del apple all"],
  writes: true,
  lookWith: (args) => `get ${quoteWord(required(args, "key"))}`,
  run: async (context, args) => {
    const key = required(args, "key");
    const consistency = levelOf(context, args);
    try {
      const answer = await context.call<"delete">({
        op: "delete",
        key,
        consistency,
        found: true,
        ...conditionsOf(args),
      });
      if (answer.found === false) return notFound(key);
      return { lines: [`Deleted: ${safeText(key)}`], json: { status: "ok", key, ...withoutId(answer) } };
    } catch (error) {
      if (error instanceof KvError && error.code === "NOT_FOUND") return notFound(key);
      throw error;
    }
  },
};

export const SCAN: CommandSpec = {
  name: "scan",
  group: "data",
  args: [{ name: "prefix", kind: "prefix", optional: true }],
  options: [
    { name: "limit", value: "n", help: `keys to show, 1 to ${SCAN_KEYS_MAX}; ${SCAN_LIMIT_DEFAULT} by default` },
  ],
  help: "list keys, by slot and then key",
  details: ["Not sorted overall. A key that is there throughout appears exactly once."],
  examples: ["scan", "scan user: --limit 1000"],
  run: async (context, args) => {
    const limit = numberOption(args, "limit", { min: 1, max: SCAN_KEYS_MAX }) ?? SCAN_LIMIT_DEFAULT;
    const prefix = args.words["prefix"] ?? "";
    const { keys, cursor } = await scanPages(context, prefix, limit);
    const more = cursor !== undefined;
    const next = `scan${prefix === "" ? "" : ` ${quoteWord(prefix)}`} --limit ${Math.min(limit * 10, SCAN_KEYS_MAX)}`;
    const note = more ? `(there are more: ${next})` : `(${countOf(keys.length, "key")})`;
    return { lines: [context.style.dim(note)], json: { status: "ok", keys, more } };
  },
};

export const WHERE: CommandSpec = {
  name: "where",
  group: "looking",
  args: [{ name: "key", kind: "key" }],
  help: "replicas of a key, and whether they agree",
  examples: ["where apple"],
  run: async (context, args) => {
    const answer = await context.call<"where">({ op: "where", key: required(args, "key") });
    return { lines: whereLines(context, answer), json: withoutId(answer) };
  },
};

/** The lines of the original program: who holds the key, and what each one answered. */
export function putLines(
  key: string,
  value: WireValue,
  replicas: readonly ReplicaReport[],
  version: string,
): readonly string[] {
  const name = safeText(key);
  if (replicas.length === 0) return [`Stored: ${name} (version ${version})`];
  const echo = typeof value === "string" ? cut(safeText(value), ECHO_CHARS_MAX) : `(${sizeText(valueBytes(value))})`;
  const ids = replicas.map((replica) => replica.id).join(" ");
  const lines = replicas.map((replica) => `[${replica.id}] PUT ${name} = ${echo} -> ${replicaAnswer(replica.status)}`);
  return [`Replicas for key ${name}: ${ids}`, ...lines];
}

function replicaAnswer(status: string): string {
  const plain = status === "ok" || status === "pending";
  return JSON.stringify(plain ? { status } : { status: "error", code: status });
}

function notFound(key: string): Reply {
  const line = `Key not found: ${safeText(key)}`;
  const json = { status: "error", code: "NOT_FOUND", message: line, retryable: false, outcome: "failed", key };
  return { lines: [line], json, status: 1 };
}

type Read = Pick<GetAnswer, "value" | "version" | "stale"> & { readonly status: "ok" };

/** Straight from the node one is switched to, unless a level is asked for by name. */
async function read(context: ShellContext, args: Arguments, key: string): Promise<Read | null> {
  if (context.connection.kind === "node" && args.words["level"] === undefined) {
    const found = await context.readNode(key);
    return found && { status: "ok", value: found.value, version: found.version, stale: true };
  }
  try {
    return await context.call<"get">({ op: "get", key, consistency: levelOf(context, args) });
  } catch (error) {
    if (error instanceof KvError && error.code === "NOT_FOUND") return null;
    throw error;
  }
}

function levelOf(context: ShellContext, args: Arguments): Level {
  return (args.words["level"] as Level | undefined) ?? context.level;
}

function conditionsOf(args: Arguments): { readonly ifAbsent?: true; readonly ifVersion?: string } {
  const version = args.options["if-version"];
  const absent = args.options["if-absent"] !== undefined;
  if (absent && version !== undefined) throw new UsageError("--if-absent and --if-version exclude each other");
  return { ...(absent ? { ifAbsent: true as const } : {}), ...(version === undefined ? {} : { ifVersion: version }) };
}

function valueOf(context: ShellContext, args: Arguments): WireValue {
  const typed = required(args, "value");
  const value: WireValue = args.options["base64"] === undefined ? typed : { base64: typed };
  if (!isWireValue(value)) {
    throw new UsageError("the value is not base64", {
      hint: "letters, digits, + and /, padded with = to a multiple of four",
    });
  }
  const bytes = valueBytes(value);
  if (bytes > context.valueBytesMax) {
    throw new UsageError(`the value has ${bytes} bytes, the limit is ${context.valueBytesMax}`);
  }
  return value;
}

async function scanPages(
  context: ShellContext,
  prefix: string,
  limit: number,
): Promise<{ readonly keys: readonly string[]; readonly cursor: string | undefined }> {
  const keys: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await context.call<"scan">({
      op: "scan",
      limit: Math.min(limit - keys.length, SCAN_LIMIT_MAX),
      ...(prefix === "" ? {} : { prefix }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    keys.push(...page.keys);
    context.print(page.keys.map(safeText));
    cursor = page.cursor;
  } while (cursor !== undefined && keys.length < limit);
  return { keys, cursor };
}

function whereLines(context: ShellContext, answer: WhereAnswer): readonly string[] {
  const { style } = context;
  const rows = answer.replicas.map((replica) => [
    replica.id,
    replica.address,
    replica.version ?? "-",
    replica.tombstone === true ? "deleted" : (replica.digest ?? "-"),
    standing(context, replica),
  ]);
  const columns = ["node", "address", "version", "value", "state"].map((title) => ({ title }));
  const title = `${safeText(answer.key)} is in slot ${answer.slot}`;
  return [title, ...tableLines(columns, rows, style)];
}

function standing(context: ShellContext, replica: WhereAnswer["replicas"][number]): string {
  const { style } = context;
  if (replica.status !== "ok") return style.red(replica.status);
  if (replica.inStep === false) return style.yellow("behind");
  return replica.inStep === true ? style.green("in step") : "nothing there";
}
