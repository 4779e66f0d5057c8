// Start: a coordinator in this process. Looks at its files before it listens, takes the port it was given or the next free one from the
// default, logs everything and tells only changes of leader and nodes. Where it is told to join a cluster that it has no file of, it
// asks the addresses which cluster that is.
import type { Logger } from "pino";
import { openSession } from "../../shared/client/session.ts";
import { KvError } from "../../shared/errors.ts";
import { checkWritable, readClusterFile, readVoterFile, writeDurably } from "../files.ts";
import { DEFAULT_PORT, type Flags } from "../flags.ts";
import type { RoleNews } from "../leader.ts";
import { roleLines, type StartCommand } from "../news.ts";
import { CoordinatorServer } from "../server.ts";

const PORTS_TRIED = 100;
const JOIN_TIMEOUT_MS = 2_000;

export interface StartOptions {
  readonly flags: Pick<Flags, "port" | "host" | "clusterFile" | "join" | "valueBytesMax">;
  readonly log: Logger;
  /** Changes of leader and nodes, after the first decision. */
  readonly tell: (line: string) => void;
  readonly startCommand?: StartCommand;
}

export interface Started {
  readonly server: CoordinatorServer;
  /** Role and what to do about it, as of now; empty before the first decision. */
  readonly lines: () => readonly string[];
}

/** @throws KvError or Error with a message that says what to do */
export async function startCoordinator(options: StartOptions): Promise<Started> {
  const { flags, log, tell } = options;
  checkWritable(flags.clusterFile);
  readVoterFile(flags.clusterFile);
  await learnCluster(flags);
  let lines: readonly string[] = [];
  const server = await listening(options, (news, address) => {
    const { role, epoch, leader, missing } = news;
    log.info({ role, epoch, ...(leader && { leader }), ...(missing.length > 0 && { missing }) }, "role");
    const before = lines;
    lines = roleLines(news, address, options.startCommand);
    if (before.length > 0) for (const line of lines) tell(line);
  });
  log.info({ address: server.address, clusterFile: flags.clusterFile }, "listening");
  return { server, lines: () => lines };
}

/** On the port given, or on the next free one from the default. */
async function listening(
  { flags, log, tell }: StartOptions,
  role: (news: RoleNews, address: string) => void,
): Promise<CoordinatorServer> {
  const first = flags.port ?? DEFAULT_PORT;
  for (let port = first; ; port++) {
    const server: CoordinatorServer = new CoordinatorServer({
      ...flags,
      port,
      role: (news) => role(news, server.address),
      notice: (about, text) => {
        log.info({ about }, text);
        if (about === "node") tell(text);
      },
      failed: (error) => {
        log.fatal(error, "the coordinator cannot go on");
        process.stderr.write(`runtime: ${error.message}\n`);
        process.exit(1);
      },
    });
    try {
      await server.start();
      if (port !== first) process.stderr.write(`Port ${first} is taken: using ${port}.\n`);
      return server;
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (!taken || flags.port !== undefined || port >= first + PORTS_TRIED) throw error;
    }
  }
}

/** `--join` without a cluster file: the file is made from what the first address that answers says. */
async function learnCluster({ clusterFile, join }: StartOptions["flags"]): Promise<void> {
  if (readClusterFile(clusterFile) !== undefined || join.length === 0) return;
  const reasons: string[] = [];
  for (const address of join) {
    try {
      const session = await openSession(address, { timeoutMs: JOIN_TIMEOUT_MS });
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
