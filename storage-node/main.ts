// Program of one storage node: flags, log, server, signals. Standard output gets exactly one line, when the node is ready:
//   node_server listening on <host>:<port> id=<id> data=<directory>
// The log goes to standard error, as JSON lines. What stops a start (port taken, directory in use, newer format,
// damage) is one plain line there, and status 1. SIGTERM and SIGINT drain and end with 0; a second one ends at once,
// which loses nothing that was acknowledged. A failed engine ends the process with 1 (N10).
import { type Logger, pino } from "pino";
import { AssertionError } from "../shared/assert.ts";
import { formatAddress } from "../shared/io/address.ts";
import { advertised, type NodeConfig, parseConfig } from "./config.ts";
import { NodeServer } from "./server.ts";

/** @param argv Arguments without the program's name. Resolves when the node is ready; the process then goes on. */
export async function main(argv: string[]): Promise<void> {
  const config = parseConfig(argv);
  // Synchronous: the last words before an exit must not be lost.
  const log = pino({ name: "node_server" }, pino.destination({ dest: 2, sync: true }));
  const server = await start(config, log);
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, stopper(server, log, signal));
  announce(server, config, log);
}

async function start(config: NodeConfig, log: Logger): Promise<NodeServer> {
  try {
    return await NodeServer.start({
      host: config.host,
      port: config.port,
      dataDirectory: config.dataDirectory,
      log: (message) => log.warn(message),
      failed: (error) => {
        log.fatal(error, "the engine failed: the node stops, and nothing acknowledged is lost");
        process.exit(1);
      },
    });
  } catch (error) {
    // Every expected reason is an Error whose message says what to do; an assertion of ours deserves its stack.
    const reason = error instanceof Error ? error : new Error(String(error));
    const text = reason instanceof AssertionError ? (reason.stack ?? reason.message) : reason.message;
    process.stderr.write(`node_server: ${text}\n`);
    return process.exit(1);
  }
}

function announce(server: NodeServer, config: NodeConfig, log: Logger): void {
  const { address } = server;
  const id = server.id ?? config.id ?? `node-${address.port}`;
  if (config.id !== undefined && config.id !== id) {
    log.warn(`--id ${config.id} has no effect: the data in ${config.dataDirectory} belongs to ${id}`);
  }
  const { incarnation } = server;
  log.info({ id, incarnation, advertise: advertised(config, address), weight: config.weight }, "ready");
  process.stdout.write(`node_server listening on ${formatAddress(address)} id=${id} data=${config.dataDirectory}\n`);
}

/** The handler of a signal; all of them share what `stopping` says. */
function stopper(server: NodeServer, log: Logger, signal: NodeJS.Signals): () => void {
  return () => {
    if (stopping) {
      log.warn(`${signal} again: the node stops without draining`);
      process.exit(1);
    }
    stopping = true;
    log.info(`${signal}: draining`);
    server.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.fatal(error, "the node could not stop cleanly");
        process.exit(1);
      },
    );
  };
}

/** Of this process: whether a signal was taken. */
let stopping = false;
