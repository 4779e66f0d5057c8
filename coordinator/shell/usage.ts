// Usage lines, `help`, and the greeting. The greeting and its list of commands are those of the original program.
import type { CommandGroup, CommandSpec } from "./command.ts";
import type { Style } from "./style.ts";

export const BANNER = [
  "Distributed KV Store with Consistent Hashing",
  "Commands: addnode <id> <port>, removenode <id>, put <k> <v>, get <k>, del <k>, setreplica <N>, show, stats, exit",
] as const;

const GROUPS: readonly (readonly [group: CommandGroup, title: string])[] = [
  ["data", "Data"],
  ["cluster", "Cluster"],
  ["looking", "Looking at it"],
  ["shell", "This shell"],
];

/** `put <key> <value> [one|quorum|all] [--if-absent]`. */
export function usageLine(command: CommandSpec): string {
  const words = command.args.map((spec) => {
    const name = spec.kind === "level" ? "one|quorum|all" : spec.name;
    if (spec.kind === "address" && !spec.optional) return "[host:]<port>";
    if (spec.optional) return `[${name}]`;
    return `<${name}>`;
  });
  const options = (command.options ?? []).map((option) => {
    return option.value === undefined ? `[--${option.name}]` : `[--${option.name} <${option.value}>]`;
  });
  return [command.name, ...words, ...options].join(" ");
}

/** One line for each command, by group. */
export function helpLines(commands: readonly CommandSpec[], style: Style): string[] {
  const shortUsage = (command: CommandSpec): string =>
    usageLine({ ...command, options: [] }).replace("one|quorum|all", "level");
  const width = Math.max(...commands.map((command) => shortUsage(command).length)) + 2;
  const lines = GROUPS.flatMap(([group, title]) => [
    style.bold(title),
    ...commands
      .filter((command) => command.group === group)
      .map((command) => `  ${shortUsage(command).padEnd(width)}${style.dim(command.help)}`),
  ]);
  return [...lines, "", "help <command> tells more. Quote what has spaces. --json works with every one."];
}

/** Usage, options and examples of one command. */
export function commandHelpLines(command: CommandSpec, style: Style): string[] {
  const options = command.options ?? [];
  const width = Math.max(0, ...options.map((option) => optionText(option.name, option.value).length)) + 2;
  return [
    style.bold(usageLine(command)),
    `  ${command.help}`,
    ...(command.details ?? []).map((line) => `  ${line}`),
    ...options.map((option) => `  ${optionText(option.name, option.value).padEnd(width)}${option.help}`),
    ...(command.aliases === undefined ? [] : [style.dim(`  also: ${command.aliases.join(", ")}`)]),
    ...command.examples.map((example) => style.dim(`  example: ${example}`)),
  ];
}

function optionText(name: string, value: string | undefined): string {
  return value === undefined ? `--${name}` : `--${name} <${value}>`;
}
