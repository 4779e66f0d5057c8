// Join: a node asks a cluster to add it (`--join`). Any node or coordinator of the cluster will do: one that does not lead says who
// does. Nobody answering, no leader, an answer lost on the way: asked again, ever more slowly, until the node stops. A refusal that
// would be the same the next time (id taken, another cluster) is logged, and the node goes on serving: an operator decides.
// A node that the cluster knows asks as well: so its new address becomes known.
import type { Logger } from "pino";
import { openSession } from "../shared/client/session.ts";
import type { Credentials } from "../shared/io/credentials.ts";
import { KvError } from "../shared/errors.ts";
import type { NodeId } from "../shared/ids.ts";

export interface JoinOptions {
  /** Whom to ask, `host:port`: in turn until one answers. At least one. */
  readonly addresses: readonly string[];
  readonly node: NodeId;
  /** Where others reach this node. */
  readonly address: string;
  readonly weight: number | undefined;
  /** Shown to the cluster. */
  readonly credentials: Credentials;
  readonly log: Logger;
  /** The node stops. */
  readonly signal: AbortSignal;
}

const CONNECT_TIMEOUT_MS = 2_000;
/** A topology operation says that it has begun within this time. */
const BEGIN_TIMEOUT_MS = 15_000;
const BACKOFF_MS_MIN = 200;
const BACKOFF_MS_MAX = 5_000;
/** Leaders followed for one attempt: a change of leader in mid-way needs two. */
const HOPS_MAX = 3;

/** Asks until added, refused for good, or stopped. Never rejects. */
export async function joinCluster(options: JoinOptions): Promise<void> {
  const { addresses, log, signal } = options;
  let waitMs = BACKOFF_MS_MIN;
  let told = "";
  for (let attempt = 0; !signal.aborted; attempt++) {
    const asked = addresses[attempt % addresses.length] as string;
    const refusal = await askToJoin(options, asked, HOPS_MAX);
    if (refusal === undefined) return;
    if (signal.aborted) return;
    if (!refusal.retryable) {
      log.error({ code: refusal.code, asked }, `not added: ${refusal.message}`);
      return;
    }
    if (refusal.message !== told) log.warn({ code: refusal.code, asked }, `not added yet: ${refusal.message}`);
    told = refusal.message;
    if ((attempt + 1) % addresses.length !== 0) continue;
    await pause(waitMs * (0.5 + Math.random() / 2), signal);
    waitMs = Math.min(BACKOFF_MS_MAX, waitMs * 2);
  }
}

/** One attempt, behind the leader where the one asked names it. Undefined when the node is added. */
async function askToJoin(options: JoinOptions, asked: string, hops: number): Promise<KvError | undefined> {
  try {
    await askAt(options, asked);
    return undefined;
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    const { leader } = error.details;
    if (error.code !== "NOT_LEADER" || typeof leader !== "string" || leader === asked || hops <= 1) return error;
    return await askToJoin(options, leader, hops - 1);
  }
}

/** @throws KvError what the one asked answers, or why it does not */
async function askAt(options: JoinOptions, asked: string): Promise<void> {
  const { node, address, weight, credentials, log, signal } = options;
  const session = await openSession(asked, { timeoutMs: CONNECT_TIMEOUT_MS, credentials, signal });
  const stop = (): void => session.abandon("the node stops");
  signal.addEventListener("abort", stop, { once: true });
  let begun = false;
  try {
    const message = { op: "join" as const, node, address, ...(weight !== undefined && { weight }) };
    const progress = ({ operation }: { readonly operation: string }): void => {
      if (!begun) log.info({ asked, operation }, "the cluster adds this node");
      begun = true;
    };
    const { phase } = await session.call(message, progress, { timeoutMs: BEGIN_TIMEOUT_MS });
    log.info({ asked, address, phase }, "this node is in the cluster");
  } finally {
    signal.removeEventListener("abort", stop);
    await session.close();
  }
}

/** Settles early when the node stops. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
