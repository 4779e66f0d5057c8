// Standbys of a leader: coordinators that follow it, and would take over. Each asks again and again; the answer comes after one beat, or
// at once when there is something to say: that the state has changed, or that it is to take over now.
import { encodeState, type ClusterState } from "../../shared/cluster-state.ts";
import type { OwnerId } from "../../shared/ids.ts";
import { HEARTBEAT_MS } from "../../shared/limits.ts";
import type { FollowAnswer, FollowRequest } from "../../shared/protocol/coordinator-messages.ts";
import type { Timers } from "../../shared/timers.ts";
import { compare, type Ballot } from "../../shared/version.ts";

/** A standby that has not asked for this long is gone. */
const GONE_MS = 2_000;
/** More than anybody runs. */
const STANDBYS_MAX = 64;

interface Standby {
  readonly owner: OwnerId;
  address: string;
  heardAt: number;
  /** Answers its open question. */
  answer: ((takeover: boolean) => void) | undefined;
}

export interface StandbysHost {
  readonly timers: Timers;
  readonly epoch: number;
  readonly owner: OwnerId;
  readonly address: string;
  readonly http: () => string | undefined;
  readonly newest: () => { readonly ballot: Ballot; readonly state: ClusterState };
}

export class Standbys {
  readonly #host: StandbysHost;
  readonly #standbys = new Map<OwnerId, Standby>();

  constructor(host: StandbysHost) {
    this.#host = host;
  }

  /** Those that follow now, the one that has asked last first. */
  get addresses(): string[] {
    const { now } = this.#host.timers;
    const present = [...this.#standbys.values()].filter(({ heardAt }) => now - heardAt < GONE_MS);
    return present.sort((a, b) => b.heardAt - a.heardAt).map(({ address }) => address);
  }

  /** A standby asks. `reply` is called once. */
  follow({ owner, address, ballot }: FollowRequest, reply: (answer: Omit<FollowAnswer, "id">) => void): void {
    const { timers } = this.#host;
    const standby = this.#standby(owner, address);
    if (!standby) return reply(this.#news(ballot, false));
    standby.answer?.(false);
    const answer = (takeover: boolean): void => {
      timer.cancel();
      standby.answer = undefined;
      reply(this.#news(ballot, takeover));
    };
    const behind = compare(ballot, this.#host.newest().ballot) < 0;
    const timer = timers.after(behind ? 0 : HEARTBEAT_MS, () => answer(false));
    standby.answer = answer;
  }

  /** Tells one standby to take over. @returns its address; undefined where none listens */
  handOver(): string | undefined {
    for (const standby of this.#standbys.values()) {
      if (!standby.answer) continue;
      standby.answer(true);
      return standby.address;
    }
    return undefined;
  }

  #standby(owner: OwnerId, address: string): Standby | undefined {
    const { now } = this.#host.timers;
    for (const [id, { heardAt }] of this.#standbys) if (now - heardAt > GONE_MS) this.#standbys.delete(id);
    const known = this.#standbys.get(owner);
    if (!known && this.#standbys.size >= STANDBYS_MAX) return undefined;
    const standby = known ?? { owner, address, heardAt: now, answer: undefined };
    standby.address = address;
    standby.heardAt = now;
    this.#standbys.set(owner, standby);
    return standby;
  }

  #news(known: Ballot, takeover: boolean): Omit<FollowAnswer, "id"> {
    const { epoch, owner, address } = this.#host;
    const { ballot, state } = this.#host.newest();
    const http = this.#host.http();
    return {
      status: "ok",
      leader: address,
      owner,
      epoch,
      ballot,
      ...(compare(known, ballot) < 0 && { state: encodeState(state) }),
      ...(http !== undefined && { http }),
      ...(takeover && { takeover }),
    };
  }
}
