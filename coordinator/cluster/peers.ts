// Peers: the leader's view of each member: its link, whether it answers, and for which slots it is known to be durably a member.
// When a connection comes up the leader says hello; the node's roles and stamps are compared with the committed placements, and what
// differs is installed or dropped ("a node that comes back"). Who is suspect or down: failure-detector.ts.
import type { ClusterState, Member } from "../../shared/cluster-state.ts";
import type { NodeId } from "../../shared/ids.ts";
import { SLOTS } from "../../shared/limits.ts";
import type { NodeState } from "../../shared/protocol/client-messages.ts";
import type { RolesResult, SlotsResult } from "../../shared/protocol/node-messages.ts";
import { PROTOCOL_VERSIONS } from "../../shared/protocol/version.ts";
import { run, sleep, wait, type Script } from "../../shared/script.ts";
import { compare, equal, isZero, type Stamp } from "../../shared/version.ts";
import type { Answer, Link } from "../links/link.ts";
import type { Links } from "../links/links.ts";
import type { SlotRuntime } from "./slot-runtime.ts";

/** Pause before roles are looked at again. */
const MEND_MS = 500;
const SUSPECT_MS = 1_500;
export const DOWN_MS = 3_000;
const HELLO_TIMEOUT_MS = 2_000;
/** A node that left this long ago is no hope for the operations that wait. */
const GONE_MS = 1_000;

/** Stamp of the very first placement of a cluster: installed without a copy (N7). */
export const FIRST_STAMP: Stamp = [1, 1];

export class Peer {
  readonly id: NodeId;
  member: Member;
  link: Link;
  /** 1 for slots of which this leader knows the node to be durably a member at the newest committed stamp. */
  readonly confirmed = new Uint8Array(SLOTS);
  /** Why the node was refused, where it was: another cluster, incarnation, protocol. */
  refusedBecause: string | undefined;
  /** Counts connections that were greeted: only the newest greeting goes on. */
  greetings = 0;
  /** Whether its roles are being looked after, and whether there was reason to look again since they were asked for. */
  mending = false;
  doubted = false;
  /** What operators were told last; undefined until it was seen up, or was given time to appear. */
  toldDown: boolean | undefined;

  /** When another node last reached it for us. */
  reachedByOthersAt = -Infinity;
  #excusedAt = -Infinity;
  /** When this leader began to look after it. */
  readonly #since: number;

  constructor(member: Member, link: Link, now: number) {
    this.id = member.id;
    this.member = member;
    this.link = link;
    this.#since = now;
  }

  /** Whether data operations reach it now. */
  get up(): boolean {
    return this.link.up;
  }

  /** Whether it answers, or did until a moment ago, or is being greeted for the first time. */
  hopeful(now: number): boolean {
    const waitingMs = now - Math.max(this.link.changedAt, this.#since);
    return this.up || (this.refusedBecause === undefined && waitingMs < GONE_MS);
  }

  /** How long nothing was heard of it, as far as that is its own doing. */
  #silentMs(now: number): number {
    return now - Math.max(this.link.heardAt ?? -Infinity, this.#excusedAt);
  }

  /** This process stood still: silence counts from now on. */
  excuse(now: number): void {
    this.#excusedAt = now;
  }

  /** Whether others should be asked about it. */
  suspicious(now: number): boolean {
    return !this.up || this.#silentMs(now) > SUSPECT_MS;
  }

  /** Down is who neither answers us nor anybody else. */
  state(now: number): NodeState {
    const lost = this.up ? this.#silentMs(now) > DOWN_MS : !this.hopeful(now) && now - this.#excusedAt > DOWN_MS;
    const reached = this.refusedBecause === undefined && now - this.reachedByOthersAt < DOWN_MS;
    if (lost) return reached ? "suspect" : "down";
    if (this.suspicious(now)) return "suspect";
    const { state } = this.member;
    // It is there again, and its slots are about to be given back.
    return state === "away" || state === "replaced" ? "joining" : state;
  }
}

export interface PeersHost {
  readonly links: Links;
  readonly epoch: number;
  /** Where clients reach this leader; told to nodes. */
  readonly address: string;
  readonly state: () => ClusterState;
  readonly slots: readonly SlotRuntime[];
  readonly active: () => boolean;
  /** A node has seen a higher epoch. */
  readonly fenced: (epoch: number) => void;
  /** Slots that an attempt is moving right now: not to be dropped from whom they fill up. */
  readonly moving: (slot: number) => boolean;
  readonly notice: (text: string) => void;
  /** A node's log ended in damage when it was started last: something that it had acknowledged may be missing. */
  readonly cut: (node: NodeId) => void;
}

export class Peers {
  readonly #host: PeersHost;
  readonly #peers = new Map<NodeId, Peer>();

