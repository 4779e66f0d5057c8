// Voters: asks the seats of a voter set, wherever they are: storage nodes over their control connection, our own record directly,
// another coordinator's record on its port. A seat's node may have moved; what inspections found wins over the state's address.
import type { ClusterId } from "../../shared/ids.ts";
import { encodeState, type ClusterState, type VoterSeat } from "../../shared/cluster-state.ts";
import type { Ballot } from "../../shared/version.ts";
import type { AcceptRequest, HeartbeatRequest, PrepareRequest } from "../../shared/protocol/node-messages.ts";
import { Future } from "../../shared/script.ts";
import { failure, type Answer } from "../links/link.ts";
import type { Links } from "../links/links.ts";
import type { LocalVoter } from "./local-voter.ts";

export const VOTE_TIMEOUT_MS = 1_000;

/** In place of a connection: the heartbeats of this very coordinator. */
const OURSELVES = 0;

/** Addresses kept beside the cluster file's. */
const HINTS_MAX = 64;

export class Voters {
  readonly #links: Links;
  readonly #local: LocalVoter;
  /** Where a seat was last found. */
  readonly #found = new Map<string, string>();
  /** Where nodes said that they are, while nobody led. */
  readonly #hints = new Set<string>();

  constructor(links: Links, local: LocalVoter) {
    this.#links = links;
    this.#local = local;
  }

  get local(): LocalVoter {
    return this.#local;
  }

  addressOf(seat: VoterSeat): string {
    return this.#found.get(seat.id) ?? seat.address;
  }

  /** Remembers where a node answered. */
  found(id: string, address: string): void {
    this.#found.set(id, address);
  }

  /** A node says that it is there: a campaign looks there too. Only what it answers there counts. */
  hint(address: string): void {
    const [oldest] = this.#hints;
    if (this.#hints.size >= HINTS_MAX && oldest !== undefined) this.#hints.delete(oldest);
    this.#hints.add(address);
  }

  get hints(): readonly string[] {
    return [...this.#hints];
  }

  inspect(address: string): Future<Answer> {
    return this.#connected(address, { op: "inspect" });
  }

  prepare(cluster: ClusterId, seat: VoterSeat, vote: Pick<PrepareRequest, "epoch" | "owner">): Future<Answer> {
    const request = { cluster, voter: seat.id, ...vote };
    if (seat.id === this.#local.seat) return this.#local.prepare(request);
    return this.#connected(this.addressOf(seat), { op: "prepare", ...request });
  }

  /** V4. */
  prevote(cluster: ClusterId, seat: VoterSeat, epoch: number): Future<Answer> {
    const request = { cluster, voter: seat.id, epoch };
    if (seat.id === this.#local.seat) return this.#local.prevote(request, this.#links.timers.now);
    return this.#connected(this.addressOf(seat), { op: "prevote", ...request });
  }

  /** To a member or voter whose connection is up. */
  heartbeat(
    target: { readonly id: string; readonly address: string },
    sign: Omit<HeartbeatRequest, "id" | "op">,
    timeoutMs: number,
  ): Future<Answer> {
    if (target.id === this.#local.seat) return this.#local.heartbeat(sign, OURSELVES, this.#links.timers.now);
    const link = this.#links.to(this.#found.get(target.id) ?? target.address);
    return link.call("control", { op: "heartbeat", ...sign }, timeoutMs);
  }

  /** Tells a node the newest accepted state. */
  teach(
    target: { readonly id: string; readonly address: string },
    state: ClusterState,
    ballot: Ballot,
    timeoutMs: number,
  ): Future<Answer> {
    const link = this.#links.to(this.#found.get(target.id) ?? target.address);
    const message = { op: "learn", cluster: state.cluster, ballot, state: encodeState(state) };
    return link.call("control", message, timeoutMs);
  }

  accept(
    cluster: ClusterId,
    seat: VoterSeat,
    vote: Pick<AcceptRequest, "ballot" | "owner" | "state" | "seat">,
  ): Future<Answer> {
    const request = { cluster, voter: seat.id, ...vote };
    if (seat.id === this.#local.seat) return this.#local.accept(request);
    return this.#connected(this.addressOf(seat), { op: "accept", ...request });
  }

  /** Calls as soon as the connection is up, within one timeout for both. */
  #connected(address: string, message: { readonly op: string; readonly [field: string]: unknown }): Future<Answer> {
    const link = this.#links.to(address);
    if (link.isUp("control")) return link.call("control", message, VOTE_TIMEOUT_MS);
    const future = new Future<Answer>();
    const startedAt = this.#links.timers.now;
    const attempt = (): void => {
      const leftMs = startedAt + VOTE_TIMEOUT_MS - this.#links.timers.now;
      if (leftMs <= 0) future.resolve(failure("NODE_UNREACHABLE", `${address} does not answer`));
      else if (!link.isUp("control")) this.#links.timers.after(Math.min(CONNECT_POLL_MS, leftMs), attempt);
      else link.call("control", message, leftMs).whenDone((answer) => future.resolve(answer));
    };
    attempt();
    return future;
  }
}

const CONNECT_POLL_MS = 20;
