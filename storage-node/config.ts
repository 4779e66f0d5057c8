// Command line of `node_server`: untrusted text becomes a NodeConfig, or one line on standard error and exit status 1
// (commander's way). What a flag means for a node that was added already is said here; acting on it is main.ts's.
import { Command, InvalidArgumentError, Option } from "commander";
import { isNodeId, type NodeId } from "../shared/ids.ts";
import { type Address, formatAddress, parseAddress } from "../shared/io/address.ts";
import { addSecurityOptions, type SecurityFlags } from "../shared/io/security.ts";
import { WEIGHT_MAX } from "../shared/limits.ts";

export interface NodeConfig {
  /** Interface to listen on. */
  readonly host: string;
  /** 0 to 65535; 0 is any free port, and only with a data directory given. */
  readonly port: number;
  /** Where others reach this node, when that is not where it listens (containers, NAT). */
  readonly advertise: Address | undefined;
  /** Port of the HTTP server for operators; undefined: none. */
  readonly http: number | undefined;
  /** Made where missing. */
  readonly dataDirectory: string;
  /** Asked for by the operator; the id stored when the node was added wins over it. */
  readonly id: NodeId | undefined;
  /** Share of the data relative to other nodes, 1 to 100; the cluster takes 1 where it is not given. */
  readonly weight: number | undefined;
  /** Nodes or coordinators to ask to be added, `host:port`. */
  readonly join: readonly string[];
  /** The data comes from a backup: begin blank, with a new incarnation. */
  readonly restored: boolean;
  /** Rotated file for the log; standard error where undefined. */
  readonly logFile: string | undefined;
  /** End when standard input ends: the process that started this one is gone, however it ended. */
  readonly withParent: boolean;
  /** Whom the node lets in, and what it shows to others. */
  readonly security: SecurityFlags;
}

const PORT_MAX = 65_535;

/** @param argv Arguments without the program's name. Ends the process on wrong ones, and after `--help`. */
export function parseConfig(argv: readonly string[]): NodeConfig {
  const command = buildCommand().parse(argv, { from: "user" });
  const port = Number(command.processedArgs[0]);
  const { dataDir, ...flags } = command.opts<Flags>();
  if (port === 0 && dataDir === undefined) {
    command.error("error: port 0 (any free port) needs --data-dir: the default directory is named after the port");
  }
  const { host, advertise, http, id, weight, join = [], logFile } = flags;
  const dataDirectory = dataDir ?? `data/node-${port}`;
  const restored = flags.restored === true;
  return {
    host,
    port,
    advertise,
    http,
    dataDirectory,
    id,
    weight,
    join,
    restored,
    logFile,
    withParent: flags.withParent === true,
    security: flags,
  };
}

interface Flags extends SecurityFlags {
  readonly host: string;
  readonly advertise?: Address;
  readonly http?: number;
  readonly dataDir?: string;
  readonly id?: NodeId;
  readonly weight?: number;
  readonly join?: readonly string[];
  readonly restored?: boolean;
  readonly logFile?: string;
  readonly withParent?: boolean;
}

function buildCommand(): Command {
  return addSecurityOptions(new Command("node_server"))
    .description("One storage node of a Holdfast cluster.")
    .argument("<port>", `port to listen on, 1 to ${PORT_MAX}; 0 for any free one, with --data-dir`, parsePort)
    .option("--host <address>", "interface to listen on", "127.0.0.1")
    .option("--advertise <host:port>", "where others reach this node, when that is another address", parseAdvertise)
    .option("--http <port>", "serve metrics, probes and status over HTTP there (default: not at all)", parsePort)
    .option("--data-dir <directory>", "where the data lives (default: data/node-<port>)", parseDirectory)
    .option("--id <id>", "id to be added under (default: node-<port>); a stored one wins", parseId)
    .option("--weight <number>", `share of the data relative to others, 1 to ${WEIGHT_MAX} (default: 1)`, parseWeight)
    .option("--join <host:port>", "ask this node or coordinator to add the node to its cluster (repeatable)", addJoin)
    .option("--restored", "the data comes from a backup: put it aside and begin blank, to be filled by the others")
    .option("--log-file <file>", "write the log there, in bounded files, instead of to standard error", parseDirectory)
    .addOption(new Option("--with-parent", "end when standard input ends").hideHelp())
    .addHelpText("after", HELP)
    .allowExcessArguments(false);
}

const HELP = `
Examples:
  ./node_server 5001
  ./node_server 5001 --join 127.0.0.1:7401
  ./node_server 5001 --host 0.0.0.0 --advertise db1.example:5001 --data-dir /var/lib/holdfast --token-file token \\
    --tls-ca ca.pem --tls-cert db1.pem --tls-key db1.key`;

function addJoin(text: string, all: readonly string[] = []): readonly string[] {
  return [...all, formatAddress(parseAdvertise(text))];
}

function parsePort(text: string): number {
  return integer(text, 0, PORT_MAX, "port");
}

function parseWeight(text: string): number {
  return integer(text, 1, WEIGHT_MAX, "weight");
}

function parseAdvertise(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function parseDirectory(text: string): string {
  if (text === "" || /[\0\n\r]/.test(text)) throw new InvalidArgumentError("Expected a path.");
  return text;
}

function parseId(text: string): NodeId {
  if (isNodeId(text)) return text;
  throw new InvalidArgumentError("Expected 1–64 letters, digits, '.', '_' or '-', beginning with a letter or digit.");
}

function integer(text: string, min: number, max: number, what: string): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new InvalidArgumentError(`Expected a ${what} from ${min} to ${max}.`);
}