  constructor(host: PeersHost) {
    this.#host = host;
    this.refresh();
  }

  get(id: NodeId): Peer | undefined {
    return this.#peers.get(id);
  }

  all(): Peer[] {
    return [...this.#peers.values()];
  }

  /** Follows the members of the newest state. */
  refresh(): void {
    const { links } = this.#host;
    const state = this.#host.state();
    for (const member of state.members) {
      const known = this.#peers.get(member.id);
      if (known && known.member.address === member.address && known.member.incarnation === member.incarnation) {
        known.member = member;
        continue;
      }
      const peer = new Peer(member, links.to(member.address), links.timers.now);
      this.#peers.set(member.id, peer);
      if (peer.link.isUp("control") && peer.link.isUp("data")) run(this.#greet(peer));
    }
    for (const id of this.#peers.keys()) {
      if (!state.members.some((member) => member.id === id)) this.#peers.delete(id);
    }
  }

  /** A connection came up. */
  connected(link: Link): void {
    for (const peer of this.#peers.values()) {
      if (peer.link === link && link.isUp("data") && link.isUp("control")) run(this.#greet(peer));
    }
  }

  disconnected(link: Link): void {
    if (!link.isUp("data")) link.direct(undefined);
  }

  /**
   * Says hello, lets data flow, then mends roles until they are right. A node that was paused answers late or never: it is greeted
   * again for as long as the connection stands.
   */
  *#greet(peer: Peer): Script<void> {
    const { link } = peer;
    peer.greetings++;
    const stands = this.#standing(peer);
    const { cluster } = this.#host.state();
    const hello = { op: "hello", versions: PROTOCOL_VERSIONS, cluster, leader: this.#host.address };
    for (;;) {
      const answer = yield* wait(link.call("control", hello, HELLO_TIMEOUT_MS));
      if (!stands()) return;
      if (this.#recognised(peer, answer)) {
        if (answer["tailCut"] === true) this.#host.cut(peer.id);
        break;
      }
      yield* wait(sleep(this.#host.links.timers, MEND_MS));
      if (!stands()) return;
    }
    // Whatever it brings back is compared before one read relies on it alone.
    for (const runtime of this.#host.slots) if (runtime.members.includes(peer.id)) runtime.inStep.disturb();
    link.direct({ cluster, node: peer.id, incarnation: peer.member.incarnation, epoch: this.#host.epoch });
    yield* this.#mendRoles(peer, stands);
  }

  /** A step at a node was not acknowledged, though its connection stands: what came of it is asked for, and made good. */
  mend(peer: Peer): void {
    peer.doubted = true;
    // Where no data flows it is greeted anew, and its roles are asked for then.
    if (!peer.mending && peer.up) run(this.#mendRoles(peer, this.#standing(peer)));
  }

  /** Whether its connections are still those of now. */
  #standing(peer: Peer): () => boolean {
    const { link, greetings } = peer;
    return () => this.#current(peer) && peer.greetings === greetings && link.isUp("data") && link.isUp("control");
  }

  #current(peer: Peer): boolean {
    return this.#host.active() && this.#peers.get(peer.id) === peer;
  }

  #recognised(peer: Peer, answer: Answer): boolean {
    const before = peer.refusedBecause;
    peer.refusedBecause = undefined;
    if (answer["status"] !== "ok") {
      if (answer["code"] === "UNSUPPORTED_PROTOCOL") peer.refusedBecause = String(answer["message"]);
    } else if (answer["cluster"] !== this.#host.state().cluster) {
      peer.refusedBecause = `${peer.member.address} is in another cluster`;
    } else if (answer["node"] !== peer.id || answer["incarnation"] !== peer.member.incarnation) {
      peer.refusedBecause = `${peer.member.address} holds other data than node ${peer.id} did: remove ${peer.id}, then add it again`;
    }
    if (peer.refusedBecause !== undefined && peer.refusedBecause !== before) this.#host.notice(peer.refusedBecause);
    return answer["status"] === "ok" && peer.refusedBecause === undefined;
  }

  *#mendRoles(peer: Peer, stands: () => boolean): Script<void> {
    peer.mending = true;
    while (stands()) {
      peer.doubted = false;
      const result = yield* wait(peer.link.ask({ op: "roles" }, HELLO_TIMEOUT_MS));
      if (!stands()) return;
      if (result.status === "error") {
        if (result.code === "FENCED") this.#host.fenced(Number(result["fence"]));
      } else if ((yield* this.#mendOnce(peer, (result as RolesResult).roles)) && !peer.doubted) {
        peer.mending = false;
        return;
      }
      yield* wait(sleep(this.#host.links.timers, MEND_MS));
    }
  }

  /** Installs and drops what differs; true when nothing is left to do. */
  *#mendOnce(peer: Peer, groups: RolesResult["roles"]): Script<boolean> {
    const wrong = this.#compare(peer, groups);
    let right = true;
    for (const { slots, committed, stamp, first } of wrong.installs) {
      const result = yield* wait(
        peer.link.ask({ op: "install", slots, stamp, committed, ...(first && { first }) }, HELLO_TIMEOUT_MS),
      );
      right = this.confirm(peer, slots, committed, result) && right;
    }
    for (const { slots, stamp } of wrong.drops) {
      const result = yield* wait(peer.link.ask({ op: "drop", slots, stamp }, HELLO_TIMEOUT_MS));
      right = result.status === "ok" && right;
    }
    return right;
  }

  /** Takes an install's acknowledgement; true when all slots were installed, at placements that still stand. */
  confirm(peer: Peer, slots: readonly number[], committed: Stamp, result: { readonly status: string }): boolean {
    if (result.status !== "ok") return false;
    const refused = new Map((result as SlotsResult).refused ?? []);
    for (const slot of slots) {
      const current = this.#host.slots[slot]?.committed;
      if (!refused.has(slot) && current && equal(current, committed)) peer.confirmed[slot] = 1;
    }
    return refused.size === 0;
  }

  #compare(peer: Peer, groups: RolesResult["roles"]): { installs: Install[]; drops: Drop[] } {
    const installs = new Grouped<Install>();
    const drops = new Grouped<Drop>();
    const roleOf = new Map(groups.flatMap((group) => group.slots.map((slot) => [slot, group] as const)));
    for (const runtime of this.#host.slots) {
      const { slot, committed, stamp } = runtime;
      const group = roleOf.get(slot);
      const wanted = runtime.members.includes(peer.id);
      if (wanted && group?.role === "member") peer.confirmed[slot] = 1;
      else if (wanted) {
        peer.confirmed[slot] = 0;
        const blank = !group || (group.role === "none" && isZero(group.since));
        const first = blank && equal(committed, FIRST_STAMP);
        if (first || (group?.role === "incoming" && group.copied && equal(group.since, committed))) {
          const item = { slots: [], stamp, committed, first };
          installs.add(`${committed.join(".")} ${stamp.join(".")} ${first}`, item).slots.push(slot);
        }
      } else if (group && group.role !== "none" && !this.#host.moving(slot) && compare(stamp, group.since) > 0) {
        drops.add(stamp.join("."), { slots: [], stamp }).slots.push(slot);
      }
    }
    return { installs: installs.values(), drops: drops.values() };
  }
}

interface Install {
  readonly slots: number[];
  readonly stamp: Stamp;
  readonly committed: Stamp;
  readonly first: boolean;
}

interface Drop {
  readonly slots: number[];
  readonly stamp: Stamp;
}

/** Items by name, made when first asked for. */
class Grouped<T> {
  readonly #items = new Map<string, T>();

  add(name: string, fresh: T): T {
    const known = this.#items.get(name);
    if (known) return known;
    this.#items.set(name, fresh);
    return fresh;
  }

  values(): T[] {
    return [...this.#items.values()];
  }
}
