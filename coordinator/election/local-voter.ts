// The voter record that a coordinator keeps beside its cluster file while there are only two storage nodes (V5): the same rules
// as in a node (V1–V4), made durable by the edge before the answer is given.
import { KvError } from "../../shared/errors.ts";
import type { ClusterId } from "../../shared/ids.ts";
import { LeaderWatch } from "../../shared/leader-watch.ts";
import type {
  AcceptRequest,
  HeartbeatRequest,
  PrepareRequest,
  PrevoteRequest,
} from "../../shared/protocol/node-messages.ts";
import { Future } from "../../shared/script.ts";
import { ZERO } from "../../shared/version.ts";
import {
  accept,
  applyVoterChange,
  prepare,
  prevote,
  type VoterDecision,
  type VoterRecord,
} from "../../shared/voter.ts";
import { failure, type Answer } from "../links/link.ts";

/** What is kept on the coordinator's disk. */
export interface LocalVoterFile {
  readonly format: 1;
  /** `coordinator:<uuid>`: the seat's id in the cluster state. */
  readonly seat: string;
  readonly cluster: ClusterId;
  /** Absent until the seat has voted. */
  readonly record?: VoterRecord;
}

export class LocalVoter {
  readonly seat: string;
  #cluster: ClusterId | undefined;
  #record: VoterRecord | undefined;
  /** Whether the seat's id is on disk: before that nobody may count on it. */
  #established: boolean;
  readonly #watch = new LeaderWatch();
  readonly #persist: (file: LocalVoterFile, token: number) => void;
  #tokens = 0;
  readonly #unsaved = new Map<number, Future<void>>();
  /** The latest save; those before it are done when it is. */
  #saved = new Future<void>();

  /** @param persist Writes the file durably and reports the token to `persisted`, in order. */
  constructor(seat: string, file: LocalVoterFile | undefined, persist: (file: LocalVoterFile, token: number) => void) {
    this.seat = seat;
    this.#cluster = file?.cluster;
    this.#record = file?.record;
    this.#established = file !== undefined;
    this.#persist = persist;
    this.#saved.resolve();
  }

  prepare(request: Omit<PrepareRequest, "id" | "op">): Future<Answer> {
    return this.#vote(request, () => prepare(this.#record, request.epoch, request.owner));
  }

  accept(request: Omit<AcceptRequest, "id" | "op">): Future<Answer> {
    return this.#vote(request, () => accept(this.#record, request));
  }

  /** Whether the seat outlives this process. A seat that is named in the state and then lost could be missed for ever. */
  get established(): boolean {
    return this.#established;
  }

  /** Puts the seat's id on disk, where it is not. */
  establish(cluster: ClusterId): void {
    if (!this.#established && this.#record === undefined) this.#save(cluster, undefined);
  }

  /** V4. */
  prevote({ cluster, voter, epoch }: Omit<PrevoteRequest, "id" | "op">, now: number): Future<Answer> {
    const alive = this.#watch.alive(now) ? this.#watch.leader : undefined;
    return this.#answered({ cluster, voter }, () => {
      prevote(this.#record, epoch, alive);
      return { status: "ok" };
    });
  }

  /** A leader lives. */
  heartbeat(sign: Omit<HeartbeatRequest, "id" | "op">, connection: number, now: number): Future<Answer> {
    const promised = this.#record?.promised ?? 0;
    return this.#answered({ cluster: sign.cluster, voter: this.seat }, () => {
      if (sign.epoch < promised) throw new KvError("OUT_PROMISED", `promised to epoch ${promised}`, { promised });
      this.#watch.heard(sign, connection, now);
      return { status: "ok", ballot: this.#record?.ballot ?? ZERO, promised };
    });
  }

  connectionGone(connection: number, now: number): void {
    this.#watch.gone(connection, now);
  }

  /** What another coordinator may be told: durable by then. */
  inspection(): Future<Answer> {
    return this.#whenSaved(this.inspect());
  }

  inspect(): Answer {
    const record = this.#record;
    return {
      status: "ok",
      cluster: this.#cluster ?? null,
      node: null,
      voter: record ? this.seat : null,
      fence: 0,
      promised: record?.promised ?? 0,
      ballot: record?.ballot ?? ZERO,
      state: record?.state ?? "",
    };
  }

  persisted(token: number): void {
    this.#unsaved.get(token)?.resolve();
    this.#unsaved.delete(token);
  }

  #vote(request: { readonly cluster: ClusterId; readonly voter: string }, decide: () => VoterDecision): Future<Answer> {
    return this.#answered(request, () => {
      const { changes, answer } = decide();
      if (changes.length > 0) this.#save(request.cluster, changes.reduce(applyVoterChange, this.#record));
      return { status: "ok", fence: 0, ...answer };
    });
  }

  #answered(
    { cluster, voter }: { readonly cluster: ClusterId; readonly voter: string },
    decide: () => Answer,
  ): Future<Answer> {
    try {
      if (voter !== this.seat) throw new KvError("WRONG_NODE", "this is another coordinator's record");
      if (this.#cluster !== undefined && this.#cluster !== cluster)
        throw new KvError("WRONG_NODE", "this record belongs to another cluster");
      return this.#whenSaved(decide());
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return this.#whenSaved({ ...failure(error.code, error.message), ...error.details });
    }
  }

  /** Whatever is told rests on the record, a refusal and a repetition too: it waits until that is durable. */
  #whenSaved(answer: Answer): Future<Answer> {
    const told = new Future<Answer>();
    this.#saved.whenDone(() => told.resolve(answer));
    return told;
  }

  #save(cluster: ClusterId, record: VoterRecord | undefined): void {
    this.#cluster = cluster;
    this.#record = record;
    const token = ++this.#tokens;
    this.#saved = new Future();
    this.#unsaved.set(token, this.#saved);
    this.#saved.whenDone(() => (this.#established = true));
    this.#persist({ format: 1, seat: this.seat, cluster, ...(record && { record }) }, token);
  }
}
