// A read alone (C6), against members that answer when a test says so: whom it asks, for what, and when it has an answer.
import { InStep } from "../../../coordinator/cluster/in-step.ts";
import type { SequencerContext } from "../../../coordinator/sequencer/context.ts";
import { EpochRounds } from "../../../coordinator/sequencer/epoch-rounds.ts";
import { failure, type EpochListener, type OpListener } from "../../../coordinator/links/link.ts";
import type { FlightFollower, ReadOutcome } from "../../../coordinator/sequencer/operation.ts";
import { QuorumRead } from "../../../coordinator/sequencer/quorum-read.ts";
import { ReadCache } from "../../../coordinator/sequencer/read-cache.ts";
import type { SequencerServices } from "../../../coordinator/sequencer/services.ts";
import type { NodeId } from "../../../shared/ids.ts";
import type { DataOp, OpResult, ReadOp, Refusal } from "../../../shared/protocol/node-messages.ts";
import { Timers } from "../../../shared/timers.ts";
import type { Version } from "../../../shared/version.ts";

export const MEMBERS = ["A", "B", "C"] as NodeId[];
export const HEDGE_MS = 40;
/** What is told where members hold version 1.5. */
export const FIVE = { type: "value", value: "value 5", origin: [1, 5], stale: false };

export class ReadBench {
  readonly timers = new Timers(0);
  /** Every question, in order: who was asked, and whether the version was enough, or the epoch. */
  asked: string[] = [];
  readonly outcomes: (ReadOutcome | "fix")[] = [];
  readonly sluggish = new Set<string>();
  /** Whether a blind write of the key is on its way; then, who waits for it. */
  writeUnderWay = false;
  follower: FlightFollower | undefined;
  readonly inStep = new InStep();
  readonly fences: number[] = [];
  readonly runtime: {
    slot: number;
    members: readonly NodeId[];
    quorum: number;
    memberList: string;
    stamp: Version;
    held: boolean;
    issued: number;
    inStep: InStep;
  };
  /** Whether a version of the key is on its way or in doubt. */
  unsettled = false;
  /** What is to be called when the slot has changed hands. */
  free: (() => void) | undefined;
  readonly cache = new ReadCache(1024 * 1024);
  /** The read that it is about. */
  readonly read: QuorumRead;
  /** One more of the same key. */
  readonly another: () => QuorumRead;
  readonly #epochs = new Map<NodeId, EpochListener>();
  readonly #questions: { readonly node: NodeId; readonly op: ReadOp; readonly listener: OpListener }[] = [];

  constructor(level: "one" | "quorum" | "all" = "quorum") {
    const { inStep, cache } = this;
    const members = { members: MEMBERS, memberList: "A B C", quorum: 2 };
    this.runtime = { slot: 1, ...members, stamp: [1, 1], held: false, issued: 0, inStep };
    const context = {
      timers: this.timers,
      without: new Set(),
      slot: () => this.runtime,
      confirmEpoch: (node: NodeId, listener: EpochListener) => {
        this.asked.push(`${node} epoch`);
        this.#epochs.set(node, listener);
      },
      fenced: (epoch: number) => this.fences.push(epoch),
      send: (node: NodeId, op: DataOp, listener: OpListener) => this.#ask(node, op as ReadOp, listener),
      reachable: () => true,
      hopeful: () => true,
      inTurn: (members: readonly NodeId[]) => members,
      sluggish: (node: NodeId) => this.sluggish.has(node),
    };
    const services = {
      context,
      readCache: cache,
      epochRounds: new EpochRounds(context as unknown as SequencerContext),
      unsettled: () => this.unsettled,
      whenFree: (_slot: number, resume: () => void) => void (this.free = resume),
      fix: () => this.outcomes.push("fix"),
      follow: (_key: string, follower: FlightFollower) => {
        if (this.writeUnderWay) this.follower = follower;
        return this.writeUnderWay;
      },
      wasRead: ({ reply, operation: asked }: QuorumRead, outcome: ReadOutcome) => reply(outcome, asked),
    };
    const about = { type: "read", client: 1, id: 1, key: "k", slot: 1 } as const;
    const operation = { ...about, level, startedAt: 0, deadline: 1_000 };
    this.another = () =>
      new QuorumRead(services as unknown as SequencerServices, operation, (outcome) => this.outcomes.push(outcome));
    this.read = this.another();
  }

  /** Answers what a member was asked last, as a node would. */
  answers(node: string, version: Version): void {
    const question = this.#questions.findLast((candidate) => candidate.node === node);
    const value = `value ${version[1]}`;
    this.#tell(node, question?.op.brief === true ? { status: "ok", version } : { status: "ok", version, value });
  }

  refuses(node: string): void {
    this.#tell(node, failure("NOT_OWNER", "not a member"));
  }

  /** A read has found the key at version 1.5: the next one that does has it kept. */
  wasRead(): void {
    this.cache.found("k", { status: "ok", version: [1, 5], value: "value 5" }, this.runtime);
  }

  /** The leader knows the key, at version 1.5. */
  knows(): void {
    this.wasRead();
    this.wasRead();
  }

  /** The end of a turn: what members are asked leaves. */
  flush(): void {
    for (const listener of this.#epochs.values()) listener.epochAsked?.();
  }

  /** A member that was asked for its epoch answers. */
  confirms(node: string, refusal?: Refusal): void {
    this.#epochs.get(node as NodeId)?.epochTold(refusal);
  }

  #tell(node: string, result: OpResult): void {
    this.#questions.findLast((candidate) => candidate.node === node)?.listener.settled(node as NodeId, result);
  }

  #ask(node: NodeId, op: ReadOp, listener: OpListener): void {
    this.asked.push(op.brief === true ? `${node} brief` : node);
    this.#questions.push({ node, op, listener });
  }
}
