// Introductions: who this node is, and how it comes into a cluster (hello, C0, adopting). What is answered is durable before it is told:
// `until` is the log position to wait for.
import { KvError } from "../../shared/errors.ts";
import type { AdoptRequest, HelloRequest, InitRequest } from "../../shared/protocol/node-messages.ts";
import { negotiate } from "../../shared/protocol/version.ts";
import type { Engine } from "../engine/engine.ts";
import type { Control } from "./control.ts";
import type { Introduction, Voting } from "./voting.ts";

export class Introductions {
  readonly #engine: Engine;
  readonly #control: Control;
  readonly #voting: Voting;
  readonly #raiseFence: (epoch: number) => number;

  constructor(engine: Engine, control: Control, voting: Voting, raiseFence: (epoch: number) => number) {
    this.#engine = engine;
    this.#control = control;
    this.#voting = voting;
    this.#raiseFence = raiseFence;
  }

  /** Who this node is; a leader's hello also tells where clients find it. */
  hello(line: HelloRequest): Introduction {
    const { identity, fence } = this.#control.state;
    const body = {
      status: "ok",
      protocol: negotiate(line.versions),
      role: "node",
      cluster: identity.cluster ?? null,
      node: identity.id ?? null,
      incarnation: identity.incarnation,
      fence,
      tailCut: this.#engine.tailCut,
      ...this.#voting.leaderHint(),
    };
    if (line.leader !== undefined && line.cluster === identity.cluster) this.#voting.hinted(line.leader);
    return { body, until: this.#control.groupUntil };
  }

  /** C0. */
  init(line: InitRequest): Introduction {
    const { identity } = this.#control.state;
    if (identity.cluster !== undefined && identity.cluster !== line.cluster) throw taken(identity.id, identity.cluster);
    if (identity.cluster === undefined) {
      const { cluster, node: id, seed, owner, ballot, state } = line;
      this.#control.append([
        { type: "identity", identity: { incarnation: identity.incarnation, cluster, id, seed } },
        { type: "fence", group: 0, epoch: ballot[0] },
        { type: "promise", epoch: ballot[0], owner },
        { type: "accept", ballot, state },
      ]);
    }
    return { body: { status: "ok", incarnation: identity.incarnation }, until: this.#control.appended };
  }

  /** A blank node, or one that was removed and holds no slot, joins the cluster. */
  adopt(line: AdoptRequest): Introduction {
    const { identity, slots } = this.#control.state;
    const { cluster, node: id, seed } = line;
    if (line.incarnation !== identity.incarnation) throw new KvError("WRONG_NODE", "this is another incarnation");
    if (identity.cluster !== undefined && identity.cluster !== cluster) throw taken(identity.id, identity.cluster);
    if (line.epoch < this.#control.state.fence) {
      throw new KvError("FENCED", `epoch ${line.epoch} is over`, { fence: this.#control.state.fence });
    }
    const joins = identity.id !== id;
    if (joins && slots.some(({ role }) => role !== "none")) throw taken(identity.id, cluster);
    // First, since it refuses a malformed epoch (N2): a refused node stays what it was.
    this.#raiseFence(line.epoch);
    if (joins) {
      this.#control.append([{ type: "identity", identity: { incarnation: identity.incarnation, cluster, id, seed } }]);
    }
    return { body: { status: "ok" }, until: this.#control.groupUntil };
  }
}

function taken(id: string | undefined, cluster: string): KvError {
  return new KvError(
    "NODE_TAKEN",
    `the node is ${id ?? "a node"} of cluster ${cluster} and holds its data: start it with an empty --data-dir`,
  );
}
