// Flight (C3, C4): what has the lock of a key together shares one sending. Tag, send to all members, acknowledge at each write's level's
// count of exact oks. Each write takes its own version and is answered at its own level; only the last is sent. The key stays locked
// until a write quorum has that one, until it definitely failed, or until the deadline: then it is in doubt (C5).
//
// Quorum reads among the writes are answered with the write before them, once a write quorum has the last one, and ask no replica. All
// of them, reads and writes, take effect at that moment, one behind the other: the key is locked, so nothing came between them at
// this leader; and a majority has accepted what was sent after they had begun, at this leader's epoch, so nobody else led by then.
// What stands before the first write of a flight is known where the flight before it has landed, and the lock went from one to the other.
import { KvError } from "../../shared/errors.ts";
import type { Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { BlindWrite, Carrier } from "./blind-write.ts";
import { Drive, issuedIn, type DriveOwner, type Issued } from "./drive.ts";
import { shortOf, tooFewReplicas, type FlightFollower } from "./operation.ts";
import type { QuorumRead } from "./quorum-read.ts";
import type { Entry } from "./read-cache.ts";
import type { SequencerServices } from "./services.ts";

/** How long a reported write waits for the replicas that its level did not need. */
const REPORT_WAIT_MS = 200;

/** What shares a sending. */
export type Passenger = BlindWrite | QuorumRead;

export class Flight implements DriveOwner, Carrier {
  readonly #sequencer: SequencerServices;
  readonly #passengers: readonly Passenger[];
  readonly #before: Issued | undefined;
  #writes: readonly BlindWrite[];
  readonly #runtime: SlotRuntime;
  /** The latest of its writes. */
  #deadline = 0;
  #drive: Drive | undefined;
  /** What the leader keeps of the key for reads. */
  #cached: Entry | undefined;
  #holdsLock = true;
  #parked = false;
  #acknowledgedAt: number | undefined;
  #followers: FlightFollower[] | undefined;

  constructor(sequencer: SequencerServices, passengers: readonly Passenger[], before: Issued | undefined) {
    this.#sequencer = sequencer;
    this.#passengers = passengers;
    this.#before = before;
    this.#writes = passengers.every(isWrite) ? passengers : passengers.filter(isWrite);
    this.#runtime = sequencer.context.slot(this.#last.operation.slot);
    for (const write of this.#writes) {
      write.takenBy(this);
      this.#deadline = Math.max(this.#deadline, write.operation.deadline);
    }
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
    const reachable = this.#reachable();
    const all = reachable === this.#runtime.members.length;
    if (!all) this.#refuseHopeless();
    const open = this.#writes.some(({ answered }) => answered) ? this.#writes.filter(isOpen) : this.#writes;
    if (open.length === 0) return this.#release();
    if (!all && reachable < this.#neededLeast()) return;
    // What was refused meanwhile must not be sent: it was told that it had no effect.
    this.#writes = open;
    this.#issue();
  }

  /** C11: refused before tagging where too few replicas can be hoped for: those that can be reached, and those that may be back soon. */
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
    this.#cached = this.#sequencer.issues(this.#drive.issued);
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
    this.#sequencer.installed((this.#drive as Drive).issued, this.#cached);
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
    const drive = this.#drive as Drive;
    for (const write of this.#writes) write.answer({ type: "error", error: shortOf(this.#needed(write), drive) });
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
    else write.answer({ type: "error", error: shortOf(needed, drive) });
  }

  /** C5: the version stays in doubt; nothing more is sent. Late answers still count. */
  giveUp(): void {
    const drive = this.#drive;
    for (const write of this.#writes) if (drive) this.#expire(write);
    if (drive) this.#sequencer.inDoubt.givenUp(drive);
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
    const landed = drive?.installed === true ? drive.issued : undefined;
    if (this.#passengers.length > this.#writes.length) this.#endReads(landed !== undefined);
    this.#sequencer.locks.release(this.#last.key, landed);
    for (const follower of this.#followers ?? []) follower.landed(landed);
  }

  /** Answers the reads among the writes. Those that no write can have come before ask the replicas. */
  #endReads(landed: boolean): void {
    const sent = this.#drive !== undefined && !this.#drive.refusedByAll;
    const lastSent = sent ? this.#passengers.lastIndexOf(this.#last) : -1;
    let before = this.#before;
    for (const [place, passenger] of this.#passengers.entries()) {
      if (passenger.writes) {
        if (landed && passenger.version) before = issuedIn(this.#runtime, passenger.version, passenger.operation);
      } else if (landed && before) passenger.answer(before);
      else if (place < lastSent) passenger.refuse(overtaken());
      else this.#sequencer.begin(passenger);
    }
  }
}

function isWrite(passenger: Passenger): passenger is BlindWrite {
  return passenger.writes;
}

/** A write behind the read is in doubt, or what stood before that was not known. */
function overtaken(): KvError {
  const text =
    "what the replicas say by now may be newer: a write came after this read on the same connection; try again";
  return new KvError("NO_QUORUM", text);
}

function isOpen({ answered }: BlindWrite): boolean {
  return !answered;
}
