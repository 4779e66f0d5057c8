// Log: what a process says of itself, for those who run it. To standard error as JSON lines, or as readable ones where a person
// watches; to a rotated file where a shell has the terminal. Start, stop, roles, epochs, nodes, topology operations, errors:
// keys and values never.
import { type DestinationStream, type Logger, pino } from "pino";
import { RotatedFile } from "./rotated-file.ts";

export interface LogOptions {
  /** Which program writes: `node_server`, `runtime`. */
  readonly name: string;
  /** Rotated file to write to; standard error unless given. */
  readonly file?: string | undefined;
}

/** Every line is out before the call returns: the last words before an exit must not be lost. */
export function openLog(options: LogOptions): Logger {
  return pino(
    {
      name: options.name,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), bindings: ({ name, pid }) => ({ name, pid }) as object },
    },
    destination(options.file),
  );
}

function destination(file: string | undefined): DestinationStream {
  if (file !== undefined) return new RotatedFile(file);
  if (!process.stderr.isTTY) return pino.destination({ dest: 2, sync: true });
  return { write: (line) => void process.stderr.write(`${readableLine(line)}\n`) };
}

/** A JSON line of the log as people read it: `07:12:03.120 info  ready id=A`. Anything else as it is. */
export function readableLine(line: string): string {
  const fields = parsed(line.trim());
  if (fields === undefined) return line.trim();
  const { time, level, msg, name: _name, pid: _pid, err, ...rest } = fields;
  const clock = typeof time === "string" ? time.slice(11, 23) : "";
  const more = Object.entries(rest).map(([name, value]) => ` ${name}=${wordOf(value)}`);
  return `${clock} ${wordOf(level).padEnd(5)} ${wordOf(msg)}${more.join("")}${errorText(err)}`;
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const fields: unknown = JSON.parse(line);
    return typeof fields === "object" && fields !== null ? (fields as Record<string, unknown>) : undefined;
  } catch {
    return undefined; // what a runtime prints by itself is shown as it is
  }
}

function wordOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** The stack begins with the message, which the line has already. */
function errorText(error: unknown): string {
  const { stack } = (error ?? {}) as { readonly stack?: unknown };
  return typeof stack === "string" ? `\n${stack}` : "";
}
