// Heartbeats of a leader: to every member and every voter, on control connections, all the time. Voters acknowledge while their disks keep
// up; a majority's acknowledgement is this leader's confidence, without which it holds what comes in (C10). Nodes that know an older state
// than the newest are taught it, so that any of them can tell a newcomer where the leader is. Fences keep the data safe, not these.
// Where the state is kept in an etcd nobody votes: then a majority of the nodes, whose fences would tell of a successor, is as good a
// reason to go on as a lease that lives, and the leader pauses only when it has neither. So data flows while etcd is gone.
import type { ClusterState } from "../../shared/cluster-state.ts";
import { confirmersOf, votesNeeded } from "../../shared/cluster-state.ts";
import { HEARTBEAT_MS, LEASE_MS } from "../../shared/limits.ts";
import type { OwnerId } from "../../shared/ids.ts";
import { sleep, wait, type Future, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import { compare, type Ballot } from "../../shared/version.ts";
import type { Answer } from "../links/link.ts";
import type { StateLog } from "./state-log.ts";
import type { Voters } from "./voters.ts";

/** A heartbeat that is not answered by then was for nothing. */
const ANSWER_TIMEOUT_MS = 2_000;
/** Without an acknowledgement for this long, a voter counts as silent. */
const ANSWERING_MS = 1_500;
const LEARN_TIMEOUT_MS = 1_000;

export interface HeartbeatsHost {
  readonly timers: Timers;
  readonly voters: Voters;
  readonly stateLog: StateLog;
  readonly epoch: number;
  readonly owner: OwnerId;
  /** Where clients reach this leader. */
  readonly address: string;
  readonly active: () => boolean;
  /** A voter or node knows of a higher epoch. */
  readonly outPromised: (epoch: number) => void;
  /** The majority answers again. */
  readonly resumed: () => void;
}

export class Heartbeats {
  readonly #host: HeartbeatsHost;
  /** When the latest acknowledged heartbeat was sent, by id. */
  readonly #acknowledged = new Map<string, number>();
  readonly #learning = new Set<string>();
  /** A majority of the voters has acknowledged heartbeats sent at or after this time. */
  #confirmedAt: number;
  #held = false;

  constructor(host: HeartbeatsHost) {
    this.#host = host;
    this.#confirmedAt = host.timers.now;
  }

  /** C10: no majority has answered for too long, or this process stood still for as long. */
  get paused(): boolean {
    if (this.#host.timers.now - this.#confirmedAt > LEASE_MS) this.#held = true;
    return this.#held;
  }

  /** How long ago the majority was heard, ms. */
  get silentMs(): number {
    return this.#host.timers.now - this.#confirmedAt;
  }

  /** Whether a member or voter acknowledges heartbeats. */
  answers(id: string): boolean {
    return this.#host.timers.now - (this.#acknowledged.get(id) ?? -Infinity) < ANSWERING_MS;
  }

  *run(): Script<void> {
    const { active, timers } = this.#host;
    while (active()) {
      this.beat();
      yield* wait(sleep(timers, HEARTBEAT_MS));
    }
  }

  /** One round; at once where the state has changed, so that new voters know who leads. */
  beat(): void {
    const { stateLog, timers } = this.#host;
    const sentAt = timers.now;
    for (const target of targetsOf(stateLog.state)) {
      this.#send(target).whenDone((answer) => this.#heard(target, sentAt, answer));
    }
  }

  #send(target: Target): Future<Answer> {
    const { voters, epoch, owner, address, stateLog } = this.#host;
    const { cluster } = stateLog.state;
    return voters.heartbeat(target, { cluster, epoch, owner, leader: address }, ANSWER_TIMEOUT_MS);
  }

  #heard(target: Target, sentAt: number, answer: Answer): void {
    if (!this.#host.active()) return;
    const { code } = answer;
    if (code === "FENCED") return this.#host.outPromised(Number(answer["fence"]));
    if (code === "OUT_PROMISED") return this.#host.outPromised(Number(answer["promised"]));
    if (answer["status"] !== "ok") return;
    this.#acknowledged.set(target.id, Math.max(sentAt, this.#acknowledged.get(target.id) ?? 0));
    this.#confirm();
    if (compare(answer["ballot"] as Ballot, this.#host.stateLog.ballot) < 0) this.#teach(target);
  }

  #confirm(): void {
    const confirmers = confirmersOf(this.#host.stateLog.state);
    const times = confirmers.map(({ id }) => this.#acknowledged.get(id) ?? -Infinity).sort((a, b) => b - a);
    this.confirmed(times[votesNeeded(confirmers) - 1] ?? -Infinity);
  }

  /** Nobody else had won at this time: by a majority's acknowledgements, or by the place where that is agreed. */
  confirmed(at: number): void {
    this.#confirmedAt = Math.max(this.#confirmedAt, at);
    if (!this.#held || this.#host.timers.now - this.#confirmedAt > LEASE_MS) return;
    this.#held = false;
    this.#host.resumed();
  }

  /** A node that does not vote, or not in time, gets the newest state; one message at a time. */
  #teach(target: Target): void {
    if (this.#learning.has(target.id) || target.id === this.#host.voters.local.seat) return;
    this.#learning.add(target.id);
    const { voters, stateLog } = this.#host;
    voters.teach(target, stateLog.state, stateLog.ballot, LEARN_TIMEOUT_MS).whenDone(() => {
      this.#learning.delete(target.id);
    });
  }
}

/** Who hears a leader's heartbeats: a member, or a voter's seat. */
export interface Target {
  readonly id: string;
  readonly address: string;
  readonly kind: "node" | "coordinator";
}

function targetsOf(state: ClusterState): Target[] {
  const members = state.members.map(({ id, address }): Target => ({ id, address, kind: "node" }));
  return [...members, ...state.voters.filter(({ id }) => !members.some((member) => member.id === id))];
}
