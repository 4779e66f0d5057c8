// Security: from flags and files to what opens and guards the ports of a process. Both programs have the same flags. Read once, at the start:
// a process that cannot be what it was asked to be does not start. A token comes from a file or the environment, never from the command
// line, where every user of the machine could read it.
import { readFileSync } from "node:fs";
import { BlockList, isIPv6 } from "node:net";
import { createSecureContext } from "node:tls";
import type { Command } from "commander";
import type { Port } from "../access.ts";
import type { Credentials } from "./credentials.ts";
import { type Door, tokenDoor } from "./door.ts";
import type { TlsMaterial } from "./sockets.ts";
import { KeyRing, parseTokens } from "./tokens.ts";

export interface SecurityFlags {
  /** Of admins: the first is presented, all are accepted. Wins over HOLDFAST_TOKEN. */
  readonly tokenFile?: string;
  /** Of those who may only look. */
  readonly readTokenFile?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
  /** Listen beyond this machine without a token or without TLS. */
  readonly insecure?: boolean;
}

export interface Security {
  /** Shown to whoever is dialled. */
  readonly credentials: Credentials;
  /** Tokens that are accepted; undefined: none is asked for. */
  readonly keys: KeyRing | undefined;
  readonly insecure: boolean;
}

/** Of a process that asks for nothing and shows nothing. */
export const OPEN: Security = { credentials: {}, keys: undefined, insecure: false };

export function addSecurityOptions(command: Command): Command {
  return command
    .option(
      "--token-file <file>",
      "token shown to and asked from everybody (or HOLDFAST_TOKEN); more lines: also taken",
    )
    .option("--read-token-file <file>", "tokens that may only read")
    .option("--tls-ca <file>", "TLS on every port: the authority of the cluster, PEM")
    .option("--tls-cert <file>", "certificate of this process, PEM")
    .option("--tls-key <file>", "its key, PEM")
    .option("--insecure", "listen beyond this machine without token and TLS");
}

/** The flags as they were given, for a process of ours that is to have the same. */
export function securityArguments(flags: SecurityFlags): string[] {
  const { tokenFile, readTokenFile, tlsCa, tlsCert, tlsKey } = flags;
  const named = {
    "--token-file": tokenFile,
    "--read-token-file": readTokenFile,
    "--tls-ca": tlsCa,
    "--tls-cert": tlsCert,
    "--tls-key": tlsKey,
  };
  const given = Object.entries(named).flatMap(([name, file]) => (file === undefined ? [] : [name, file]));
  return flags.insecure === true ? [...given, "--insecure"] : given;
}

/** @throws Error that says what to do; it never shows what a file holds */
export function loadSecurity(flags: SecurityFlags, environment: NodeJS.ProcessEnv): Security {
  const admin = adminTokens(flags, environment["HOLDFAST_TOKEN"]);
  const read = flags.readTokenFile === undefined ? [] : tokensOf(flags.readTokenFile);
  if (admin.length === 0 && read.length > 0)
    throw new Error("--read-token-file has no effect without --token-file: whoever has no token may do everything");
  return {
    credentials: { token: admin[0], tls: tlsMaterial(flags) },
    keys: admin.length === 0 ? undefined : new KeyRing({ admin, read }),
    insecure: flags.insecure === true,
  };
}

/** The door of a port. @param refused Told of each connection that is turned away. */
export function doorOf(
  { keys }: Security,
  port: Port,
  refused?: (peer: string, why: string) => void,
): Door | undefined {
  return keys && tokenDoor({ port, keys, refused });
}

/**
 * Whether a process may listen there: beyond this machine only with a token and TLS, or when told that it is meant so.
 * @throws Error that says what to do
 */
export function checkBind(host: string, { keys, credentials, insecure }: Security): void {
  if (insecure || isLoopback(host) || (keys !== undefined && credentials.tls !== undefined)) return;
  const missing = [
    ...(keys === undefined ? ["a token (--token-file)"] : []),
    ...(credentials.tls === undefined ? ["TLS (--tls-ca, --tls-cert, --tls-key)"] : []),
  ];
  const text = `listening on ${host} lets other machines in: it needs ${missing.join(" and ")}`;
  throw new Error(`${text}, or --insecure where the network itself keeps strangers out`);
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** A name counts by what it says: only `localhost` is this machine everywhere. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || LOOPBACK.check(host, isIPv6(host) ? "ipv6" : "ipv4");
}

function adminTokens({ tokenFile }: SecurityFlags, inEnvironment: string | undefined): string[] {
  if (tokenFile !== undefined) return tokensOf(tokenFile);
  return inEnvironment === undefined || inEnvironment === "" ? [] : parseTokens(inEnvironment, "HOLDFAST_TOKEN");
}

function tokensOf(file: string): string[] {
  return parseTokens(contentOf(file, "token file"), file);
}

function tlsMaterial({ tlsCa, tlsCert, tlsKey }: SecurityFlags): TlsMaterial | undefined {
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCa === undefined || tlsCert === undefined || tlsKey === undefined)
    throw new Error("--tls-ca, --tls-cert and --tls-key belong together: give all three");
  const material = {
    ca: contentOf(tlsCa, "authority"),
    cert: contentOf(tlsCert, "certificate"),
    key: contentOf(tlsKey, "key"),
  };
  try {
    createSecureContext(material);
  } catch (error) {
    const why = (error as Error).message;
    throw new Error(`${tlsCa}, ${tlsCert} and ${tlsKey} make no TLS: ${why}; expected PEM, the key of the certificate`);
  }
  return material;
}

function contentOf(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`cannot read the ${what} ${file}: ${(error as NodeJS.ErrnoException).code ?? "unknown"}`);
  }
}
