// Register access for scripts that hold a key's lock: read the replicas, drive a version to a write quorum, settle what is in doubt
// (C5). Each step ends by the operation's deadline, or when the slot is taken away for sealing.
import type { NodeId } from "../../shared/ids.ts";
import type { ReadResult } from "../../shared/protocol/node-messages.ts";
import { Future, wait, type Script } from "../../shared/script.ts";
import { compare, equal } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import { heedFence } from "./context.ts";
import { Drive, type Issued } from "./drive.ts";
import type { Swept } from "./operation.ts";
import type { SequencerServices } from "./services.ts";

/** What the replicas said. */
export interface Readings {
  readonly answers: readonly ReadResult[];
  /** Members of the slot. */
  readonly replicas: number;
  readonly quorum: number;
}

/** How long silent replicas are waited for once a quorum has answered. */
const PATIENCE_MS = 100;
const AGAIN_MS = 40;

export class RegisterIo {
  readonly #sequencer: SequencerServices;
  readonly #runtime: SlotRuntime;
  readonly #key: string;
  readonly #deadline: number;
  /** Set when the slot is about to be sealed: nothing more is started. */
  interrupted = false;
  /** Whether a version of this operation's own was sent. */
  issued = false;
  readonly #pending = new Set<() => void>();

  constructor(
    sequencer: SequencerServices,
    operation: { readonly key: string; readonly slot: number; readonly deadline: number },
  ) {
    this.#sequencer = sequencer;
    this.#runtime = sequencer.context.slot(operation.slot);
    this.#key = operation.key;
    this.#deadline = operation.deadline;
  }

  get quorum(): number {
    return this.#runtime.quorum;
  }

  interrupt(): void {
    this.interrupted = true;
    for (const end of this.#pending) end();
  }

  /** Asks all members until `enough` of them answered and the rest had its chance; fewer when time is over. */
  *read(enough: number): Script<Readings> {
    const answers = new Map<NodeId, ReadResult>();
    const askedAt = new Map<NodeId, number>();
    const done = new Future<void>();
    const { members, slot } = this.#runtime;
    const startedAt = this.#sequencer.context.timers.now;
    const heard = (node: NodeId, result: { readonly status: string }): void => {
      if (result.status === "ok") answers.set(node, result as ReadResult);
      else heedFence(this.#sequencer.context, result);
      if (answers.size === members.length || (answers.size >= enough && agreeing(answers, enough))) done.resolve();
    };
    const ask = (now: number): void => {
      for (const node of members) {
        const last = askedAt.get(node);
        if (answers.has(node) || (last !== undefined && now - last < AGAIN_MS * 4)) continue;
        if (!this.#sequencer.context.reachable(node)) continue;
        askedAt.set(node, now);
        const op = { op: "read", slot, stamp: this.#runtime.stamp, key: this.#key } as const;
        this.#sequencer.context.send(node, op, { settled: heard });
      }
    };
    ask(startedAt);
    yield* this.#until(done, (now) => {
      if (answers.size >= enough && now - startedAt >= PATIENCE_MS) return done.resolve();
      ask(now);
    });
    return { answers: [...answers.values()], replicas: members.length, quorum: this.#runtime.quorum };
  }

  /** Issues a version and drives it until `enough` members have it; in doubt when a write quorum does not. */
  *drive(issued: Issued, enough: "quorum" | "all"): Script<Drive> {
    this.issued = true;
    return yield* this.#drive(issued, enough);
  }

  *#drive(issued: Issued, enough: "quorum" | "all"): Script<Drive> {
    const done = new Future<void>();
    const driven = (changed: Drive): void => {
      if (changed.installed) this.#sequencer.installed(issued, cached);
      const ended = enough === "all" ? changed.complete : changed.installed;
      if (ended || (changed.hopeless && changed.refusedByAll)) done.resolve();
    };
    const drive = new Drive(this.#sequencer.context, issued, { driven });
    const cached = this.#sequencer.issues(issued);
    drive.start();
    yield* this.#until(done, (now) => drive.resend(now));
    this.#sequencer.inDoubt.givenUp(drive);
    return drive;
  }

  /** C5: before a conditional write, the last issued version must be installed. It keeps its version. */
  *settle(): Script<boolean> {
    const doubtful = this.#sequencer.inDoubt.get(this.#key);
    if (!doubtful || this.#sequencer.context.without.has("C5")) return true;
    if (this.interrupted) return false;
    const drive = yield* this.#drive(doubtful, "quorum");
    return drive.installed && !this.interrupted;
  }

  /** Waits for the future, looking in from time to time, until the deadline or an interruption. */
  *#until(done: Future<void>, tick: (now: number) => void): Script<void> {
    if (this.interrupted) return;
    const end = (): void => done.resolve();
    this.#pending.add(end);
    const swept: Swept = {
      sweep: (now) => {
        if (now >= this.#deadline) done.resolve();
        else if (!done.done) tick(now);
        return !done.done;
      },
    };
    this.#sequencer.sweepLater(swept);
    yield* wait(done);
    this.#pending.delete(end);
  }
}

function agreeing(answers: ReadonlyMap<NodeId, ReadResult>, enough: number): boolean {
  const all = [...answers.values()];
  return agreedAmong(all, enough) !== undefined;
}

/** The version that at least `enough` replicas hold. */
export function agreedAmong(answers: readonly ReadResult[], enough: number): ReadResult | undefined {
  return answers.find(
    (candidate) => answers.filter(({ version }) => equal(version, candidate.version)).length >= enough,
  );
}

export function highestOf(answers: readonly ReadResult[]): ReadResult {
  return answers.reduce((best, answer) => (compare(answer.version, best.version) > 0 ? answer : best));
}
