// Blind writes (C3, C4): tag, send to all members, acknowledge at the level's count of exact oks. Adjacent blind writes of one key
// that wait for its lock are combined: each takes its own version and is answered at its own level; only the last is sent. The key
// stays locked until a write quorum has it, until it definitely failed, or until the deadline: then it is in doubt (C5).
import { KvError, type ErrorCode } from "../../shared/errors.ts";
import type { Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import { Drive, issuedIn, type DriveOwner } from "./drive.ts";
import type { KeyTask } from "./key-locks.ts";
import {
  tooFewReplicas,
  unknownWrite,
  type EndReason,
  type FlightFollower,
  type Reply,
  type Swept,
  type WriteOperation,
  type WriteOutcome,
} from "./operation.ts";
import type { SequencerServices } from "./services.ts";

/** How long a reported write waits for the replicas that its level did not need. */
const REPORT_WAIT_MS = 200;

export class BlindWrite implements KeyTask, Swept {
  readonly operation: WriteOperation;
  /** Whom to tell; the sequencer does. */
  readonly reply: Reply<WriteOperation, WriteOutcome>;
  /** What its flight issued it as. */
  version: Version | undefined;
  readonly #sequencer: SequencerServices;
  #answered = false;
  #flight: Flight | undefined;

  constructor(sequencer: SequencerServices, operation: WriteOperation, reply: Reply<WriteOperation, WriteOutcome>) {
    this.#sequencer = sequencer;
    this.operation = operation;
    this.reply = reply;
  }

  get key(): string {
    return this.operation.key;
  }

  get client(): number {
    return this.operation.client;
  }

  get combinable(): boolean {
    return true;
  }

  get answered(): boolean {
    return this.#answered;
  }

  get flight(): Flight | undefined {
    return this.#flight;
  }

  start(): void {
    this.startCombined([this]);
  }

  startCombined(tasks: readonly KeyTask[]): void {
    const writes = tasks as readonly BlindWrite[];
    const flight = new Flight(this.#sequencer, writes);
    for (const write of writes) write.#flight = flight;
    flight.begin();
  }

  answer(outcome: WriteOutcome): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#sequencer.written(this, outcome);
  }

  /** M2. */
  interrupt(slots: ReadonlySet<number>): void {
    if (this.#flight?.sent === true) this.#flight.interrupt(slots);
  }

  /** The epoch is over. A write for all replicas may wait for the last of them after its flight has given the key back. */
  abandon(reason: EndReason): void {
    this.answer({ type: "error", error: reason(this.#flight?.sent === true) });
    this.#flight?.end();
  }

  sweep(now: number): boolean {
    if (this.#flight) return this.#flight.sweep(now);
    if (this.#answered) return false;
    if (now < this.operation.deadline) return true;
    this.#sequencer.locks.withdraw(this);
    this.answer({
      type: "error",
      error: new KvError("NO_QUORUM", "the key was busy for the whole deadline; nothing was sent"),
    });
    return false;
  }
}

/** One or several blind writes that share one sending. */
export class Flight implements DriveOwner {
  readonly #sequencer: SequencerServices;
  #writes: readonly BlindWrite[];
  readonly #runtime: SlotRuntime;
  /** The latest of its writes. */
  #deadline = 0;
  #drive: Drive | undefined;
  #holdsLock = true;
  #parked = false;
  #acknowledgedAt: number | undefined;
  #followers: FlightFollower[] | undefined;

  constructor(sequencer: SequencerServices, writes: readonly BlindWrite[]) {
    this.#sequencer = sequencer;
    this.#writes = writes;
    this.#runtime = sequencer.context.slot(this.#last.operation.slot);
    for (const { operation } of writes) this.#deadline = Math.max(this.#deadline, operation.deadline);
  }

  /** Whether anything was sent. */
  get sent(): boolean {
    return this.#drive !== undefined;
  }

  /** Tells the follower when the flight gives its key back. False where it was not sent, or has done so. */
  follow(follower: FlightFollower): boolean {
    if (!this.sent || !this.#holdsLock) return false;
    (this.#followers ??= []).push(follower);
    return true;
  }

  get #last(): BlindWrite {
    return this.#writes[this.#writes.length - 1] as BlindWrite;
  }

  /** Tags and sends, as soon as the slot is free and enough replicas answer. */
  begin(): void {
    if (this.#drive || !this.#holdsLock || this.#parked) return;
    if (this.#runtime.held) {
      this.#parked = true;
      this.#sequencer.whenFree(this.#runtime.slot, () => {
        this.#parked = false;
        this.begin();
      });
      return;
    }
    this.#refuseHopeless();
    const open = this.#writes.some(({ answered }) => answered) ? this.#writes.filter(isOpen) : this.#writes;
    if (open.length === 0) return this.#release();
    if (this.#reachable() < this.#neededLeast()) return;
    // What was refused meanwhile must not be sent: it was told that it had no effect.
    this.#writes = open;
    this.#issue();
  }

  /** C11: refused before tagging where too few replicas can be hoped for. */
  #refuseHopeless(): void {
    const { context } = this.#sequencer;
    let hopeful = 0;
    for (const node of this.#runtime.members) if (context.hopeful(node)) hopeful++;
    for (const write of this.#writes) {
      const needed = this.#needed(write);
      if (hopeful < needed) write.answer({ type: "error", error: tooFewReplicas(hopeful, needed) });
    }
  }

  /** What the easiest of its open writes needs. */
  #neededLeast(): number {
    let least = this.#runtime.members.length;
    for (const write of this.#writes) if (isOpen(write)) least = Math.min(least, this.#needed(write));
    return least;
  }

  #reachable(): number {
    let reachable = 0;
    for (const node of this.#runtime.members) if (this.#sequencer.context.reachable(node)) reachable++;
    return reachable;
  }

  #needed({ operation }: BlindWrite): number {
    if (operation.level === "one") return 1;
    return operation.level === "all" ? this.#runtime.members.length : this.#runtime.quorum;
  }

  #issue(): void {
    const { context } = this.#sequencer;
    let version = context.nextVersion();
    for (const write of this.#writes) {
      if (write !== this.#writes[0] && !context.without.has("C3-combine")) version = context.nextVersion();
      write.version = version;
    }
    this.#runtime.inFlight++;
    this.#drive = new Drive(context, issuedIn(this.#runtime, version, this.#last.operation), this);
    this.#drive.start();
  }

  /** A replica answered. */
  driven(drive: Drive): void {
    for (const write of this.#writes) if (!write.answered && drive.oks >= this.#needed(write)) this.#acknowledge(write);
    if (drive.installed) this.#installed();
    else if (drive.hopeless && drive.refusedByAll) this.#failDefinitely();
    if (drive.complete && this.#writes.some(isOpen)) this.#report();
  }

  #installed(): void {
    const { issued } = this.#drive as Drive;
    this.#sequencer.inDoubt.installed(issued.key, issued.version);
    this.#release();
  }

  #acknowledge(write: BlindWrite): void {
    if (!write.operation.report) return write.answer({ type: "written", version: write.version as Version });
    this.#acknowledgedAt ??= this.#sequencer.context.timers.now;
  }

  /** Answers the reported writes that have been acknowledged. */
  #report(): void {
    const drive = this.#drive as Drive;
    for (const write of this.#writes) {
      if (write.answered || drive.oks < this.#needed(write)) continue;
      write.answer({ type: "written", version: write.version as Version, replicas: drive.reports() });
    }
  }

  #failDefinitely(): void {
    const codes = (this.#drive as Drive).refusals;
    const code = (codes.find((candidate) => candidate === "DISK_FULL") ?? "NO_QUORUM") as ErrorCode;
    const error = new KvError(code, `refused by every replica (${[...new Set(codes)].join(", ")}); nothing was stored`);
    for (const write of this.#writes) write.answer({ type: "error", error });
    this.end();
    this.#release();
  }

  /** @returns whether it still needs sweeping */
  sweep(now: number): boolean {
    if (!this.#drive) return this.#sweepWaiting(now);
    const drive = this.#drive;
    // Given up, it is in doubt at the members it was meant for: what is sent later could reach another membership.
    if (this.#holdsLock || drive.installed) drive.resend(now);
    if (this.#acknowledgedAt !== undefined && now >= this.#acknowledgedAt + REPORT_WAIT_MS) this.#report();
    for (const write of this.#writes) if (now >= write.operation.deadline) this.#expire(write);
    if (now >= this.#deadline && !drive.installed && this.#holdsLock) this.giveUp();
    return this.#holdsLock || this.#writes.some(({ answered }) => !answered);
  }

  #sweepWaiting(now: number): boolean {
    for (const write of this.#writes) {
      if (now < write.operation.deadline) continue;
      const error = this.#runtime.held
        ? new KvError("MOVING", "the slot changed hands for longer than the deadline; nothing was sent")
        : tooFewReplicas(this.#reachable(), this.#needed(write));
      write.answer({ type: "error", error });
    }
    this.begin();
    return this.#holdsLock;
  }

  #expire(write: BlindWrite): void {
    if (write.answered) return;
    const drive = this.#drive as Drive;
    const needed = this.#needed(write);
    if (drive.oks >= needed) this.#report();
    else if (drive.refusedByAll) write.answer({ type: "error", error: tooFewReplicas(0, needed) });
    else if (drive.installed) {
      const text = `stored on ${drive.oks} of ${needed} replicas, a quorum; level all was asked for`;
      write.answer({ type: "error", error: new KvError("PARTIAL", text) });
    } else write.answer({ type: "error", error: unknownWrite(drive.oks, needed) });
  }

  /** C5: the version stays in doubt; nothing more is sent. Late answers still count. */
  giveUp(): void {
    const drive = this.#drive;
    for (const write of this.#writes) if (drive) this.#expire(write);
    if (drive && !drive.installed && !drive.refusedByAll) this.#sequencer.inDoubt.add(drive.issued);
    this.#release();
  }

  /** The slot is about to be sealed: what is still on its way is unknown from here on (M2). */
  interrupt(slots: ReadonlySet<number>): void {
    if (slots.has(this.#runtime.slot) && this.#holdsLock) this.giveUp();
  }

  /** Nothing more is sent, and no answer counts. */
  end(): void {
    this.#drive?.stop();
  }

  #release(): void {
    if (!this.#holdsLock) return;
    this.#holdsLock = false;
    const drive = this.#drive;
    if (drive) this.#runtime.inFlight--;
    this.#sequencer.locks.release(this.#last.key);
    for (const follower of this.#followers ?? []) follower.landed(drive?.installed === true ? drive.issued : undefined);
  }
}

function isOpen({ answered }: BlindWrite): boolean {
  return !answered;
}
