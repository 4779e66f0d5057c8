// Connect: which coordinator a shell or a single command talks to. Any node or coordinator will do, since whoever does not lead names
// the leader. Without --connect the cluster files of this directory say where to look; one that names another cluster than its file is
// passed over, so that a command never lands in a cluster that happens to listen on the same port.
import path from "node:path";
import { openSession, type Session } from "../../shared/client/session.ts";
import { KvError } from "../../shared/errors.ts";
import { isNodeId } from "../../shared/ids.ts";
import type { Credentials } from "../../shared/io/credentials.ts";
import { lastLines } from "../../shared/io/rotated-file.ts";
import { readableLine } from "../../shared/io/log.ts";
import { readClusterFile } from "../files.ts";
import { DEFAULT_PORT, type Flags, UP_CLUSTER_FILE } from "../flags.ts";
import type { LogTail } from "../shell/command.ts";
import type { ShellOptions } from "../shell/io/shell.ts";

const SESSION_TIMEOUT_MS = 2_000;

interface Candidate {
  readonly address: string;
  /** Undefined: any cluster will do. */
  readonly cluster: string | undefined;
}

/** What every shell of this process has in common. @param addresses Where to connect; undefined: as the flags and files say. */
export function shellOptions(flags: Flags, addresses?: readonly string[]): ShellOptions {
  const { stdin, stdout, stderr } = process;
  const named = addresses ?? flags.connect;
  const home = path.dirname(flags.clusterFile);
  const { credentials } = flags.security;
  return {
    connect: (address) =>
      firstSession(address === undefined ? candidates(flags, named) : anyClusterAt([address]), credentials),
    input: stdin,
    output: stdout,
    errorOutput: stderr,
    isTerminal: stdin.isTTY && stdout.isTTY,
    color: stdout.isTTY && process.env["NO_COLOR"] === undefined,
    ...(flags.json && { json: true }),
    ...(flags.stopOnError && { stopOnError: true }),
    historyFile: path.join(home, "history"),
    logsOf: (id, lines) => Promise.resolve(logTail([home, path.dirname(UP_CLUSTER_FILE)], { id, lines })),
  };
}

/** Where a coordinator or a node of this directory logs. @param home Directory of its cluster file. */
export function logFileOf(home: string, id: string): string {
  return path.join(home, "logs", `${id}.log`);
}

function logTail(
  homes: readonly string[],
  { id, lines }: { readonly id: string | undefined; readonly lines: number },
): LogTail | undefined {
  if (id !== undefined && !isNodeId(id)) return undefined;
  for (const home of homes) {
    const file = logFileOf(home, id ?? "coordinator");
    const found = lastLines(file, lines);
    if (found !== undefined) return { path: file, lines: found.flatMap((line) => readableLine(line).split("\n")) };
  }
  return undefined;
}

function candidates(flags: Flags, named: readonly string[] | undefined): readonly Candidate[] {
  if (named !== undefined) return anyClusterAt(named);
  const files = flags.clusterFileGiven ? [flags.clusterFile] : [flags.clusterFile, UP_CLUSTER_FILE];
  const found = files.flatMap((file) => {
    const known = readClusterFile(file);
    const default_ = `127.0.0.1:${DEFAULT_PORT}`;
    return known ? [default_, ...known.addresses].map((address) => ({ address, cluster: known.cluster })) : [];
  });
  return found.length > 0 ? found : anyClusterAt([`127.0.0.1:${DEFAULT_PORT}`]);
}

function anyClusterAt(addresses: readonly string[]): readonly Candidate[] {
  return addresses.map((address) => ({ address, cluster: undefined }));
}

/** A session with the first candidate that knows a leader, otherwise with the first that answers. */
async function firstSession(wanted: readonly Candidate[], credentials: Credentials): Promise<Session> {
  let spare: Session | undefined;
  const reasons: KvError[] = [];
  for (const candidate of wanted) {
    try {
      const session = await sessionAt(candidate, credentials);
      if (session.hello.role === "leader" || session.hello.leader !== undefined) {
        await spare?.close();
        return session;
      }
      if (spare === undefined) spare = session;
      else await session.close();
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      reasons.push(error);
    }
  }
  if (spare !== undefined) return spare;
  const [only] = reasons;
  if (wanted.length === 1 && only !== undefined && only.code !== "NODE_UNREACHABLE") throw only;
  throw new KvError(
    "NODE_UNREACHABLE",
    `${nobody(reasons)}; start one with ./runtime or ./runtime up, or use --connect`,
  );
}

/** What was tried, each reason once. */
function nobody(reasons: readonly KvError[]): string {
  const silent = reasons.filter(({ message }) => message.endsWith("ECONNREFUSED"));
  const others = reasons.filter((reason) => !silent.includes(reason)).map(({ message }) => message);
  const where = silent.map(({ details }) => String(details["address"])).join(", ");
  return [...(where === "" ? [] : [`nobody listens at ${where}`]), ...new Set(others)].join("; ");
}

async function sessionAt({ address, cluster }: Candidate, credentials: Credentials): Promise<Session> {
  const session = await openSession(address, { timeoutMs: SESSION_TIMEOUT_MS, credentials });
  if (cluster === undefined || session.hello.cluster === cluster) return session;
  await session.close();
  throw new KvError("NODE_UNREACHABLE", `${address} belongs to another cluster`);
}
