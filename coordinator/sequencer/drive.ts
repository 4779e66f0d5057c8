// Drive: one issued version on its way to all members of its slot (C2, C4). Sends, counts exact oks, sends again what was lost or
// refused for the moment; a retransmission carries the same version and value, for ever. Whoever waits is told of every change.
import type { NodeId } from "../../shared/ids.ts";
import type { ReplicaReport } from "../../shared/protocol/client-messages.ts";
import type { OpResult, WriteOp } from "../../shared/protocol/node-messages.ts";
import type { WireValue } from "../../shared/record.ts";
import { equal, type Version } from "../../shared/version.ts";
import type { SlotRuntime } from "../cluster/slot-runtime.ts";
import type { OpListener } from "../links/link.ts";
import type { SequencerContext } from "./context.ts";

/** A version that this leader has issued, with what it stands for. */
export interface Issued {
  readonly key: string;
  readonly slot: number;
  readonly version: Version;
  readonly origin: Version;
  readonly value: WireValue | null;
  readonly operation: string;
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

/** Refusals that a moment may mend. */
const PASSING = new Set(["NOT_OWNER", "STALE_SLOT", "OVERLOADED", "SHUTTING_DOWN", "WRONG_NODE"]);

/** Whoever waits for a drive. */
export interface DriveOwner {
  /** An answer changed the counts. */
  driven(drive: Drive): void;
}

export class Drive implements OpListener {
  readonly issued: Issued;
  readonly quorum: number;
  readonly replicas: readonly Replica[];
  oks = 0;
  readonly #context: SequencerContext;
  readonly #runtime: SlotRuntime;
  readonly #owner: DriveOwner;
  /** Whether a copy went to a node that is filling up: it may surface later. */
  #forwarded = false;
  #stopped = false;
  /** The same for every member that is sent it at one stamp: its text is made once. */
  #write: WriteOp | undefined;
  /** Nothing is to be sent again before, unless a member refuses. */
  #quietUntil = 0;

  constructor(context: SequencerContext, issued: Issued, owner: DriveOwner) {
    this.#context = context;
    this.#runtime = context.slot(issued.slot);
    this.issued = issued;
    this.#owner = owner;
    this.quorum = this.#runtime.quorum;
    this.replicas = this.#runtime.members.map((node) => ({ node, state: "unsent", code: "", sentAt: 0, maybe: false }));
  }

  get installed(): boolean {
    return this.oks >= this.quorum;
  }

  get complete(): boolean {
    return this.oks === this.replicas.length;
  }

  /** C8: refused by every member, and nothing that was sent can still take effect. */
  get refusedByAll(): boolean {
    if (this.#forwarded) return false;
    return this.replicas.every(({ state, maybe }) => !maybe && (state === "refused" || state === "unsent"));
  }

  /** Whether asking again could still help. */
  get hopeless(): boolean {
    return this.replicas.every(({ state, code }) => state === "refused" && !PASSING.has(code));
  }

  /** What each replica answered so far. */
  reports(): ReplicaReport[] {
    return this.replicas.map(({ node, state, code }) => ({
      id: node,
      status: state === "ok" ? "ok" : state === "refused" ? code : "pending",
    }));
  }

  /** Sends to every member, and an uncounted copy to whoever is filling up (M1). */
  start(): void {
    for (const replica of this.replicas) this.#send(replica);
    const { forward } = this.#runtime;
    if (!forward) return;
    this.#forwarded = true;
    const op = this.#op("copy", forward.stamp);
    for (const node of forward.members) this.#context.send(node, op, IGNORE);
  }

  /** No longer counted nor sent again: the slot changed hands, or the epoch ended. */
  stop(): void {
    this.#stopped = true;
  }

  /** Sends again where that may help; called every few milliseconds while somebody waits. */
  resend(now: number): void {
    // While the slot changes hands, late copies must not slip in at the stamp of the seal (M2).
    if (this.#stopped || this.#runtime.held || now < this.#quietUntil) return;
    this.#quietUntil = now + RESEND_SILENT_MS;
    for (const replica of this.replicas) {
      const silentMs = now - replica.sentAt;
      const due =
        replica.state === "unsent" ||
        replica.state === "lost" ||
        (replica.state === "refused" && PASSING.has(replica.code) && silentMs >= RESEND_REFUSED_MS) ||
        (replica.state === "sent" && silentMs >= RESEND_SILENT_MS);
      if (due && this.#context.reachable(replica.node)) this.#send(replica);
      if (replica.state === "sent") this.#quietUntil = Math.min(this.#quietUntil, replica.sentAt + RESEND_SILENT_MS);
      else if (replica.state !== "ok") this.#quietUntil = 0;
    }
  }

  settled(node: NodeId, result: OpResult): void {
    if (this.#stopped) return;
    const replica = this.#replica(node);
    if (!replica || replica.state === "ok") return;
    if (result.status === "ok") {
      replica.state = "ok";
      this.oks++;
    } else {
      this.#refused(replica, result.code, result);
    }
    this.#owner.driven(this);
  }

  #replica(node: NodeId): Replica | undefined {
    for (const replica of this.replicas) if (replica.node === node) return replica;
    return undefined;
  }

  #refused(replica: Replica, code: string, details: Readonly<Record<string, unknown>>): void {
    replica.code = code;
    this.#quietUntil = 0;
    this.#context.missed(replica.node, this.issued.slot, this.issued.version);
    if (code === "LOST") {
      replica.state = "lost";
      replica.maybe = true;
      return;
    }
    if (code === "NODE_UNREACHABLE") {
      replica.state = "unsent";
      return;
    }
    replica.state = "refused";
    if (code === "FENCED") this.#context.fenced(Number(details["fence"]));
    const current = details["current"] as Version | undefined;
    if (code === "SUPERSEDED" && current && current[0] > this.#context.epoch) this.#context.fenced(current[0]);
  }

  #send(replica: Replica): void {
    if (replica.state === "sent") replica.maybe = true;
    replica.state = "sent";
    replica.sentAt = this.#context.timers.now;
    const { stamp } = this.#runtime;
    if (this.#write?.stamp !== stamp) this.#write = this.#op("write", stamp);
    this.#context.send(replica.node, this.#write, this);
  }

  #op(op: "write" | "copy", stamp: Version): WriteOp {
    const { key, slot, version, origin, value, operation } = this.issued;
    if (!equal(origin, version)) {
      const mended = { op, slot, stamp, key, version, value, origin };
      return operation === "" ? mended : { ...mended, operation };
    }
    // Whole at once: a field that is added later gets a store of its own.
    if (operation === "") return { op, slot, stamp, key, version, value };
    return { op, slot, stamp, key, version, value, operation };
  }
}

const IGNORE: OpListener = { settled: () => undefined };
