// Main of `./runtime`: a coordinator with a shell, `serve` without one, `shell --connect` on a running one, or one command and out.
import path from "node:path";
import { Command } from "commander";
import { openSession } from "../shared/client/session.ts";
import { KvError } from "../shared/errors.ts";
import { VALUE_BYTES_MAX_CEILING, VALUE_BYTES_MAX_DEFAULT } from "../shared/limits.ts";
import { readClusterFile } from "./files.ts";
import { CoordinatorServer } from "./server.ts";
import { addMissing, startNodes, stopNodes } from "./up.ts";
import { runOneShot, runShell, type ShellOptions } from "./shell/io/shell.ts";

const DEFAULT_PORT = 7401;
const PORTS_TRIED = 100;
const SESSION_TIMEOUT_MS = 2_000;

interface Flags {
  readonly port?: string;
  readonly host: string;
  readonly clusterFile: string;
  readonly join: string[];
  readonly maxValue: string;
  readonly connect?: string;
  readonly stopOnError?: boolean;
  readonly nodes: string;
}

/** @param argv Arguments of the process. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command("runtime")
    .description("A holdfast coordinator with a shell. Without a command: start one here.")
    .argument("[command...]", "up, serve, shell, or a shell command to run once")
    .option("--port <port>", `port for clients (default ${DEFAULT_PORT}, or the next free one)`)
    .option("--host <host>", "interface to listen on", "127.0.0.1")
    .option("--cluster-file <file>", "where the cluster is remembered", path.join("data", "cluster.json"))
    .option(
      "--join <address>",
      "look for the cluster here (repeatable)",
      (item: string, all: string[]) => [...all, item],
      [],
    )
    .option("--max-value <bytes>", "largest value taken", String(VALUE_BYTES_MAX_DEFAULT))
    .option("--connect <addresses>", "coordinator or node to talk to, host:port,…")
    .option("--nodes <count>", "up: storage nodes to start", "3")
    .option("--stop-on-error", "scripts: stop at the first failure")
    .allowUnknownOption()
    .addHelpText(
      "after",
      "\nExamples:\n  ./runtime up\n  ./runtime\n  ./runtime serve --port 7401\n  ./runtime shell --connect 127.0.0.1:7401\n  ./runtime get apple",
    )
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
  program.parse([...argv], { from: "user" });
  const flags = program.opts<Flags>();
  const [command, ...rest] = program.args;
  try {
    if (command === undefined) await interactive(flags);
    else if (command === "up" && rest.length === 0) await up(flags);
    else if (command === "serve" && rest.length === 0) await serve(flags);
    else if (command === "shell" && rest.length === 0)
      process.exitCode = await runShell(shellOptions(flags, connectList(flags)));
    else process.exitCode = await runOneShot(program.args, shellOptions(flags, connectList(flags)));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof KvError && error.code === "BAD_REQUEST" ? 2 : 1;
  }
  if (process.exitCode !== undefined && command !== "serve") process.exit();
}

/** A coordinator in this process, with a shell on it. */
async function interactive(flags: Flags): Promise<void> {
  const notices = new Notices();
  const server = await startServer(flags, notices.tell);
  process.exitCode = await runShell({
    ...shellOptions(flags, [server.address]),
    notices: notices.subscribe,
    onExit: () => server.stop(),
  });
}

/** Storage nodes, a coordinator and a shell, from one command; all of it ends with the shell. */
async function up(flags: Flags): Promise<void> {
  const directory = path.join("data", "up");
  const notices = new Notices();
  const nodes = await startNodes(wholeNumber(flags.nodes, "--nodes", 26), directory, notices.tell);
  const addresses = nodes.map(({ address }) => address);
  const clusterFile = path.join(directory, "cluster.json");
  const known = readClusterFile(clusterFile) !== undefined;
  const server = await startServer({ ...flags, clusterFile, join: known ? addresses : [] }, notices.tell);
  const end = async (): Promise<void> => {
    await server.stop();
    await stopNodes(nodes);
  };
  process.once("SIGTERM", () => void end().then(() => process.exit(0)));
  process.once("SIGHUP", () => void end().then(() => process.exit(0)));
  try {
    await addMissing(server.address, nodes);
  } catch (error) {
    await end();
    throw error;
  }
  process.exitCode = await runShell({
    ...shellOptions({ ...flags, clusterFile }, [server.address]),
    info: [`Nodes: ${nodes.map(({ id, address }) => `${id} (${address})`).join(", ")}. Data in ${directory}.`],
    notices: notices.subscribe,
    onExit: end,
  });
}

/** What is printed above the prompt. */
class Notices {
  readonly #listeners = new Set<(line: string) => void>();

  readonly tell = (text: string): void => {
    for (const listener of this.#listeners) listener(text);
  };

  readonly subscribe = (listener: (line: string) => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };
}

async function serve(flags: Flags): Promise<void> {
  const log = (text: string): void => void process.stderr.write(`${text}\n`);
  const server = await startServer(flags, log);
  process.stdout.write(`runtime listening on ${server.address} http=off role=${server.role}\n`);
  const stop = (): void => {
    void server.stop().then(() => process.exit(0));
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

/** Starts on the port given, or on the next free one from the default. */
async function startServer(flags: Flags, tell: (text: string) => void): Promise<CoordinatorServer> {
  const first = flags.port === undefined ? DEFAULT_PORT : wholeNumber(flags.port, "--port", 65_535);
  for (let port = first; ; port++) {
    const server = new CoordinatorServer({
      host: flags.host,
      port,
      clusterFile: flags.clusterFile,
      join: flags.join,
      valueBytesMax: wholeNumber(flags.maxValue, "--max-value", VALUE_BYTES_MAX_CEILING),
      role: (role, detail) => tell(`role: ${role} (${detail})`),
      notice: tell,
    });
    try {
      await server.start();
      if (port !== first) process.stderr.write(`port ${first} is taken, using ${port}\n`);
      return server;
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!taken || flags.port !== undefined || port >= first + PORTS_TRIED) throw error;
    }
  }
}

function wholeNumber(text: string, name: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new KvError("BAD_REQUEST", `${name}: expected a whole number up to ${max}, not "${text}"`);
}

/** Where a shell without a coordinator of its own looks for one. */
function connectList(flags: Flags): readonly string[] {
  if (flags.connect !== undefined) return flags.connect.split(",");
  const known = readClusterFile(flags.clusterFile)?.addresses ?? [];
  return [`127.0.0.1:${DEFAULT_PORT}`, ...known];
}

function shellOptions(flags: Flags, addresses: readonly string[]): ShellOptions {
  const { stdin, stdout, stderr } = process;
  return {
    connect: (address) => firstSession(address === undefined ? addresses : [address]),
    input: stdin,
    output: stdout,
    errorOutput: stderr,
    isTerminal: stdin.isTTY && stdout.isTTY,
    color: stdout.isTTY && process.env["NO_COLOR"] === undefined,
    ...(flags.stopOnError === true && { stopOnError: true }),
    historyFile: path.join(path.dirname(flags.clusterFile), "history"),
  };
}

/** A session with the first address that answers. */
async function firstSession(addresses: readonly string[]): Promise<Awaited<ReturnType<typeof openSession>>> {
  let last: unknown = new KvError(
    "NO_LEADER",
    "no coordinator known: start one with ./runtime, or use --connect host:port",
  );
  for (const address of addresses) {
    try {
      return await openSession(address, { timeoutMs: SESSION_TIMEOUT_MS });
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
