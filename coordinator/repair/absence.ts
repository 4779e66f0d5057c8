// Absence: what the leader does about a node that does not answer. After seconds, slots that cannot be written without it do without it, if
// they may (two copies, one dead: the survivor goes on alone). After minutes (`--replace-after`) others take its slots. When it answers
// again it gets them back. All of it is topology operations, visible in `ops`; what was decided stands in the state, so that a new leader
// goes on with it. Counted in the leader's own running time: one that was stopped does not believe that the nodes were.
import { isAbsent, type ClusterState, type Member } from "../../shared/cluster-state.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { ReplaceChange } from "../../shared/protocol/client-messages.ts";
import { run, sleep, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import type { Peers } from "../cluster/peers.ts";
import { imagined, movesFor } from "../rebalance/change.ts";
import type { Topology } from "../rebalance/topology.ts";

const LOOK_MS = 500;
/** Longest step that counts: a later look means that this process did not run. */
const STEP_MS_MAX = 1_000;
/** How long a node is there before it gets its slots back. */
const BACK_MS = 1_000;

export interface AbsenceHost {
  readonly timers: Timers;
  readonly active: () => boolean;
  readonly state: () => ClusterState;
  readonly peers: Peers;
  readonly topology: Topology;
  /** Down for so long, slots that cannot write without a node do without it. */
  readonly awayAfterMs: number;
  /** Down for so long, a node's slots go to others; 0: never. */
  readonly replaceAfterMs: number;
}

/** Running time for which a node has been down, or there, without a break. */
interface Seen {
  downMs: number;
  thereMs: number;
  /** What was found to move nothing, or asked for already: a change of that state. */
  considered?: ClusterState;
  consideredAs?: ReplaceChange["as"];
}

export class Absence {
  readonly #host: AbsenceHost;
  readonly #seen = new Map<NodeId, Seen>();

  constructor(host: AbsenceHost) {
    this.#host = host;
  }

  /** Looks after the members for as long as the leadership lasts. */
  *run(): Script<void> {
    const { timers, active } = this.#host;
    let before = timers.now;
    while (active()) {
      this.#look(Math.min(STEP_MS_MAX, timers.now - before));
      before = timers.now;
      yield* wait(sleep(timers, LOOK_MS));
    }
  }

  #look(stepMs: number): void {
    const { peers, timers, state } = this.#host;
    for (const peer of peers.all()) {
      const { id, member, up } = peer;
      const seen: Seen = this.#seen.get(id) ?? { downMs: 0, thereMs: 0 };
      this.#seen.set(id, seen);
      const down = peer.state(timers.now) === "down";
      seen.downMs = down ? seen.downMs + stepMs : 0;
      seen.thereMs = up ? seen.thereMs + stepMs : 0;
      this.#tend(member, seen, state());
    }
    for (const id of this.#seen.keys()) if (!peers.get(id)) this.#seen.delete(id);
  }

  #tend(member: Member, { downMs, thereMs }: Seen, state: ClusterState): void {
    const { id, state: now } = member;
    const { awayAfterMs, replaceAfterMs, topology } = this.#host;
    const running = state.operations.find(({ change }) => change.op === "replace" && change.node === id);
    if (running) {
      // It is back before others have taken everything: what was moved comes back to it.
      if (thereMs >= BACK_MS && (running.change as ReplaceChange).as !== "up") topology.cancel(running.id);
      return;
    }
    if (isAbsent(member) && thereMs >= BACK_MS) return this.#request({ op: "replace", node: id, as: "up" });
    if (replaceAfterMs > 0 && downMs >= replaceAfterMs && (now === "up" || now === "away"))
      return this.#requestMove({ op: "replace", node: id, as: "replaced" }, state);
    if (downMs >= awayAfterMs && now === "up") this.#requestMove({ op: "replace", node: id, as: "away" }, state);
  }

  /** Only where it would move anything: computed once for every state, since placing takes milliseconds. */
  #requestMove(change: ReplaceChange, state: ClusterState): void {
    const seen = this.#seen.get(change.node);
    if (seen?.considered === state && seen.consideredAs === change.as) return;
    if (seen) Object.assign(seen, { considered: state, consideredAs: change.as });
    if (movesFor(imagined(state, change), change).length > 0) this.#request(change);
  }

  #request(change: ReplaceChange): void {
    run(this.#host.topology.request(change, () => undefined));
  }
}
