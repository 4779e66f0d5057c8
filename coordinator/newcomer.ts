// Newcomer: a storage node that is to be added, asked who it is before anything is done to it.
import { KvError } from "../shared/errors.ts";
import { PROTOCOL_VERSIONS } from "../shared/protocol/version.ts";
import { sleep, wait, type Script } from "../shared/script.ts";
import type { Timers } from "../shared/timers.ts";
import type { ClusterState } from "../shared/cluster-state.ts";
import type { Links } from "./links/links.ts";

/** How long it may take to answer. */
export const ADOPT_TIMEOUT_MS = 2_000;
const CONNECT_POLL_MS = 20;

export interface Newcomer {
  readonly cluster: string | null;
  readonly incarnation: ClusterState["members"][number]["incarnation"];
}

/** Says hello to a node that is to be added, as soon as it is connected. */
export function* greetNewcomer(timers: Timers, links: Links, address: string): Script<Newcomer | KvError> {
  const link = links.to(address);
  const until = timers.now + ADOPT_TIMEOUT_MS;
  while (!(link.isUp("control") && link.isUp("data")) && timers.now < until)
    yield* wait(sleep(timers, CONNECT_POLL_MS));
  const answer = yield* wait(link.call("control", { op: "hello", versions: PROTOCOL_VERSIONS }, ADOPT_TIMEOUT_MS));
  if (answer["code"] === "UNSUPPORTED_PROTOCOL") return new KvError("UNSUPPORTED_PROTOCOL", String(answer["message"]));
  if (answer["status"] !== "ok") {
    const port = address.slice(address.lastIndexOf(":") + 1);
    return new KvError(
      "NODE_UNREACHABLE",
      `no storage node answers at ${address}; start one with ./node_server ${port}`,
    );
  }
  if (answer["role"] !== "node") return new KvError("BAD_REQUEST", `${address} is a coordinator, not a storage node`);
  return answer as unknown as Newcomer;
}

export function takenByOther(address: string, cluster: string): KvError {
  return new KvError(
    "NODE_TAKEN",
    `${address} belongs to another cluster (${cluster}): start it with an empty --data-dir, or run ./runtime --join ${address} to use that cluster`,
  );
}
