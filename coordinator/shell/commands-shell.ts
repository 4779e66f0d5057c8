// Commands about the shell itself: its level, where it is connected, logs, help, leaving.
import type { Level } from "../../shared/protocol/client-messages.ts";
import type { CommandSpec, Connection } from "./command.ts";
import { numberOption } from "./arguments.ts";
import { UsageError } from "./failure.ts";
import { findCommand } from "./parse.ts";
import { safeText } from "./text.ts";
import { commandHelpLines, helpLines, usageLine } from "./usage.ts";

const LOG_LINES_DEFAULT = 20;
const LOG_LINES_MAX = 10_000;

export const CONSISTENCY: CommandSpec = {
  name: "consistency",
  group: "shell",
  args: [{ name: "level", kind: "level", optional: true }],
  help: "show or set the level used by default",
  examples: ["consistency", "consistency all"],
  run: (context, args) => {
    const level = args.words["level"] as Level | undefined;
    if (level !== undefined) context.setLevel(level);
    return Promise.resolve({
      lines: [`Consistency level: ${context.level}`],
      json: { status: "ok", level: context.level },
    });
  },
};

export const SWITCH: CommandSpec = {
  name: "switch",
  group: "shell",
  args: [{ name: "node|host:port", kind: "target", optional: true }],
  help: "another coordinator, or read from one node",
  details: [
    "On a node, get shows what that node holds, which may be stale;",
    "other commands still go to the leader.",
    "Without an argument: back to the leader.",
  ],
  examples: ["switch A", "switch 127.0.0.1:7402", "switch"],
  run: async (context, args) => {
    const connection = await context.switchTo(args.words["node|host:port"]);
    return { lines: [connectionLine(connection)], json: { status: "ok", ...connection } };
  },
};

export const LOGS: CommandSpec = {
  name: "logs",
  group: "looking",
  args: [{ name: "id", kind: "node", optional: true }],
  options: [
    { name: "lines", value: "n", help: `lines to show, 1 to ${LOG_LINES_MAX}; ${LOG_LINES_DEFAULT} by default` },
  ],
  help: "end of the coordinator's or a node's log",
  examples: ["logs", "logs A", "logs A --lines 100"],
  run: async (context, args) => {
    const id = args.words["id"];
    const count = numberOption(args, "lines", { min: 1, max: LOG_LINES_MAX }) ?? LOG_LINES_DEFAULT;
    const tail = await context.logs(id, count);
    if (tail === undefined) {
      const whose = id === undefined ? "this coordinator" : `node ${id}`;
      throw new UsageError(`no log file of ${whose} is known here`, {
        hint: "a process writes its log to standard error unless `./runtime up` started it",
      });
    }
    const lines = [context.style.dim(tail.path), ...tail.lines.map(safeText)];
    return { lines, json: { status: "ok", path: tail.path, lines: tail.lines } };
  },
};

export const HELP: CommandSpec = {
  name: "help",
  aliases: ["?"],
  group: "shell",
  args: [{ name: "command", kind: "command", optional: true }],
  help: "this list, or one command",
  examples: ["help", "help put"],
  run: (context, args) => {
    const { commands, style } = context;
    const name = args.words["command"];
    const shown = name === undefined ? commands : [findCommand(name, commands)];
    const lines =
      name === undefined ? helpLines(commands, style) : shown.flatMap((one) => commandHelpLines(one, style));
    const json = shown.map((command) => ({ name: command.name, usage: usageLine(command), help: command.help }));
    return Promise.resolve({ lines, json: { status: "ok", commands: json } });
  },
};

export const CLEAR: CommandSpec = {
  name: "clear",
  group: "shell",
  args: [],
  help: "clear the screen",
  examples: ["clear"],
  run: (context) => {
    context.clear();
    return Promise.resolve({ lines: [], json: { status: "ok" } });
  },
};

export const EXIT: CommandSpec = {
  name: "exit",
  aliases: ["quit"],
  group: "shell",
  args: [],
  help: "leave",
  examples: ["exit"],
  run: (context) => {
    context.exit();
    return Promise.resolve({ lines: [], json: { status: "ok" } });
  },
};

function connectionLine(connection: Connection): string {
  const at = `${connection.name} (${connection.address})`;
  switch (connection.kind) {
    case "node":
      return `Reading straight from node ${at}: what it holds may be stale. \`switch\` goes back.`;
    case "coordinator":
      return `Talking to coordinator ${connection.address}. \`switch\` goes back.`;
    case "leader":
      return `Talking to the leader (${connection.address}).`;
  }
}
