// Tab: what may stand where the cursor is, by the command table. Candidates end in a blank, so that the next word can follow.
import { LEVELS } from "../../shared/protocol/client-messages.ts";
import type { ArgumentKind, CommandSpec } from "./command.ts";

/** What is known of the cluster: Tab never waits for it longer than the shell allows. */
export interface Vocabulary {
  readonly commands: readonly CommandSpec[];
  readonly nodes: readonly string[];
  readonly operations: readonly string[];
}

/** Candidates for the last word, and that word as typed: the pair that readline wants. */
export type Completion = readonly [candidates: string[], word: string];

/** Completes the last word of a line (the part left of the cursor). */
export function complete(line: string, vocabulary: Vocabulary): Completion {
  const words = line.trimStart().split(/\s+/);
  const typed = words.pop() ?? "";
  const candidates = candidatesFor(words, typed, vocabulary.commands, vocabulary);
  const matching = candidates.filter((candidate) => candidate.toLowerCase().startsWith(typed.toLowerCase()));
  return [matching.map((candidate) => `${candidate} `), typed];
}

/** What the command wants at the cursor: `node ids`, `levels`; undefined where it wants nothing that Tab knows. */
export function wantedAt(line: string, commands: readonly CommandSpec[]): ArgumentKind | undefined {
  const words = line.trimStart().split(/\s+/).slice(0, -1);
  const command = named(words[0], commands);
  if (command === undefined) return undefined;
  const kind = command.args[0]?.kind;
  if (kind === "change") return wantedAt(line.trimStart().slice((words[0] as string).length), commands);
  return command.args[positionOf(command, words.slice(1))]?.kind;
}

function candidatesFor(
  before: readonly string[],
  typed: string,
  commands: readonly CommandSpec[],
  vocabulary: Vocabulary,
): readonly string[] {
  if (before.length === 0) return commands.flatMap((command) => [command.name, ...namedAliases(command)]);
  const command = named(before[0], commands);
  if (command === undefined) return [];
  if (command.args[0]?.kind === "change") {
    const plannable = commands.filter((candidate) => candidate.change !== undefined);
    return candidatesFor(before.slice(1), typed, plannable, vocabulary);
  }
  if (typed.startsWith("--")) return [...(command.options ?? []).map(({ name }) => `--${name}`), "--json"];
  return ofKind(command.args[positionOf(command, before.slice(1))]?.kind, command, vocabulary);
}

/** Which argument comes next behind these words: options and their values do not count. */
function positionOf(command: CommandSpec, words: readonly string[]): number {
  let position = 0;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as string;
    if (!word.startsWith("--")) position++;
    else if ((command.options ?? []).some(({ name, value }) => value !== undefined && word === `--${name}`)) index++;
  }
  return position;
}

function ofKind(kind: ArgumentKind | undefined, command: CommandSpec, vocabulary: Vocabulary): readonly string[] {
  switch (kind) {
    case "node":
      return command.name === "addnode" ? [] : vocabulary.nodes;
    case "target":
      return vocabulary.nodes;
    case "level":
      return LEVELS;
    case "operation":
      return vocabulary.operations;
    case "command":
      return vocabulary.commands.map(({ name }) => name);
    case "copies":
      return ["1", "2", "3"];
    case "key":
    case "value":
    case "prefix":
    case "address":
    case "file":
    case "change":
    case undefined:
      return [];
  }
}

function named(word: string | undefined, commands: readonly CommandSpec[]): CommandSpec | undefined {
  const name = word?.toLowerCase() ?? "";
  return commands.find((command) => command.name === name || command.aliases?.includes(name));
}

function namedAliases(command: CommandSpec): readonly string[] {
  return (command.aliases ?? []).filter((alias) => /^[a-z]+$/.test(alias));
}
