// One key in a whole sequencer, against three members that answer when a test says so.
import { InStep } from "../../../coordinator/cluster/in-step.ts";
import type { EpochListener, OpListener } from "../../../coordinator/links/link.ts";
import type { SequencerContext } from "../../../coordinator/sequencer/context.ts";
import type { ReadOperation, WriteOperation } from "../../../coordinator/sequencer/operation.ts";
import { Remembered } from "../../../coordinator/sequencer/remembered.ts";
import { Sequencer } from "../../../coordinator/sequencer/sequencer.ts";
import type { NodeId } from "../../../shared/ids.ts";
import type { DataOp, OpResult, ReadOp, WriteOp } from "../../../shared/protocol/node-messages.ts";
import type { WireValue } from "../../../shared/record.ts";
import { Timers } from "../../../shared/timers.ts";
import { format, type Version } from "../../../shared/version.ts";

const MEMBERS = ["A", "B", "C"] as NodeId[];
export const DEADLINE_MS = 1_000;
const OK: OpResult = { status: "ok" };

interface Question {
  readonly node: NodeId;
  readonly op: DataOp;
  readonly listener: OpListener;
}

export class KeyBench {
  readonly timers = new Timers(0);
  readonly runtime = {
    slot: 1,
    members: MEMBERS,
    memberList: "A B C",
    quorum: 2,
    committed: [1, 1] as Version,
    stamp: [1, 1] as Version,
    forward: undefined,
    held: false,
    inFlight: 0,
    issued: 0,
    inStep: new InStep(),
  };
  /** Outcomes by the number of the operation: a version, `value version`, or an error's code. */
  readonly told: Record<number, string> = {};
  readonly sequencer: Sequencer;
  #open: Question[] = [];
  /** Who is asked for the epoch, and was not heard yet. */
  #epochs: { readonly node: NodeId; readonly listener: EpochListener }[] = [];
  #versions = 0;
  #ids = 0;

  /** @param readCacheBytes None: every read asks the members. */
  constructor(readCacheBytes = 0) {
    const context: SequencerContext = {
      epoch: 1,
      timers: this.timers,
      without: new Set(),
      slot: () => this.runtime,
      send: (node, op, listener) => void this.#open.push({ node, op, listener }),
      confirmEpoch: (node, listener) => void this.#epochs.push({ node, listener }),
      reachable: () => true,
      hopeful: () => true,
      sluggish: () => false,
      inTurn: (members) => members,
      paused: () => false,
      nextVersion: () => [1, ++this.#versions],
      missed: () => undefined,
      fenced: () => undefined,
    };
    this.sequencer = new Sequencer(context, new Remembered(7), readCacheBytes);
  }

  /** What was sent and not answered, in order. */
  get sent(): string[] {
    return this.#open.map(({ node, op }) => {
      if (op.op === "write") return `${node} ${format(op.version)}=${textOf(op.value)}`;
      return `${node} ${op.op}`;
    });
  }

  put(value: string, change: Partial<WriteOperation> = {}): number {
    const id = ++this.#ids;
    const nothing = { condition: undefined, wantsFound: false, operation: "", firstEpoch: undefined, report: false };
    const operation: WriteOperation = { type: "write", ...about(id), value, ...nothing, ...change };
    this.sequencer.write(operation, (outcome) => {
      this.told[id] = outcome.type === "written" ? format(outcome.version) : outcome.error.code;
    });
    return id;
  }

  get(change: Partial<ReadOperation> = {}): number {
    const id = ++this.#ids;
    this.sequencer.read({ type: "read", ...about(id), ...change }, (outcome) => {
      const told = outcome.type === "value" ? `${textOf(outcome.value)} ${format(outcome.origin)}` : outcome.error.code;
      this.told[id] = told;
    });
    return id;
  }

  /** These members tell that they are at this epoch. */
  confirm(nodes: string): void {
    const asked = this.#epochs;
    this.#epochs = asked.filter(({ node }) => !nodes.includes(node));
    for (const { node, listener } of asked) if (nodes.includes(node)) listener.epochTold(undefined);
  }

  /** These members answer everything they were sent. @param held What they have where they are asked. */
  answer(nodes: string, held: { readonly version: Version; readonly value: string } = { version: [1, 0], value: "-" }) {
    const answering = this.#open.filter(({ node }) => nodes.includes(node));
    this.#open = this.#open.filter(({ node }) => !nodes.includes(node));
    for (const { node, op, listener } of answering) {
      const result = op.op === "read" ? { status: "ok" as const, ...held } : OK;
      listener.settled(
        node,
        op.op === "read" && (op as ReadOp).brief ? { status: "ok", version: held.version } : result,
      );
    }
  }

  refuse(nodes: string, code: "DISK_FULL" | "LOST" = "DISK_FULL"): void {
    const answering = this.#open.filter(({ node }) => nodes.includes(node));
    this.#open = this.#open.filter(({ node }) => !nodes.includes(node));
    const refusal: OpResult = { status: "error", code, message: "refused" };
    for (const { node, listener } of answering) listener.settled(node, refusal);
  }

  after(ms: number): void {
    this.timers.advance(this.timers.now + ms);
  }

  /** The last write that a member was sent. */
  lastWrite(): WriteOp {
    return this.#open.findLast(({ op }) => op.op === "write")?.op as WriteOp;
  }
}

function textOf(value: WireValue | null): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function about(id: number): Pick<ReadOperation, "client" | "id" | "key" | "slot" | "level" | "deadline" | "startedAt"> {
  return { client: 1, id, key: "k", slot: 1, level: "quorum", deadline: DEADLINE_MS, startedAt: 0 };
}
