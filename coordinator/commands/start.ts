// Start: a coordinator in this process. Looks at its files before it listens, takes the port it was given or the next free one from the
// default, logs everything and tells only changes of leader and nodes. Where it is told to join a cluster that it has no file of, it
// asks the addresses which cluster that is.
import { createRequire } from "node:module";
import type { Logger } from "pino";
import { openSession } from "../../shared/client/session.ts";
import { KvError } from "../../shared/errors.ts";
import { checkBind } from "../../shared/io/security.ts";
import { checkWritable, readClusterFile, writeDurably } from "../files.ts";
import { DEFAULT_HTTP_PORT, DEFAULT_PORT, type Flags } from "../flags.ts";
import type { Answered } from "../http/backend.ts";
import { EventLog } from "../http/events.ts";
import type { HttpServer } from "../http/http-server.ts";
import type { RoleNews } from "../leader.ts";
import { roleLines, type StartCommand } from "../news.ts";
import { CoordinatorServer } from "../server.ts";

const PORTS_TRIED = 100;
const DECISION_BEFORE_HTTP_MS = 1_000;
const JOIN_TIMEOUT_MS = 2_000;

export interface StartOptions {
  readonly flags: Pick<
    Flags,
    | "port"
    | "http"
    | "host"
    | "advertise"
    | "security"
    | "clusterFile"
    | "join"
    | "etcd"
    | "valueBytesMax"
    | "replaceAfterMs"
    | "readCacheBytes"
  >;
  readonly log: Logger;
  /** Changes of leader and nodes, after the first decision. */
  readonly tell: (line: string) => void;
  readonly startCommand?: StartCommand;
}

export interface Started {
  readonly server: CoordinatorServer;
  /** Where REST is served; undefined where it is not. */
  readonly http: HttpServer | undefined;
  /** Answers what is open, then closes everything. */
  readonly stop: () => Promise<void>;
  /** Role and what to do about it, as of now; empty before the first decision. */
  readonly lines: () => readonly string[];
}

/** @throws KvError or Error with a message that says what to do */
export async function startCoordinator(options: StartOptions): Promise<Started> {
  const { flags, log, tell } = options;
  checkBind(flags.host, flags.security);
  checkWritable(flags.clusterFile);
  await learnCluster(flags);
  let lines: readonly string[] = [];
  const events = new EventLog();
  const server = await listening(options, events, (news, address) => {
    events.role(news, address);
    const { role, epoch, leader, missing } = news;
    log.info({ role, epoch, ...(leader && { leader }), ...(missing.length > 0 && { missing }) }, "role");
    const before = lines;
    lines = roleLines(news, address, options.startCommand);
    if (before.length > 0) for (const line of lines) tell(line);
  });
  log.info({ address: server.listening, advertise: server.address, clusterFile: flags.clusterFile }, "listening");
  // Loading REST keeps this process busy for a while: winning an epoch comes first.
  await decidedSoon(server, DECISION_BEFORE_HTTP_MS);
  const http = await servingHttp(options, server, events);
  const stop = async (): Promise<void> => {
    await http?.close();
    await server.stop();
  };
  return { server, http, stop, lines: () => lines };
}

/** Loads what serves REST while something else is waited for; it is the largest part of what is loaded. */
export function preloadHttp({ http }: Pick<Flags, "http">): void {
  if (http !== false) import("../http/http-server.ts").catch(() => {}); // whoever needs it says what was wrong
}

/** Where a person finds REST. */
export function restLine({ http }: Started): string[] {
  return http === undefined ? [] : [`REST at ${http.url}, explained at ${http.url}/docs`];
}

/** What a coordinator that listens says of itself. */
export function listeningLine({ server, http }: Started): string {
  return `runtime listening on ${server.listening} http=${http?.port ?? "off"} role=${server.role}`;
}

/** REST, on the port given or on the next free one from the default. Its library is loaded here and nowhere else. */
async function servingHttp(
  { flags, log }: StartOptions,
  server: CoordinatorServer,
  events: EventLog,
): Promise<HttpServer | undefined> {
  if (flags.http === false) return undefined;
  const { startHttp } = await import("../http/http-server.ts");
  const first = flags.http ?? DEFAULT_HTTP_PORT;
  const options = {
    host: flags.host,
    advertise: flags.advertise,
    security: flags.security,
    valueBytesMax: flags.valueBytesMax,
    version: ownVersion(),
    open: (answered: (message: Answered) => void) => server.local(answered),
    insight: {
      series: () => server.series(),
      gauges: () => server.gauges(),
      events,
      credentials: flags.security.credentials,
    },
    report: (text: string, error: unknown) => log.error(error, text),
  };
  try {
    const http = await firstFree(first, flags.http !== undefined, (port) => startHttp({ ...options, port }));
    server.httpAddress = http.address;
    log.info({ address: http.address }, "REST");
    return http;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Of this package, which its own name finds from dist/ as from the sources. */
function ownVersion(): string {
  return (createRequire(import.meta.url)("holdfast/package.json") as { readonly version: string }).version;
}

/** Tries a port, and where it is taken and was not asked for, the ones after it. */
async function firstFree<T>(first: number, given: boolean, listen: (port: number) => Promise<T>): Promise<T> {
  for (let port = first; ; port++) {
    try {
      const found = await listen(port);
      if (port !== first) process.stderr.write(`Port ${first} is taken: using ${port}.\n`);
      return found;
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!taken || given || port >= first + PORTS_TRIED) throw error;
    }
  }
}

/** On the port given, or on the next free one from the default. */
async function listening(
  { flags, log, tell }: StartOptions,
  events: EventLog,
  role: (news: RoleNews, address: string) => void,
): Promise<CoordinatorServer> {
  return await firstFree(flags.port ?? DEFAULT_PORT, flags.port !== undefined, async (port) => {
    const server: CoordinatorServer = new CoordinatorServer({
      ...flags,
      port,
      role: (news) => role(news, server.address),
      notice: (about, text) => {
        log.info({ about }, text);
        events.notice(about, text);
        if (about === "node") tell(text);
      },
      refused: (text) => log.warn(text),
      failed: (error) => {
        log.fatal(error, "the coordinator cannot go on");
        process.stderr.write(`runtime: ${error.message}\n`);
        process.exit(1);
      },
    });
    await server.start();
    return server;
  });
}

/** `--join` without a cluster file: the file is made from what the first address that answers says. */
async function learnCluster({ clusterFile, join, security }: StartOptions["flags"]): Promise<void> {
  if (readClusterFile(clusterFile) !== undefined || join.length === 0) return;
  const reasons: string[] = [];
  for (const address of join) {
    try {
      const session = await openSession(address, { timeoutMs: JOIN_TIMEOUT_MS, credentials: security.credentials });
      const { cluster } = session.hello;
      await session.close();
      if (cluster !== null) return writeDurably(clusterFile, { format: 1, cluster, addresses: join }, { create: true });
      reasons.push(`${address} is in no cluster yet`);
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  throw new KvError("NO_CLUSTER", `--join found no cluster: ${reasons.join("; ")}`);
}

/** Settles when the role is decided, or when waiting longer would only keep a person waiting. */
export async function decidedSoon(server: CoordinatorServer, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)));
  await Promise.race([server.decided, late]);
  clearTimeout(timer);
}
