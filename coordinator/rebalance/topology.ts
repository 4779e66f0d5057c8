// Topology: adding and removing nodes, changing the number of copies, while operations go on. The operations stand in the cluster state:
// the first is under way, the others wait, and a new leader goes on where the old one stopped. Each is a sequence of attempts (reseat.ts)
// towards the placement computed from the state; an attempt that aborts is tried again, from the state as it is then.
import { memberOf, type ClusterState, type TopologyOperation } from "../../shared/cluster-state.ts";
import { KvError } from "../../shared/errors.ts";
import type { NodeId } from "../../shared/ids.ts";
import type { OperationChange, OperationStatus, TopologyChange } from "../../shared/protocol/client-messages.ts";
import { run, sleep, wait, type Script } from "../../shared/script.ts";
import { nextBatch, type SlotLoad } from "./batch.ts";
import {
  begin,
  checkChange,
  finished,
  imagined,
  movesFor,
  movesOf,
  settledMembers,
  underReplicated,
  withoutOperation,
  withThoseBack,
} from "./change.ts";
import type { Move, RebalanceContext } from "./context.ts";
import { slotLoads } from "./loads.ts";
import { commandOf, Progress } from "./progress.ts";
import { abandon, reseat } from "./reseat.ts";
import { nextVoters, type SeatWishes } from "./voter-seats.ts";

const RETRY_MS_MIN = 100;
/** How often voters are looked after while nothing else happens. */
const TEND_MS = 1_000;
const RETRY_MS_MAX = 2_000;
/** Operations remembered after their end, for `ops`. */
const ENDED_MAX = 16;

export interface TopologyHost {
  readonly context: RebalanceContext;
  /** Brings a blank node into the cluster. @returns its incarnation, or why not */
  readonly adopt: (node: NodeId, address: string) => Script<ClusterState["members"][number]["incarnation"] | KvError>;
  readonly wishes: (leaving: string | undefined) => SeatWishes;
  readonly notice: (text: string) => void;
}

/** Told whenever an operation has got further; `done` once. */
export type Watcher = (status: OperationStatus, end: { readonly done: boolean; readonly error?: KvError }) => void;

export class Topology {
  readonly #host: TopologyHost;
  readonly #progress = new Map<string, Progress>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #ended: OperationStatus[] = [];
  #running = false;
  /** The operation that is carried out. It may have left the state, and its watchers may not have been told yet. */
  #current: TopologyOperation | undefined;
  #moving = new Set<number>();

  constructor(host: TopologyHost) {
    this.#host = host;
  }

