// Command line of `node_server`: untrusted text becomes a NodeConfig, or one line on standard error and exit status 1
// (commander's way). What a flag means for a node that was added already is said here; acting on it is main.ts's.
import { Command, InvalidArgumentError } from "commander";
import { isNodeId, type NodeId } from "../shared/ids.ts";
import { type Address, formatAddress, parseAddress } from "../shared/io/address.ts";
import { WEIGHT_MAX } from "../shared/limits.ts";

export interface NodeConfig {
  /** Interface to listen on. */
  readonly host: string;
  /** 0 to 65535; 0 is any free port, and only with a data directory given. */
  readonly port: number;
  /** Where others reach this node, when that is not where it listens (containers, NAT). */
  readonly advertise: Address | undefined;
  /** Made where missing. */
  readonly dataDirectory: string;
  /** Asked for by the operator; the id stored when the node was added wins over it. */
  readonly id: NodeId | undefined;
  /** Share of the data relative to other nodes. 1 to 100, default 1. */
  readonly weight: number;
}

const PORT_MAX = 65_535;

/** @param argv Arguments without the program's name. Ends the process on wrong ones, and after `--help`. */
export function parseConfig(argv: readonly string[]): NodeConfig {
  const command = buildCommand().parse(argv, { from: "user" });
  const port = Number(command.processedArgs[0]);
  const { host, advertise, dataDir, id, weight } = command.opts<Flags>();
  if (port === 0 && dataDir === undefined) {
    command.error("error: port 0 (any free port) needs --data-dir: the default directory is named after the port");
  }
  return { host, port, advertise, dataDirectory: dataDir ?? `data/node-${port}`, id, weight };
}

/** Where others reach a node that listens at `listening`. Every interface is no address: then it is this machine's. */
export function advertised(config: NodeConfig, listening: Address): string {
  if (config.advertise) return formatAddress(config.advertise);
  const host = ["0.0.0.0", "::"].includes(listening.host) ? "127.0.0.1" : listening.host;
  return formatAddress({ host, port: listening.port });
}

interface Flags {
  readonly host: string;
  readonly advertise?: Address;
  readonly dataDir?: string;
  readonly id?: NodeId;
  readonly weight: number;
}

function buildCommand(): Command {
  return new Command("node_server")
    .description("One storage node of a Holdfast cluster.")
    .argument("<port>", `port to listen on, 1 to ${PORT_MAX}; 0 for any free one, with --data-dir`, parsePort)
    .option("--host <address>", "interface to listen on", "127.0.0.1")
    .option("--advertise <host:port>", "where others reach this node, when that is another address", parseAdvertise)
    .option("--data-dir <directory>", "where the data lives (default: data/node-<port>)", parseDirectory)
    .option("--id <id>", "id to be added under (default: node-<port>); a stored one wins", parseId)
    .option("--weight <number>", `share of the data relative to others, 1 to ${WEIGHT_MAX}`, parseWeight, 1)
    .allowExcessArguments(false);
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
  if (text === "" || /[\0\n\r]/.test(text)) throw new InvalidArgumentError("Expected the path of a directory.");
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
