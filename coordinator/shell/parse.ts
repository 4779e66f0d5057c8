// Words to a command with checked arguments, by the command table. Everything that can be refused without asking anybody is
// refused here, with what to type instead; what was typed never reaches the network half understood.
import { isNodeId } from "../../shared/ids.ts";
import { KEY_BYTES_MAX, REPLICAS_MAX } from "../../shared/limits.ts";
import { LEVELS } from "../../shared/protocol/client-messages.ts";
import { utf8Bytes } from "../../shared/record.ts";
import type { ArgumentSpec, Arguments, CommandSpec, OptionSpec } from "./command.ts";
import { UsageError } from "./failure.ts";
import { nearest } from "./suggest.ts";
import { cut, safeText } from "./text.ts";
import { usageLine } from "./usage.ts";
import type { Word } from "./words.ts";
import { quoteWord } from "./words.ts";

export interface ParsedCommand {
  readonly command: CommandSpec;
  readonly args: Arguments;
  readonly json: boolean;
}

const JSON_OPTION: OptionSpec = { name: "json", help: "answer with one JSON document" };

/** Finds the command and checks its arguments. Throws UsageError. @param words At least one. */
export function parseCommand(words: readonly Word[], commands: readonly CommandSpec[]): ParsedCommand {
  const [first, ...rest] = words;
  if (first === undefined) throw new UsageError("no command given", { hint: "`help` lists them" });
  const command = findCommand(first.text, commands);
  const { json, ...args } = parseArguments(command, rest, commands);
  return { command, args, json };
}

/** The command of that name or alias, in any case. Throws UsageError with the nearest one. */
export function findCommand(typed: string, commands: readonly CommandSpec[]): CommandSpec {
  const name = typed.toLowerCase();
  const found = commands.find((command) => command.name === name || command.aliases?.includes(name));
  if (found) return found;
  const names = commands.flatMap((command) => [command.name, ...(command.aliases ?? [])]);
  const near = nearest(name, names);
  const shown = safeText(cut(typed, 40));
  throw new UsageError(`unknown command: ${shown}`, {
    hint: near === undefined ? "`help` lists the commands" : `did you mean ${near}?`,
  });
}

function parseArguments(
  command: CommandSpec,
  words: readonly Word[],
  commands: readonly CommandSpec[],
): Arguments & { readonly json: boolean } {
  if (command.args[0]?.kind === "change") return parseNested(command, words, commands);
  const { positional, options } = takeOptions(command, words);
  const { json, ...own } = options;
  checkCount(command, positional);
  const named: Record<string, string> = {};
  command.args.forEach((spec, index) => {
    const word = positional[index];
    if (word !== undefined) named[spec.name] = checked(command, spec, word, positional);
  });
  return { words: named, options: own, json: json !== undefined };
}

/** `plan addnode D 5004`: the rest is a command of its own. */
function parseNested(
  command: CommandSpec,
  words: readonly Word[],
  commands: readonly CommandSpec[],
): Arguments & { readonly json: boolean } {
  const json = words.some((word) => !word.quoted && word.text === "--json");
  const rest = words.filter((word) => word.quoted || word.text !== "--json");
  const plannable = commands.filter((candidate) => candidate.change !== undefined);
  const usage = `usage: ${usageLine(command)}`;
  if (rest[0] === undefined) throw new UsageError("what should be planned is missing", { hint: usage });
  const nested = parseCommand(rest, plannable);
  return { words: {}, options: {}, json, nested: { command: nested.command, args: nested.args } };
}

interface Taken {
  readonly positional: string[];
  readonly options: Record<string, string>;
}

function takeOptions(command: CommandSpec, words: readonly Word[]): Taken {
  const known = [...(command.options ?? []), JSON_OPTION];
  const taken: Taken = { positional: [], options: {} };
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as Word;
    if (word.quoted || !word.text.startsWith("--")) {
      taken.positional.push(word.text);
    } else if (word.text === "--") {
      taken.positional.push(...words.slice(index + 1).map(({ text }) => text));
      break;
    } else {
      const [spec, inline] = findOption(command, word.text, known);
      if (spec.value === undefined && inline !== undefined) throw new UsageError(`--${spec.name} takes no value`);
      const value = spec.value === undefined ? "" : (inline ?? words[++index]?.text);
      if (value === undefined) throw new UsageError(`--${spec.name} needs a value: --${spec.name} <${spec.value}>`);
      taken.options[spec.name] = value;
    }
  }
  return taken;
}

