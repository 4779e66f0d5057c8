// The package's entry: `import { connect } from "holdfast"`.
//
//   const kv = await connect(["127.0.0.1:7401", "127.0.0.1:7402"]);
//   const { version } = await kv.put("user:1", "Alice");
//   await kv.put("user:1", "Bob", { ifVersion: version });
//   (await kv.get("user:1"))?.text();
//   await kv.close();
import { KvError } from "../errors.ts";
import { monotonicMs } from "../io/system-clock.ts";
import { DEADLINE_MS_DEFAULT, VALUE_BYTES_MAX_DEFAULT } from "../limits.ts";
import { parseAddress } from "../io/address.ts";
import { KvClient } from "./client.ts";
import { LeaderFinder } from "./leader-finder.ts";
import type { ConnectOptions } from "./options.ts";
import { checkCredentials, checkOptions } from "./options.ts";

export { KvError } from "../errors.ts";
export type { ErrorCode, Outcome } from "../errors.ts";
export type { Level } from "../protocol/client-messages.ts";
export type { Deleted, KvClient, Written } from "./client.ts";
export type { Entry } from "./entry.ts";
export type { TlsMaterial } from "../io/sockets.ts";
export type { ConnectOptions, DeleteOptions, OperationOptions, PutOptions, ScanOptions } from "./options.ts";

/**
 * Connects to a cluster. Close the client when done: its connections keep the process alive.
 * @param addresses `host:port` of coordinators or storage nodes, or several joined by commas; one that answers is enough,
 *   the others are found through it.
 * @throws KvError NO_LEADER where no leader was found in time (the message says what each address answered),
 *   BAD_REQUEST for an address that is none, CANCELLED
 */
export async function connect(addresses: string | readonly string[], options: ConnectOptions = {}): Promise<KvClient> {
  const seeds = (typeof addresses === "string" ? addresses.split(",") : addresses).map((address) => address.trim());
  checkSeeds(seeds);
  checkOptions(options);
  checkCredentials(options);
  const finder = new LeaderFinder(seeds, Math.random, { token: options.token, tls: options.tls });
  const timeoutMs = options.timeoutMs ?? DEADLINE_MS_DEFAULT;
  const end = await finder.wait({ deadlineAtMs: monotonicMs() + timeoutMs, signal: options.signal });
  const valueBytesMax = finder.session?.hello.valueBytesMax ?? VALUE_BYTES_MAX_DEFAULT;
  if (end === "done") return new KvClient(finder, { ...options, random: Math.random, valueBytesMax });
  await finder.close();
  if (end === "aborted") throw new KvError("CANCELLED", "connecting was aborted by the caller");
  throw finder.noLeader(`none found within ${timeoutMs} ms`);
}

function checkSeeds(seeds: readonly string[]): void {
  if (seeds.length === 0)
    throw new KvError("BAD_REQUEST", "connect needs at least one address, such as 127.0.0.1:7401");
  for (const seed of seeds) {
    try {
      parseAddress(seed);
    } catch (error) {
      throw new KvError("BAD_REQUEST", error instanceof Error ? error.message : `${seed} is no address`);
    }
  }
}
