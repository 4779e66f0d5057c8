// Not leading: what a coordinator that does not lead says to whoever wants something from the leader (C11): where the leader is, or what
// it waits for and which command helps.
import { KvError } from "../shared/errors.ts";
import type { CoordinatorRole } from "../shared/protocol/client-messages.ts";
import type { Rival } from "./election/succession.ts";

export interface Situation {
  readonly role: CoordinatorRole;
  /** Who leads, where that is known. */
  readonly rival: Rival | undefined;
  /** What it waits for, where that is not for voters. */
  readonly because: string | undefined;
  readonly missing: readonly { readonly id: string; readonly address: string }[];
  /** Where the cluster was looked for. */
  readonly asked: readonly string[];
}

export function notLeading({ role, rival, because, missing, asked }: Situation): KvError {
  if (role === "new") return new KvError("NO_CLUSTER", "no node was added yet: start one and type addnode <id> <port>");
  if (rival) {
    const { address, http } = rival;
    const text = `another coordinator leads, at ${address}: ./runtime shell --connect ${address}`;
    return new KvError("NOT_LEADER", text, { leader: address, ...(http !== undefined && { leaderHttp: http }) });
  }
  if (role === "standby")
    return new KvError("NO_LEADER", "another coordinator is taking over; this one is finding out where it is");
  if (because !== undefined) return new KvError("NO_LEADER", `waiting: ${because}`);
  const names = missing.map(({ id, address }) => `${id} (${address})`).join(", ");
  const who = names === "" ? `none answers at ${asked.join(", ")}` : `missing: ${names}`;
  return new KvError("NO_LEADER", `waiting for a majority of the voters; ${who}; start them with ./node_server`);
}