function findOption(
  command: CommandSpec,
  typed: string,
  known: readonly OptionSpec[],
): [spec: OptionSpec, inline: string | undefined] {
  const equals = typed.indexOf("=");
  const name = (equals < 0 ? typed.slice(2) : typed.slice(2, equals)).toLowerCase();
  const found = known.find((option) => option.name === name);
  if (found) return [found, equals < 0 ? undefined : typed.slice(equals + 1)];
  const names = known.map((option) => `--${option.name}`);
  const near = nearest(typed, names);
  throw new UsageError(`${command.name} knows no option ${safeText(cut(typed, 40))}`, {
    hint:
      near === undefined
        ? `usage: ${usageLine(command)}; as text, quote it: ${quoteWord(typed)}`
        : `did you mean ${near}?`,
  });
}

function checkCount(command: CommandSpec, words: readonly string[]): void {
  const missing = command.args.find((spec, index) => !spec.optional && words[index] === undefined);
  if (missing) throw new UsageError(`<${missing.name}> is missing`, { hint: `usage: ${usageLine(command)}` });
  if (words.length > command.args.length) throw tooMany(command, words);
}

/** Extra words: most often a value with spaces, so that is what is shown. */
function tooMany(command: CommandSpec, words: readonly string[]): UsageError {
  const valueAt = command.args.findIndex((spec) => spec.kind === "value");
  const shown = safeText(cut(words[command.args.length] as string, 40));
  if (valueAt >= 0) return spacesInValue(command, words, valueAt, "too many words");
  const keyAt = command.args.findIndex((spec) => spec.kind === "key" || spec.kind === "prefix");
  if (keyAt >= 0) {
    const quoted = quoteWord(words.join(" "));
    return new UsageError(`unexpected word: ${shown}`, {
      hint: `a key with spaces is quoted: ${command.name} ${quoted}`,
    });
  }
  return new UsageError(`unexpected word: ${shown}`, { hint: `usage: ${usageLine(command)}` });
}

function spacesInValue(command: CommandSpec, words: readonly string[], valueAt: number, what: string): UsageError {
  const last = words.at(-1) as string;
  const level = isLevel(last) ? ` ${last}` : "";
  const value = words.slice(valueAt, level === "" ? undefined : -1).join(" ");
  const before = words.slice(0, valueAt).map(quoteWord).join(" ");
  const form = `${command.name} ${before} ${quoteWord(cut(value, 200))}${level}`;
  return new UsageError(what, { hint: `to store a value with spaces quote it: ${form}` });
}

function checked(command: CommandSpec, spec: ArgumentSpec, word: string, all: readonly string[]): string {
  switch (spec.kind) {
    case "key":
      return checkedKey(word);
    case "level":
      return checkedLevel(command, word, all);
    case "copies":
      return checkedCopies(word);
    case "node":
      return checkedNode(word);
    case "prefix":
    case "value":
    case "address":
    case "target":
    case "file":
    case "operation":
    case "command":
    case "change":
      return word;
  }
}

function checkedKey(key: string): string {
  const bytes = utf8Bytes(key);
  if (bytes === 0) throw new UsageError(`a key has 1 to ${KEY_BYTES_MAX} bytes, this one is empty`);
  if (bytes > KEY_BYTES_MAX) throw new UsageError(`a key has 1 to ${KEY_BYTES_MAX} bytes, this one has ${bytes}`);
  return key;
}

function isLevel(word: string): boolean {
  return LEVELS.some((level) => level === word.toLowerCase());
}

/** Behind a value, a word that is no level is most often the rest of the value. */
function checkedLevel(command: CommandSpec, word: string, all: readonly string[]): string {
  if (isLevel(word)) return word.toLowerCase();
  const what = `${safeText(cut(word, 40))} is no level (${LEVELS.join(", ")})`;
  const near = nearest(word, LEVELS);
  if (near !== undefined) throw new UsageError(what, { hint: `did you mean ${near}?` });
  const valueAt = command.args.findIndex((spec) => spec.kind === "value");
  if (valueAt >= 0) throw spacesInValue(command, all, valueAt, what);
  throw new UsageError(what, { hint: `usage: ${usageLine(command)}` });
}

function checkedCopies(word: string): string {
  const copies = Number(word);
  if (/^\d+$/.test(word) && copies >= 1 && copies <= REPLICAS_MAX) return String(copies);
  throw new UsageError(
    `the number of copies is a whole number from 1 to ${REPLICAS_MAX}, not ${safeText(cut(word, 40))}`,
  );
}

function checkedNode(word: string): string {
  if (isNodeId(word)) return word;
  throw new UsageError(`${safeText(cut(word, 70))} is no node id`, {
    hint: "letters, digits and . _ - after a letter or digit, 1 to 64 characters",
  });
}