  get #context(): RebalanceContext {
    return this.#host.context;
  }

  /** Whether an attempt is moving the slot right now. */
  moving(slot: number): boolean {
    return this.#moving.has(slot);
  }

  /** Running and waiting operations, then the latest that ended. */
  operations(): OperationStatus[] {
    const { now } = this.#context.timers;
    const open = this.#context
      .state()
      .operations.map((operation) => this.#progressOf(operation).status(operation, now));
    return [...open, ...this.#ended];
  }

  /**
   * Puts an operation into the state and runs it when its turn comes.
   * @returns its id
   */
  *request(change: OperationChange, watcher: Watcher): Script<string | KvError> {
    const refusal = checkChange(this.#context.state(), change);
    if (refusal) return refusal;
    let id = "";
    const proposed = yield* this.#context.propose((state) => {
      id = String(state.nextOperation);
      const operation: TopologyOperation = { id, change, begun: false, slotsTotal: 0 };
      return { ...state, nextOperation: state.nextOperation + 1, operations: queued(state.operations, operation) };
    });
    // Nobody tells the watchers of a leadership that has ended.
    if (!proposed || !this.#context.active())
      return new KvError("LOST", "this coordinator lost its leadership; the operation may have been accepted: see ops");
    this.watch(id, watcher);
    // Said at once, also where others come first: whoever asked learns the id to follow.
    const operation = this.#context.state().operations.find((candidate) => candidate.id === id);
    if (operation) this.#tell(operation);
    this.resume();
    return id;
  }

  watch(id: string, watcher: Watcher): void {
    const watchers = this.#watchers.get(id) ?? new Set();
    watchers.add(watcher);
    this.#watchers.set(id, watchers);
  }

  /** The leadership is over: operations go on under the next leader, and those who watch have to ask there. */
  end(): void {
    const { now } = this.#context.timers;
    const open = new Map(this.#context.state().operations.map((operation) => [operation.id, operation]));
    if (this.#current) open.set(this.#current.id, this.#current);
    for (const operation of open.values()) {
      const error = new KvError("LOST", `another coordinator leads on with ${commandOf(operation.change)}: see ops`);
      const status = this.#progressOf(operation).status(operation, now);
      for (const watcher of this.#watchers.get(operation.id) ?? []) watcher(status, { done: true, error });
    }
    this.#watchers.clear();
  }

  unwatch(watcher: Watcher): void {
    for (const watchers of this.#watchers.values()) watchers.delete(watcher);
  }

  /** Stops an operation safely: slots already moved stay moved. */
  cancel(id: string): KvError | undefined {
    const operation = this.#context.state().operations.find((candidate) => candidate.id === id);
    if (!operation) return new KvError("NO_SUCH_OPERATION", `no running operation ${id}: see ops`);
    const progress = this.#progressOf(operation);
    progress.cancelled = true;
    progress.phase = "cancelling";
    this.resume();
    return undefined;
  }

  /** Runs what stands in the state, one after the other. */
  resume(): void {
    if (this.#running) return;
    this.#running = true;
    run(this.#runAll()).whenDone(() => {
      this.#running = false;
    });
  }

  *#runAll(): Script<void> {
    for (;;) {
      const [operation] = this.#context.state().operations;
      if (!operation || !this.#context.active()) return;
      this.#current = operation;
      const error = yield* this.#execute(operation);
      if (!this.#context.active()) return;
      this.#end(operation, error);
      this.#current = undefined;
    }
  }

  *#execute(operation: TopologyOperation): Script<KvError | undefined> {
    const progress = this.#progressOf(operation);
    if (progress.cancelled && !operation.begun) {
      yield* this.#context.propose((state) => withoutOperation(state, operation.id));
      return new KvError("CANCELLED", `${commandOf(operation.change)} was cancelled before it began`);
    }
    progress.phase = "moving";
    const refusal = yield* this.#begin(operation);
    if (refusal || !this.#context.active()) return refusal;
    const moved = yield* this.#move(operation, progress);
    if (!this.#context.active()) return undefined;
    if (!moved) return yield* this.#stop(operation);
    yield* this.#finish(operation);
    return undefined;
  }

  /** The operation's first change of the state; repeating it does nothing. */
  *#begin({ id, change, begun }: TopologyOperation): Script<KvError | undefined> {
    if (begun) return undefined;
    const refusal = checkChange(this.#context.state(), change);
    let joined: (state: ClusterState) => ClusterState = (state) => state;
    if (change.op === "addnode" && !refusal && !memberOf(this.#context.state(), change.node)) {
      const incarnation = yield* this.#host.adopt(change.node, change.address);
      if (!this.#context.active()) return undefined;
      if (incarnation instanceof KvError) return yield* this.#refuse(id, incarnation);
      const member = {
        id: change.node,
        incarnation,
        address: change.address,
        weight: change.weight ?? 1,
        state: "joining",
      } as const;
      joined = (state) => ({ ...state, members: [...state.members, member] });
    }
    if (refusal) return yield* this.#refuse(id, refusal);
    yield* this.#context.propose((state) => begin(joined(state), id, change));
    return undefined;
  }

  *#refuse(id: string, error: KvError): Script<KvError> {
    yield* this.#context.propose((state) => withoutOperation(state, id));
    return error;
  }

  /** Attempts until everything is where it should be; false when cancelled. */
  *#move(operation: TopologyOperation, progress: Progress): Script<boolean> {
    let retryMs = RETRY_MS_MIN;
    for (;;) {
      const load = yield* slotLoads(this.#context, this.#context.pacer);
      if (!this.#context.active()) return false;
      if (withThoseBack(this.#context.state()) !== this.#context.state()) yield* this.#context.propose(withThoseBack);
      if (!this.#context.active()) return false;
      const moves = movesFor(this.#context.state(), operation.change);
      this.#countTotals(progress, moves, load);
      let aborted: string | undefined;
      for (let left = moves; left.length > 0 && aborted === undefined;) {
        if (progress.cancelled) return false;
        const batch = nextBatch(left, load, progress.slotsMoved === 0);
        aborted = yield* this.#attempt(operation, progress, batch);
        if (!this.#context.active()) return false;
        if (aborted === undefined) retryMs = RETRY_MS_MIN;
        const done = new Set(batch.map(({ slot }) => slot));
        left = left.filter(({ slot }) => !done.has(slot));
      }
      if (progress.cancelled) return false;
      aborted ??= this.#unmoved(operation);
      if (aborted === undefined) return true;
      progress.phase = "waiting";
      progress.waitingBecause = `waiting: ${aborted}`;
      this.#tell(operation);
      yield* wait(sleep(this.#context.timers, retryMs));
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
      if (!this.#context.active()) return false;
    }
  }

  /** Why a node that leaves cannot go yet, although nothing is left to do that could be done. */
  #unmoved({ change }: TopologyOperation): string | undefined {
    if (change.op !== "removenode") return undefined;
    const count = this.#context.state().slots.filter(({ members }) => members.includes(change.node)).length;
    if (count === 0) return undefined;
    return `no other node can take ${count} slots of ${change.node}: start those that are down, or add one`;
  }

  /** Returns why it aborted, if it did. */
  *#attempt(operation: TopologyOperation, progress: Progress, batch: readonly Move[]): Script<string | undefined> {
    this.#moving = new Set(batch.map(({ slot }) => slot));
    const keysBefore = progress.keysMoved;
    const slotsBefore = progress.slotsMoved;
    const observer = {
      cancelled: () => progress.cancelled,
      copied: (keys: number, bytes: number) => {
        progress.keysMoved += keys;
        progress.bytesMoved += bytes;
        this.#tell(operation);
      },
      handedOver: (slots: number, freezeMs: number) => {
        progress.slotsMoved += slots;
        progress.froze(freezeMs, slots);
        this.#tell(operation);
      },
    };
    const { lost, rest } = this.#split(operation.change, batch);
    const result = yield* lost.length > 0
      ? abandon(this.#context, lost, observer)
      : reseat(this.#context, rest, observer);
    this.#moving = new Set();
    if (result.type === "aborted") {
      if (progress.slotsMoved === slotsBefore) progress.keysMoved = keysBefore;
      return result.reason;
    }
    if (result.type === "ended") return "the leadership ended";
    progress.phase = progress.cancelled ? "cancelling" : "moving";
    progress.waitingBecause = undefined;
    this.#tell(operation);
    return lost.length > 0 && rest.length > 0 ? "the slots that were lost come first" : undefined;
  }

  /** `removenode --force`: slots whose only copies are on the dead node start empty. */
  #split(change: OperationChange, batch: readonly Move[]): { lost: readonly Move[]; rest: readonly Move[] } {
    if (change.op !== "removenode" || change.force !== true) return { lost: [], rest: batch };
    const isLost = ({ slot }: Move): boolean => {
      const members = this.#context.slots[slot]?.members ?? [];
      return members.every((id) => id === change.node) && this.#context.peers.get(change.node)?.up !== true;
    };
    return { lost: batch.filter(isLost), rest: batch.filter((move) => !isLost(move)) };
  }

  #countTotals(progress: Progress, moves: readonly Move[], load: (slot: number) => SlotLoad): void {
    const copies = ({ slot, members }: Move): number => {
      const old = this.#context.slots[slot]?.members ?? [];
      return members.filter((id) => !old.includes(id)).length * load(slot).keys;
    };
    progress.slotsTotal = progress.slotsMoved + moves.length;
    progress.keysTotal = progress.keysMoved + moves.reduce((sum, move) => sum + copies(move), 0);
  }

  /** Everything is in place: the members and voters become what they should be. */
  *#finish({ id, change }: TopologyOperation): Script<void> {
    const leaving = change.op === "removenode" ? change.node : undefined;
    yield* this.#adjustVoters(leaving);
    yield* this.#context.propose((state) => withoutOperation(finished(state, change), id));
  }

  /** Cancelled: what was not committed is undone, what was stays. */
  *#stop({ id, change, previousRf }: TopologyOperation): Script<KvError> {
    yield* this.#context.propose((state) => {
      const rf = change.op === "setreplica" ? (previousRf ?? state.rf) : state.rf;
      return withoutOperation({ ...state, rf, members: settledMembers(state) }, id);
    });
    yield* this.#adjustVoters(undefined);
    return new KvError("CANCELLED", `${commandOf(change)} was cancelled; slots already moved stay moved`);
  }

  /** V5: voters follow the members, and those that answer, also when no operation runs. */
  *tendVoters(): Script<void> {
    while (this.#context.active()) {
      if (!this.#running) yield* this.#adjustVoters(undefined);
      yield* wait(sleep(this.#context.timers, TEND_MS));
    }
  }

  /** V5: one change at a time, as far as those concerned answer. */
  *#adjustVoters(leaving: string | undefined): Script<void> {
    for (;;) {
      if (!this.#context.active()) return;
      let changed = false;
      const accepted = yield* this.#context.propose((state) => {
        const voters = nextVoters(state, this.#host.wishes(leaving));
        changed = voters !== undefined;
        return voters ? { ...state, voters } : state;
      });
      if (changed && accepted) continue;
      const stillSeated = this.#context.state().voters.some(({ id }) => id === leaving);
      if (leaving === undefined || !stillSeated) return;
      // A member that leaves must not keep its vote: wait until the others can agree on it.
      yield* wait(sleep(this.#context.timers, RETRY_MS_MAX));
    }
  }

  #end(operation: TopologyOperation, error: KvError | undefined): void {
    const progress = this.#progressOf(operation);
    const { now } = this.#context.timers;
    const phase = error === undefined ? "done" : error.code === "CANCELLED" ? "cancelled" : "failed";
    progress.ended(phase, now);
    if (error) progress.notes.push(error.message);
    // Growing towards the copies wanted needs no warning; losing some does.
    const note = operation.change.op === "addnode" ? undefined : underReplicated(this.#context.state());
    if (note) progress.notes.push(note);
    const status = progress.status(operation, now);
    this.#ended.unshift(status);
    this.#ended.length = Math.min(this.#ended.length, ENDED_MAX);
    for (const watcher of this.#watchers.get(operation.id) ?? [])
      watcher(status, { done: true, ...(error && { error }) });
    this.#watchers.delete(operation.id);
    this.#progress.delete(operation.id);
    this.#host.notice(`operation ${operation.id} (${commandOf(operation.change)}): ${phase}`);
  }

  #tell(operation: TopologyOperation): void {
    const ahead = this.#context.state().operations.findIndex(({ id }) => id === operation.id);
    const now = this.#progressOf(operation).status(operation, this.#context.timers.now);
    const status = now.phase === "queued" && ahead > 0 ? { ...now, ahead } : now;
    for (const watcher of this.#watchers.get(operation.id) ?? []) watcher(status, { done: false });
  }

  #progressOf({ id }: TopologyOperation): Progress {
    const known = this.#progress.get(id) ?? new Progress(this.#context.timers.now);
    this.#progress.set(id, known);
    return known;
  }

  /** What a change would move from the state as it is (`plan`). */
  planned(change: TopologyChange): readonly Move[] | KvError {
    const state = this.#context.state();
    const refusal = checkChange(state, change);
    return refusal ?? movesOf(imagined(state, change));
  }
}

/** What the leader does by itself comes after what was asked for and has not begun; what runs goes on. */
function queued(operations: readonly TopologyOperation[], operation: TopologyOperation): TopologyOperation[] {
  const waiting = operations.findIndex(({ change, begun }, index) => index > 0 && change.op === "replace" && !begun);
  if (operation.change.op === "replace" || waiting < 0) return [...operations, operation];
  return operations.toSpliced(waiting, 0, operation);
}
