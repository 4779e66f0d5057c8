// Leader watch: what a voter knows of the leader from its heartbeats, and so whether it may encourage a rival (V4). Judged by the voter's
// own monotonic clock; a closed connection is evidence that needs no clock, once it has not been opened again for a moment. Not durable:
// safety never depends on it, a wrong answer only costs an election.
import type { OwnerId } from "./ids.ts";
import { LEADER_GONE_MS, LEADER_SILENT_MS } from "./limits.ts";

/** A heartbeat, as far as its sender is concerned. */
export interface LeaderSign {
  readonly epoch: number;
  readonly owner: OwnerId;
  /** Where clients reach the leader. */
  readonly leader: string;
}

export class LeaderWatch {
  #sign: LeaderSign | undefined;
  #heardAt = 0;
  /** The connection that the latest heartbeat came on. */
  #connection: number | undefined;
  #goneAt: number | undefined;

  /** A heartbeat came in; one of an epoch that is over says nothing. */
  heard(sign: LeaderSign, connection: number, now: number): void {
    if (this.#sign && sign.epoch < this.#sign.epoch) return;
    this.#sign = sign;
    this.#heardAt = now;
    this.#connection = connection;
    this.#goneAt = undefined;
  }

  /** A connection closed. */
  gone(connection: number, now: number): void {
    if (connection === this.#connection) this.#goneAt ??= now;
  }

  /** V4: whether the leader is to be taken for alive. */
  alive(now: number): boolean {
    if (!this.#sign || now - this.#heardAt >= LEADER_SILENT_MS) return false;
    return this.#goneAt === undefined || now - this.#goneAt < LEADER_GONE_MS;
  }

  /** The leader heard last, alive or not. */
  get leader(): LeaderSign | undefined {
    return this.#sign;
  }
}
