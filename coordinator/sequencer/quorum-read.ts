// Reads (C6): ask R members at the leader's epoch; R equal versions are the answer, without any lock. Otherwise ask the remaining
// members; still not R equal: FIX. Level one takes the first answer, level all wants every replica to agree. A slow, dead or
// refusing replica is passed over in favour of another one.
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { OpResult, ReadResult } from "../../shared/protocol/node-messages.ts";
import { equal } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { OpListener } from "../links/link.ts";
import { tooFewReplicas, type ReadOperation, type ReadOutcome, type Swept } from "./operation.ts";
import type { SequencerServices } from "./services.ts";

/** Silence after which another replica is asked as well. */
const HEDGE_MS = 40;
/** With a quorum of unequal answers, how long the silent ones may still decide before FIX does. */
const FIX_AFTER_MS = 100;
/** Pause before a refused replica is asked again. */
const AGAIN_MS = 40;

export class QuorumRead implements OpListener, Swept {
  readonly operation: ReadOperation;
  readonly #sequencer: SequencerServices;
  readonly #reply: (outcome: ReadOutcome) => void;
  readonly #runtime: SlotRuntime;
  /** The membership that the answers belong to. */
  #members: readonly NodeId[] = [];
  #answers = new Map<NodeId, ReadResult>();
  #asked = new Map<NodeId, number>();
  #refused = new Map<NodeId, number>();
  #started = false;
  #done = false;
  /** Distinguishes answers to this round from those to an earlier one. */
  #round: { readonly listener: OpListener } | undefined;

  constructor(sequencer: SequencerServices, operation: ReadOperation, reply: (outcome: ReadOutcome) => void) {
    this.#sequencer = sequencer;
    this.operation = operation;
    this.#reply = reply;
    this.#runtime = sequencer.context.slot(operation.slot);
  }

  get client(): number {
    return this.operation.client;
  }

  get #needed(): number {
    if (this.operation.level === "one") return 1;
    return this.operation.level === "all" ? this.#members.length : this.#runtime.quorum;
  }

  /** (Re)starts with the slot's present members. Level one passes while a slot changes hands. */
  start(): void {
    if (this.#done) return;
    this.#started = true;
    this.#members = this.#runtime.members;
    this.#answers.clear();
    this.#asked.clear();
    this.#refused.clear();
    if (this.#runtime.held && this.operation.level !== "one") {
      this.#round = undefined;
      this.#sequencer.whenFree(this.#runtime.slot, () => this.start());
      return;
    }
    const round = { listener: { settled: (node: NodeId, result: OpResult) => this.#heard(round, node, result) } };
    this.#round = round;
    this.#askMore(this.#needed);
  }

  settled(): void {
    // Answers come in through the listener of their round.
  }

  /** Asks `count` members that were not asked yet, the best first. */
  #askMore(count: number): void {
    const { context } = this.#sequencer;
    const open = this.#members.filter((node) => !this.#asked.has(node) && context.reachable(node));
    const ordered =
      open.length > count ? [...open].sort((a, b) => Number(context.sluggish(a)) - Number(context.sluggish(b))) : open;
    for (const node of ordered.slice(0, count)) this.#ask(node);
  }

  #ask(node: NodeId): void {
    const { context } = this.#sequencer;
    const listener = this.#round?.listener;
    if (!listener) return;
    this.#asked.set(node, context.timers.now);
    this.#refused.delete(node);
    const { slot, key } = this.operation;
    context.send(node, { op: "read", slot, stamp: this.#runtime.stamp, key }, listener);
  }

  #heard(round: object, node: NodeId, result: OpResult): void {
    if (this.#done || round !== this.#round) return;
    if (this.#members !== this.#runtime.members) return this.start();
    if (result.status === "ok") {
      this.#answers.set(node, result as ReadResult);
      this.#decide();
      return;
    }
    if (result.code === "FENCED") this.#sequencer.context.fenced(Number(result["fence"]));
    this.#refused.set(node, this.#sequencer.context.timers.now);
    if (!this.#done) this.#askMore(1);
  }

  #decide(): void {
    const agreed = this.#agreed();
    if (agreed) return this.#finish(outcome(agreed, this.operation.level === "one"));
    if (this.#answers.size < this.#needed) return;
    if (this.#answers.size === this.#members.length) return this.#fix();
    this.#askMore(this.#members.length);
  }

  /** The version that enough members hold; undefined while there is none. */
  #agreed(): ReadResult | undefined {
    const answers = [...this.#answers.values()];
    if (this.#sequencer.context.without.has("C6") && answers.length >= this.#needed) return answers[0];
    return answers.find(
      (candidate) => answers.filter(({ version }) => equal(version, candidate.version)).length >= this.#needed,
    );
  }

  #fix(): void {
    this.#done = true;
    this.#sequencer.fix(this.operation, this.#reply);
  }

  sweep(now: number): boolean {
    if (this.#done) return false;
    if (now >= this.operation.deadline) {
      const error = this.#runtime.held
        ? new KvError("MOVING", "the slot changed hands for longer than the deadline")
        : tooFewReplicas(this.#answers.size, this.#needed);
      this.#finish({ type: "error", error });
      return false;
    }
    // One that waits behind a write of its own connection is started by that write's end, not from here.
    if (this.#started && this.#members !== this.#runtime.members) this.start();
    if (this.#round) this.#nudge(now);
    return !this.#done;
  }

  /** Hedges against silence, asks refusing replicas again, and turns to FIX when a quorum has answered without agreeing. */
  #nudge(now: number): void {
    for (const [node, at] of this.#refused) {
      if (now - at >= AGAIN_MS && this.#sequencer.context.reachable(node)) this.#ask(node);
    }
    const hopeful = this.#members.filter((node) => this.#sequencer.context.hopeful(node)).length;
    if (hopeful < this.#needed) return this.#finish({ type: "error", error: tooFewReplicas(hopeful, this.#needed) });
    const silent = [...this.#asked].filter(([node]) => !this.#answers.has(node));
    const patience = (limitMs: number): boolean => silent.every(([, at]) => now - at >= limitMs);
    const { level } = this.operation;
    if (this.#answers.size >= this.#needed && level === "quorum" && patience(FIX_AFTER_MS)) return this.#fix();
    if (silent.length === 0 || silent.some(([, at]) => now - at >= HEDGE_MS)) this.#askMore(this.#members.length);
  }

  /** The epoch is over. */
  abandon(error: KvError): void {
    this.#finish({ type: "error", error });
  }

  #finish(result: ReadOutcome): void {
    if (this.#done) return;
    this.#done = true;
    this.#reply(result);
  }
}

/** A replica's answer as an operation's. */
export function outcome(result: ReadResult, stale: boolean): ReadOutcome {
  return { type: "value", value: result.value, origin: result.origin ?? result.version, stale };
}
