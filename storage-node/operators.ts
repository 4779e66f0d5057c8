// Operators: the HTTP server of a node with what it needs of the node: loaded by main.ts only where a port for it was given. Finds out
// where the leader serves HTTP by asking the leader, and remembers that for a moment.
import { openSession } from "../shared/client/session.ts";
import type { Address } from "../shared/io/address.ts";
import { HttpDoor } from "../shared/io/http-door.ts";
import type { Security } from "../shared/io/security.ts";
import { monotonicMs } from "../shared/io/system-clock.ts";
import { type NodeHttp, serveNodeHttp } from "./http.ts";
import { nodeMetricsText } from "./metrics.ts";
import type { NodeServer } from "./server.ts";

const HELLO_MS = 1_000;
const REMEMBERED_MS = 1_000;

export interface OperatorsOptions {
  readonly host: string;
  readonly port: number;
  readonly advertise: Address | undefined;
  readonly dataDirectory: string;
  readonly security: Security;
}

/** @throws the system's error where the port cannot be had */
export async function serveOperators(node: NodeServer, options: OperatorsOptions): Promise<NodeHttp> {
  const { host, port, advertise, dataDirectory, security } = options;
  return await serveNodeHttp({
    host,
    port,
    door: new HttpDoor({ keys: security.keys, names: advertise ? [host, advertise.host] : [host] }),
    tls: security.credentials.tls,
    status: () => node.status(),
    report: () => node.report(),
    stopping: () => node.stopping,
    metrics: () => nodeMetricsText({ dataDirectory, report: () => node.report(), counters: node.counters }),
    leaderHttp: leaderFinder(node, security),
  });
}

function leaderFinder(node: NodeServer, { credentials }: Security): () => Promise<string | undefined> {
  let known: { readonly leader: string; readonly http: string | undefined; readonly at: number } | undefined;
  return async () => {
    const { leader } = node;
    if (leader === undefined) return undefined;
    if (known?.leader === leader && monotonicMs() - known.at < REMEMBERED_MS) return known.http;
    try {
      const session = await openSession(leader, { timeoutMs: HELLO_MS, credentials });
      const { http } = session.hello;
      await session.close();
      known = { leader, http, at: monotonicMs() };
      return http;
    } catch {
      return undefined; // it does not answer: there may be another one soon
    }
  };
}
