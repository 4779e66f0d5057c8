// Command line of `runtime`: untrusted text becomes Flags, or one line on standard error and exit status 2. The first word says what to
// do (up, down, serve, demo, shell, nothing: a coordinator with a shell); any other word begins a shell command, to be run once.
import path from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { parseEtcdLocation, type EtcdLocation } from "./etcd/place.ts";
import { type Address, formatAddress, parseAddress } from "../shared/io/address.ts";
import {
  addSecurityOptions,
  loadSecurity,
  type Security,
  securityArguments,
  type SecurityFlags,
} from "../shared/io/security.ts";
import {
  NODES_MAX,
  READ_CACHE_BYTES,
  REPLACE_AFTER_MS,
  VALUE_BYTES_MAX_CEILING,
  VALUE_BYTES_MAX_DEFAULT,
} from "../shared/limits.ts";

export const DEFAULT_PORT = 7401;
export const DEFAULT_HTTP_PORT = 8001;
const DEFAULT_CLUSTER_FILE = path.join("data", "cluster.json");
/** Where `runtime up` keeps everything. */
export const UP_DIRECTORY = path.join("data", "up");
export const UP_CLUSTER_FILE = path.join(UP_DIRECTORY, "cluster.json");

const MEBIBYTE = 1024 * 1024;
/** The heap of a process ends somewhere above. */
const READ_CACHE_MEBIBYTES_MAX = 1_024;
/** A year. */
const REPLACE_AFTER_SECONDS_MAX = 366 * 86_400;

export interface Flags {
  /** Given, or undefined: the default one, or the next that is free. */
  readonly port: number | undefined;
  /** For REST: given, undefined as for `port`, or false: none. */
  readonly http: number | false | undefined;
  readonly host: string;
  /** Where others reach this coordinator, when that is not where it listens. */
  readonly advertise: Address | undefined;
  /** Whom this process lets in, and what it shows to others. */
  readonly security: Security;
  /** The flags that say so, for processes that it starts. */
  readonly securityArguments: readonly string[];
  readonly clusterFile: string;
  /** Whether the cluster file was named: then no other one is looked at. */
  readonly clusterFileGiven: boolean;
  readonly join: readonly string[];
  /** Where epoch and state are kept, if not by nodes that vote. */
  readonly etcd: EtcdLocation | undefined;
  readonly valueBytesMax: number;
  /** A node that is down for so long gives its slots to others; 0: never. */
  readonly replaceAfterMs: number;
  /** What the leader's cache of values takes at most; 0: it keeps none. */
  readonly readCacheBytes: number;
  /** `host:port` of coordinators or nodes to talk to. */
  readonly connect: readonly string[] | undefined;
  /** `up`: how many storage nodes. */
  readonly nodes: number | undefined;
  readonly detach: boolean;
  readonly json: boolean;
  readonly stopOnError: boolean;
}

export interface Invocation {
  readonly flags: Flags;
  /** What is not a flag of `runtime`: its command, or a shell command with its own options. */
  readonly words: readonly string[];
}

/** @param argv Arguments without the program's name. Ends the process on wrong ones, and after `--help`. */
export function parseInvocation(argv: readonly string[]): Invocation {
  const program = buildProgram().parse([...argv], { from: "user" });
  const given = program.opts<Given>();
  const flags = {
    port: given.port,
    http: given.http,
    host: given.host,
    advertise: given.advertise,
    security: securityOf(program, given),
    securityArguments: securityArguments(given),
    clusterFile: given.clusterFile ?? DEFAULT_CLUSTER_FILE,
    clusterFileGiven: given.clusterFile !== undefined,
    join: given.join ?? [],
    etcd: given.state,
    valueBytesMax: given.maxValue,
    replaceAfterMs: given.replaceAfter * 1_000,
    readCacheBytes: given.readCache * MEBIBYTE,
    connect: given.connect,
    nodes: given.nodes,
    detach: given.detach === true,
    json: given.json === true,
    stopOnError: given.stopOnError === true,
  };
  return { flags, words: program.args };
}

function securityOf(program: Command, given: SecurityFlags): Security {
  try {
    return loadSecurity(given, process.env);
  } catch (error) {
    return program.error(`runtime: ${(error as Error).message}`);
  }
}

