// Program of one storage node: flags, log, server, signals. Standard output gets exactly one line, when the node is ready:
//   node_server listening on <host>:<port> id=<id> data=<directory>
// The log goes to standard error, as JSON lines where that is no terminal, or to a file. What stops a start (port taken,
// directory in use, newer format, damage) is one plain line there, and status 1. SIGTERM and SIGINT drain and end with 0; a second
// one ends at once, which loses nothing that was acknowledged. A failed engine ends the process with 1 (N10).
//
// `--with-parent` (how `runtime up` starts nodes): the end of standard input is a SIGTERM. The kernel closes that pipe whatever way the
// parent ends, so no node outlives a parent that was killed.
import type { Logger } from "pino";
import { AssertionError } from "../shared/assert.ts";
import type { NodeId } from "../shared/ids.ts";
import { formatAddress, reachableAt } from "../shared/io/address.ts";
import { openLog } from "../shared/io/log.ts";
import { checkBind, loadSecurity, type Security } from "../shared/io/security.ts";
import { type NodeConfig, parseConfig } from "./config.ts";
import { joinCluster } from "./join.ts";
import { putAsideRestored } from "./restored.ts";
import { NodeServer } from "./server.ts";

/** @param argv Arguments without the program's name. Resolves when the node is ready; the process then goes on. */
export async function main(argv: string[]): Promise<void> {
  const config = parseConfig(argv);
  const log = openLog({ name: "node_server", file: config.logFile });
  const ending = new AbortController();
  const security = await orRefuse(async () => securityOf(config));
  const id = await orRefuse(() => idAfterRestore(config, log));
  const server = await orRefuse(() => start(config, security, log));
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => stop(server, { log, ending, why: signal }));
  if (config.withParent) {
    // A parent that said SIGTERM may well be gone before this node is: that is no second request.
    const gone = (): void => void (ending.signal.aborted || stop(server, { log, ending, why: "the parent is gone" }));
    process.stdin.on("end", gone).on("error", gone).resume();
  }
  await orRefuse(() => serveHttp(server, { config, security, log }));
  const node = server.id ?? id ?? (`node-${server.address.port}` as NodeId);
  announce(server, { config, node, log });
  if (config.join.length === 0) return;
  const { join: addresses, weight } = config;
  void joinCluster({
    addresses,
    node,
    address: reachableAt(server.address, config.advertise),
    weight,
    credentials: security.credentials,
    log,
    signal: ending.signal,
  });
}

/** The id to be added under: as given, otherwise that of the data put aside by `--restored`. */
async function idAfterRestore(config: NodeConfig, log: Logger): Promise<NodeId | undefined> {
  if (!config.restored) return config.id;
  const { id, aside } = await putAsideRestored(config.dataDirectory);
  if (aside === undefined) log.warn(`--restored has no effect: ${config.dataDirectory} holds no data`);
  else log.warn({ id, aside }, "the restored data was put aside: this node begins blank, with a new incarnation");
  return config.id ?? id;
}

function securityOf(config: NodeConfig): Security {
  const security = loadSecurity(config.security, process.env);
  checkBind(config.host, security);
  return security;
}

async function start(config: NodeConfig, security: Security, log: Logger): Promise<NodeServer> {
  return await NodeServer.start({
    host: config.host,
    port: config.port,
    dataDirectory: config.dataDirectory,
    security,
    log: (message) => log.warn(message),
    failed: (error) => {
      log.fatal(error, "the engine failed: the node stops, and nothing acknowledged is lost");
      process.exit(1);
    },
  });
}

/** Where a port for it was given; its code is loaded only then. */
async function serveHttp(
  server: NodeServer,
  { config, security, log }: { readonly config: NodeConfig; readonly security: Security; readonly log: Logger },
): Promise<void> {
  const { host, http: port, advertise, dataDirectory } = config;
  if (port === undefined) return;
  const { serveOperators } = await import("./operators.ts");
  const http = await serveOperators(server, { host, port, advertise, dataDirectory, security });
  log.info({ address: http.address }, "HTTP for operators");
}

/** Every expected reason is an Error whose message says what to do; an assertion of ours deserves its stack. */
async function orRefuse<Result>(action: () => Promise<Result>): Promise<Result> {
  try {
    return await action();
  } catch (error) {
    const reason = error instanceof Error ? error : new Error(String(error));
    const text = reason instanceof AssertionError ? (reason.stack ?? reason.message) : reason.message;
    // What is wrong with a port is said by `listen`; any other word of the system is about the directory.
    const advice = "syscall" in reason ? "; make the data directory writable, or choose another with --data-dir" : "";
    process.stderr.write(`node_server: ${text}${advice}\n`);
    return process.exit(1);
  }
}

interface Announcement {
  readonly config: NodeConfig;
  readonly node: NodeId;
  readonly log: Logger;
}

function announce(server: NodeServer, { config, node, log }: Announcement): void {
  const { address, incarnation } = server;
  if (config.id !== undefined && config.id !== node) {
    log.warn(`--id ${config.id} has no effect: the data in ${config.dataDirectory} belongs to ${node}`);
  }
  const { dataDirectory: data } = config;
  log.info(
    {
      id: node,
      incarnation,
      listening: formatAddress(address),
      advertise: reachableAt(address, config.advertise),
      data,
    },
    "ready",
  );
  process.stdout.write(`node_server listening on ${formatAddress(address)} id=${node} data=${data}\n`);
}

interface Ending {
  readonly log: Logger;
  readonly ending: AbortController;
  readonly why: string;
}

/** Drains and ends; called again, ends at once. */
function stop(server: NodeServer, { log, ending, why }: Ending): void {
  if (ending.signal.aborted) {
    log.warn(`${why} again: the node stops without draining`);
    process.exit(1);
  }
  ending.abort();
  log.info(`${why}: draining`);
  server.stop().then(
    () => {
      log.info("stopped");
      process.exit(0);
    },
    (error: unknown) => {
      log.fatal(error, "the node could not stop cleanly");
      process.exit(1);
    },
  );
}
