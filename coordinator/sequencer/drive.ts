// Drive: one issued version on its way to all members of its slot (C2, C4). Sends, counts exact oks, sends again what was lost or
// refused for the moment; a retransmission carries the same version and value, for ever. Whoever waits is told of every change.
import type { NodeId } from "../../shared/ids.ts";
import type { ReplicaReport } from "../../shared/protocol/client-messages.ts";
import type { OpResult, Refusal, WriteOp } from "../../shared/protocol/node-messages.ts";
import type { WireValue } from "../../shared/record.ts";
import { equal, type Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { OpListener } from "../links/link.ts";
import { heedFence, type SequencerContext } from "./context.ts";

/** A version that this leader has issued, with what it stands for: the write that members are sent, at the stamp of the time. */
export type Issued = WriteOp;

/** What a version is to stand for. */
export interface Content {
  readonly key: string;
  readonly value: WireValue | null;
  /** Empty: no client's operation. */
  readonly operation: string;
  /** Undefined: the version itself. */
  readonly origin?: Version | undefined;
}

/** The write of a version in a slot. */
export function issuedIn({ slot, stamp }: SlotRuntime, version: Version, content: Content): Issued {
  const { key, value, operation, origin } = content;
  if (origin !== undefined && !equal(origin, version)) {
    const mended = { op: "write", slot, stamp, key, version, value, origin } as const;
    return operation === "" ? mended : { ...mended, operation };
  }
  // Whole at once: a field that is added later gets a store of its own.
  if (operation === "") return { op: "write", slot, stamp, key, version, value };
  return { op: "write", slot, stamp, key, version, value, operation };
}

/** Silence after which a write is sent again to a member whose connection is up. */
const RESEND_SILENT_MS = 500;
/** Pause before asking again a member that refused for the moment. */
const RESEND_REFUSED_MS = 50;

type Sent = "unsent" | "sent" | "ok" | "refused" | "lost";

interface Replica {
  readonly node: NodeId;
  state: Sent;
  /** Code of the latest refusal. */
  code: string;
  sentAt: number;
  /** Whether some sending of it may have been carried out, whatever was answered later. */
  maybe: boolean;
}

/** What its slot counts it as (in-step.ts): on its way, adrift, or no more. */
type Course = "sent" | "adrift" | "told";

/** Refusals that a moment may mend. */
const PASSING = new Set(["NOT_OWNER", "STALE_SLOT", "OVERLOADED", "SHUTTING_DOWN", "WRONG_NODE"]);

/** Whoever waits for a drive. */
export interface DriveOwner {
  /** An answer changed the counts. */
  driven(drive: Drive): void;
}

/**
 * Nearly every drive is acknowledged by all its members, who are sent it once: until that goes otherwise, a bit for each of them is
 * all that is kept. What is in flight outlives garbage collections, and each object of it is copied twice.
 */
export class Drive implements OpListener {
  readonly issued: Issued;
  readonly quorum: number;
  oks = 0;
  readonly #context: SequencerContext;
  readonly #runtime: SlotRuntime;
  readonly #owner: DriveOwner;
  readonly #members: readonly NodeId[];
  /** Members that have acknowledged it, by their place, while they are not told apart. */
  #okBits = 0;
  /** Each member on its own, once one of them refused or is late. */
  #replicas: readonly Replica[] | undefined;
  /** Whether a copy went to a node that is filling up: it may surface later. */
  #forwarded = false;
  #stopped = false;
  #course: Course = "sent";
  /** The same for every member that is sent it at one stamp: its text is made once. */
  #write: WriteOp;
  /** In whole milliseconds, as they take no object of their own. */
  #startedAt = 0;
  /** Nothing is to be sent again before, unless a member refuses. */
  #quietUntil = 0;

  constructor(context: SequencerContext, issued: Issued, owner: DriveOwner) {
    this.#context = context;
    this.#runtime = context.slot(issued.slot);
    this.issued = issued;
    this.#write = issued;
    this.#owner = owner;
    this.quorum = this.#runtime.quorum;
    this.#members = this.#runtime.members;
  }

  /** How many replicas there are. */
  get size(): number {
    return this.#members.length;
  }

  get installed(): boolean {
    return this.oks >= this.quorum;
  }

  get complete(): boolean {
    return this.oks === this.#members.length;
  }

  /** C8: refused by every member, and nothing that was sent can still take effect. */
  get refusedByAll(): boolean {
    if (this.#forwarded || !this.#replicas) return false;
    return this.#replicas.every(({ state, maybe }) => !maybe && (state === "refused" || state === "unsent"));
  }

  /** Whether asking again could still help. */
  get hopeless(): boolean {
    return this.#replicas?.every(({ state, code }) => state === "refused" && !PASSING.has(code)) === true;
  }

  /** Codes of what members refused it with. */
  get refusals(): string[] {
    return this.#toldApart().map(({ code }) => code);
  }

  /** What each replica answered so far. */
  reports(): ReplicaReport[] {
    return this.#toldApart().map(({ node, state, code }) => ({
      id: node,
      status: state === "ok" ? "ok" : state === "refused" ? code : "pending",
    }));
  }

  /** Sends to every member, and an uncounted copy to whoever is filling up (M1). Once. */
  start(): void {
    this.#startedAt = Math.floor(this.#context.timers.now);
    this.#quietUntil = this.#startedAt + RESEND_SILENT_MS;
    const write = this.#writeNow();
    this.#runtime.issued++;
    this.#runtime.inStep.sent();
    for (const node of this.#members) this.#context.send(node, write, this);
    const { forward } = this.#runtime;
    if (!forward) return;
    this.#forwarded = true;
    const copy: WriteOp = { ...this.issued, op: "copy", stamp: forward.stamp };
    for (const node of forward.members) this.#context.send(node, copy, IGNORE);
  }

  /** No longer counted nor sent again: the slot changed hands, or the epoch ended. */
  stop(): void {
    this.#stopped = true;
    if (this.#course !== "adrift" || !this.refusedByAll) return;
    this.#course = "told";
    this.#runtime.inStep.sank();
  }

  /** Sends again where that may help; called every few milliseconds while somebody waits. */
  resend(now: number): void {
    // While the slot changes hands, late copies must not slip in at the stamp of the seal (M2).
    if (this.#stopped || this.#runtime.held || now < this.#quietUntil) return;
    this.#quietUntil = Math.floor(now) + RESEND_SILENT_MS;
    for (const replica of this.#toldApart()) {
      const silentMs = now - replica.sentAt;
      const due =
        replica.state === "unsent" ||
        replica.state === "lost" ||
        (replica.state === "refused" && PASSING.has(replica.code) && silentMs >= RESEND_REFUSED_MS) ||
        (replica.state === "sent" && silentMs >= RESEND_SILENT_MS);
      if (due && this.#context.reachable(replica.node)) this.#sendAgain(replica);
      if (replica.state === "sent") this.#quietUntil = Math.min(this.#quietUntil, replica.sentAt + RESEND_SILENT_MS);
      else if (replica.state !== "ok") this.#quietUntil = 0;
    }
  }

  settled(node: NodeId, result: OpResult): void {
    if (this.#stopped) return;
    const place = placeOf(node, this.#members);
    if (place < 0) return;
    if (result.status === "ok" ? !this.#acknowledged(place) : !this.#refused(place, result)) return;
    this.#owner.driven(this);
  }

  /** @returns whether that is news */
  #acknowledged(place: number): boolean {
    const replica = this.#replicas?.[place];
    if (replica?.state === "ok" || (this.#okBits & (1 << place)) !== 0) return false;
    if (replica) replica.state = "ok";
    else this.#okBits |= 1 << place;
    this.oks++;
    this.#moved();
    return true;
  }

  /** What one more acknowledgement means for the slot. */
  #moved(): void {
    const { inStep } = this.#runtime;
    if (this.#course === "sent" && this.complete) inStep.arrived();
    else if (this.#course === "adrift") inStep.surfaced();
    else return;
    this.#course = "told";
  }

  /** @returns whether that is news */
  #refused(place: number, refusal: Refusal): boolean {
    const { code } = refusal;
    const replica = this.#toldApart()[place] as Replica;
    if (replica.state === "ok") return false;
    replica.code = code;
    this.#quietUntil = 0;
    this.#strayed();
    this.#context.missed(replica.node, this.issued.slot, this.issued.version);
    if (code === "LOST") {
      replica.state = "lost";
      replica.maybe = true;
      return true;
    }
    if (code === "NODE_UNREACHABLE") {
      replica.state = "unsent";
      return true;
    }
    replica.state = "refused";
    heedFence(this.#context, refusal);
    const current = refusal["current"] as Version | undefined;
    if (code === "SUPERSEDED" && current && current[0] > this.#context.epoch) this.#context.fenced(current[0]);
    return true;
  }

  /** What a refusal means for the slot: the first one counts. */
  #strayed(): void {
    if (this.#course !== "sent") return;
    const held = this.oks > 0;
    this.#course = held ? "told" : "adrift";
    this.#runtime.inStep.strayed(held);
  }

  #toldApart(): readonly Replica[] {
    this.#replicas ??= this.#members.map((node, place) => {
      const state = (this.#okBits & (1 << place)) === 0 ? "sent" : "ok";
      return { node, state, code: "", sentAt: this.#startedAt, maybe: false };
    });
    return this.#replicas;
  }

  #sendAgain(replica: Replica): void {
    if (replica.state === "sent") replica.maybe = true;
    replica.state = "sent";
    replica.sentAt = this.#context.timers.now;
    this.#context.send(replica.node, this.#writeNow(), this);
  }

  /** At the slot's present stamp. */
  #writeNow(): WriteOp {
    const { stamp } = this.#runtime;
    if (this.#write.stamp !== stamp) this.#write = { ...this.issued, stamp };
    return this.#write;
  }
}

/** As `indexOf`, which compares texts by calling a builtin; these are nearly always the same object. */
function placeOf(node: NodeId, members: readonly NodeId[]): number {
  for (let place = 0; place < members.length; place++) if (members[place] === node) return place;
  return -1;
}

const IGNORE: OpListener = { settled: () => undefined };