interface Given extends SecurityFlags {
  readonly advertise?: Address;
  readonly port?: number;
  readonly http?: number | false;
  readonly host: string;
  readonly clusterFile?: string;
  readonly join?: readonly string[];
  readonly state?: EtcdLocation;
  readonly maxValue: number;
  readonly replaceAfter: number;
  readonly readCache: number;
  readonly connect?: readonly string[];
  readonly nodes?: number;
  readonly detach?: boolean;
  readonly json?: boolean;
  readonly stopOnError?: boolean;
}

const HELP = `
Commands:
  (none)           a coordinator with a shell, here
  up               a whole cluster: storage nodes, a coordinator and a shell; data in ${UP_DIRECTORY}.
                   Once more while it runs: another shell on it. Without a terminal it runs the lines of
                   standard input, if any come, and then serves until SIGTERM (the line \`exit\` ends it).
  up --detach      the same in the background
  down             stops what \`up\` started in this directory
  serve            a coordinator without a shell, for a service manager
  demo             half a minute that shows it all, on a throw-away cluster: a node killed, the leader killed,
                   nothing lost
  recover --unsafe when a majority of the voters is gone for good: says what that may lose, and asks twice
  shell            a shell on a coordinator that runs already (--connect)
  <shell command>  run once: get apple, put apple 123, status, … (\`help\` lists them)

Exit status: 0 done, 1 key not found or condition not met, 2 usage, 3 unavailable, 4 outcome unknown.

Examples:
  ./runtime up
  ./runtime
  ./runtime serve --port 7401
  ./runtime serve --host 0.0.0.0 --advertise db1.example:7401 --token-file token \\
    --tls-ca ca.pem --tls-cert db1.pem --tls-key db1.key
  ./runtime shell --connect 127.0.0.1:7401
  ./runtime get apple`;

function buildProgram(): Command {
  return addSecurityOptions(new Command("runtime"))
    .description("A holdfast coordinator with a shell, a whole cluster, or one command.")
    .argument("[command...]", "see below; without one: a coordinator with a shell")
    .option("--port <port>", `port for clients (default: ${DEFAULT_PORT}, or the next free one)`, portOf)
    .option("--http <port>", `port for REST (default: ${DEFAULT_HTTP_PORT}, or the next free one)`, portOf)
    .option("--no-http", "serve no REST")
    .option("--host <host>", "interface to listen on", "127.0.0.1")
    .option("--advertise <host:port>", "where others reach this coordinator, when that is another address", addressOf)
    .option("--cluster-file <file>", `where the cluster is remembered (default: ${DEFAULT_CLUSTER_FILE})`)
    .option("--join <host:port>", "look for the cluster at this node or coordinator (repeatable)", addAddress)
    .option("--state <etcd://host:port,…>", "keep who leads, and the cluster's state, in this etcd", etcdOf)
    .option("--max-value <bytes>", "largest value taken", valueBytesOf, VALUE_BYTES_MAX_DEFAULT)
    .option(
      "--replace-after <seconds>",
      "a node down for so long gives its slots to others; 0: never",
      secondsOf,
      REPLACE_AFTER_MS / 1_000,
    )
    .option(
      "--read-cache <mebibytes>",
      "memory for values read lately, of which replicas are asked only whether they have another leader; 0: none",
      mebibytesOf,
      READ_CACHE_BYTES / MEBIBYTE,
    )
    .option("--connect <host:port,…>", "coordinators or nodes to talk to", addressesOf)
    .option("--nodes <count>", "up: storage nodes to start (default: those there are, or 3)", nodesOf)
    .option("--detach", "up: leave it running in the background")
    .option("--json", "answers as JSON documents")
    .option("--stop-on-error", "scripts: stop at the first failure")
    .allowUnknownOption()
    .addHelpText("after", HELP)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
}

function portOf(text: string): number {
  return integer(text, 1, 65_535);
}

function nodesOf(text: string): number {
  return integer(text, 1, NODES_MAX);
}

function secondsOf(text: string): number {
  return integer(text, 0, REPLACE_AFTER_SECONDS_MAX);
}

function mebibytesOf(text: string): number {
  return integer(text, 0, READ_CACHE_MEBIBYTES_MAX);
}

function valueBytesOf(text: string): number {
  return integer(text, 1, VALUE_BYTES_MAX_CEILING);
}

function integer(text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
}

function addAddress(text: string, all: readonly string[] = []): readonly string[] {
  return [...all, ...addressesOf(text)];
}

function addressOf(text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function addressesOf(text: string): readonly string[] {
  return text.split(",").map((item) => formatAddress(addressOf(item)));
}

function etcdOf(text: string): EtcdLocation {
  try {
    return parseEtcdLocation(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
