// Failure detection of nodes, by what is heard of them (heartbeats see to that): a peer that is silent is suspected first, then other nodes are asked whether they reach it, and only a peer
// that nobody reaches is called down. When this process itself stood still, the silence was its own and does not count. What is decided
// here is for operators, for placement and for the order in which replicas are asked; no answer to a client rests on it.
import { sleep, wait, type Script } from "../../shared/script.ts";
import type { Timers } from "../../shared/timers.ts";
import { DOWN_MS, type Peer } from "./peers.ts";

/** Pause between two looks at everybody. */
const ROUND_MS = 500;
const PROBE_TIMEOUT_MS = 1_500;
/** Other nodes asked about a suspect. */
const WITNESSES = 2;
/** A round that comes this much too late says more about this process than about others. */
const LATE_MS = 300;

export interface FailureDetectorHost {
  readonly timers: Timers;
  readonly peers: () => readonly Peer[];
  readonly active: () => boolean;
  readonly notice: (text: string) => void;
}

export class FailureDetector {
  readonly #host: FailureDetectorHost;

  constructor(host: FailureDetectorHost) {
    this.#host = host;
  }

  *run(): Script<void> {
    const { timers, peers, active } = this.#host;
    const since = timers.now;
    let expected = timers.now;
    while (active()) {
      if (timers.now - expected > LATE_MS) for (const peer of peers()) peer.excuse(timers.now);
      const early = timers.now - since < DOWN_MS;
      for (const peer of peers()) {
        if (peer.suspicious(timers.now)) this.#askAround(peer);
        this.#tell(peer, { down: peer.state(timers.now) === "down", early });
      }
      expected = timers.now + ROUND_MS;
      yield* wait(sleep(timers, ROUND_MS));
    }
  }

  /** Two others try: a broken path between us and the suspect is not its death. */
  #askAround(suspect: Peer): void {
    const { timers, peers } = this.#host;
    const witnesses = peers().filter((peer) => peer !== suspect && peer.state(timers.now) === "up");
    for (const { link } of witnesses.slice(0, WITNESSES)) {
      const { address } = suspect.member;
      link.call("control", { op: "probe", address }, PROBE_TIMEOUT_MS).whenDone((answer) => {
        if (answer["reachable"] === true) suspect.reachedByOthersAt = timers.now;
      });
    }
  }

  /** Notices that a node went down or came back. Right after a start nobody is connected yet, which is no news. */
  #tell(peer: Peer, { down, early }: { readonly down: boolean; readonly early: boolean }): void {
    const before = peer.toldDown;
    if (down === before || (down && before === undefined && early)) return;
    peer.toldDown = down;
    if (before === undefined && !down) return;
    this.#host.notice(`node ${peer.id} (${peer.member.address}) is ${down ? "down" : "up again"}`);
  }
}
