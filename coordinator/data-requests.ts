// Data requests: from a parsed put, get or delete to its answer. The sequencer decides; this file fills in defaults, turns outcomes into
// answers, and counts them. It is on the path of every operation.
import { KvError } from "../shared/errors.ts";
import { DEADLINE_MS_DEFAULT } from "../shared/limits.ts";
import type { DataRequest, DeleteRequest, GetRequest, PutRequest } from "../shared/protocol/client-messages.ts";
import { slotOf } from "../shared/slot.ts";
import type { Timers } from "../shared/timers.ts";
import { format, parsePair } from "../shared/version.ts";
import type { CompactAnswers } from "./compact-answers.ts";
import type { Leader } from "./leader.ts";
import type { MeasuredOutcome, Metrics } from "./metrics.ts";
import type { ClientNumber, ReadOperation, ReadOutcome, WriteOperation, WriteOutcome } from "./sequencer/operation.ts";
import type { Tenure } from "./tenure.ts";

/** How a request is answered. */
export interface Replies {
  /** A whole answer, with its `id` and `status`. */
  readonly send: (client: ClientNumber, message: object) => void;
  readonly answer: (client: ClientNumber, id: number, body: object) => void;
  readonly refuse: (client: ClientNumber, id: number, error: KvError) => void;
}

export interface DataRequestsHost extends Replies {
  readonly compact: CompactAnswers;
  readonly timers: Timers;
  readonly metrics: Metrics;
  /** @throws KvError where this coordinator does not lead */
  readonly leader: () => Leader;
  readonly tenure: Tenure;
}

export class DataRequests {
  readonly #host: DataRequestsHost;

  constructor(host: DataRequestsHost) {
    this.#host = host;
  }

  handle(client: ClientNumber, request: DataRequest): void {
    try {
      const leader = this.#host.leader();
      if (request.op === "get") this.#get(leader, client, request);
      else this.#write(leader, client, request);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      this.#host.refuse(client, request.id, error);
    }
  }

  #get(leader: Leader, client: ClientNumber, { id, key, consistency, timeoutMs }: GetRequest): void {
    const { now } = this.#host.timers;
    const operation: ReadOperation = {
      type: "read",
      client,
      id,
      key,
      slot: slotOf(key, leader.state.seed),
      level: consistency ?? "quorum",
      startedAt: now,
      deadline: Math.ceil(now + (timeoutMs ?? DEADLINE_MS_DEFAULT)),
    };
    leader.sequencer.read(operation, this.#readDone);
  }

  readonly #readDone = (outcome: ReadOutcome, operation: ReadOperation): void => {
    const { client, id, key } = operation;
    this.#count("get", operation, outcome);
    if (outcome.type === "error") return this.#host.refuse(client, id, outcome.error);
    const { value, origin, stale } = outcome;
    if (value === null) return this.#host.refuse(client, id, new KvError("NOT_FOUND", `no value under "${key}"`));
    if (!stale && this.#host.compact.found(client, id, origin, value)) return;
    const answer = { id, status: "ok", value, version: format(origin) };
    this.#host.send(client, stale ? { ...answer, stale } : answer);
  };

  #write(leader: Leader, client: ClientNumber, request: PutRequest | DeleteRequest): void {
    const { now } = this.#host.timers;
    const level = request.consistency ?? "quorum";
    const condition = conditionOf(request);
    if (condition !== undefined && level === "one") {
      throw new KvError("BAD_REQUEST", "consistency: a conditional write needs quorum or all");
    }
    this.#host.tenure.check(client);
    const operation: WriteOperation = {
      type: "write",
      client,
      id: request.id,
      key: request.key,
      slot: slotOf(request.key, leader.state.seed),
      value: request.op === "put" ? request.value : null,
      level,
      condition,
      wantsFound: request.op === "delete" && (request.report === true || request.found === true) && level !== "one",
      operation: request.operation ?? "",
      firstEpoch: request.firstEpoch,
      report: request.report === true,
      startedAt: now,
      // In whole milliseconds, which take no object of their own.
      deadline: Math.ceil(now + (request.timeoutMs ?? DEADLINE_MS_DEFAULT)),
    };
    leader.sequencer.write(operation, this.#writeDone);
  }

  readonly #writeDone = (outcome: WriteOutcome, operation: WriteOperation): void => {
    const { client, id, value } = operation;
    this.#count(value === null ? "delete" : "put", operation, outcome);
    if (outcome.type === "error") return this.#host.refuse(client, id, outcome.error);
    const { version, replicas, found } = outcome;
    // What nearly every write is answered with is made in one piece.
    if (replicas === undefined && found === undefined) {
      if (this.#host.compact.written(client, id, version)) return;
      return this.#host.send(client, { id, status: "ok", version: format(version) });
    }
    this.#host.answer(client, id, {
      version: format(version),
      ...(replicas && { replicas }),
      ...(found !== undefined && { found }),
    });
  };

  #count(op: DataRequest["op"], operation: ReadOperation | WriteOperation, outcome: ReadOutcome | WriteOutcome): void {
    const measured: MeasuredOutcome = outcome.type === "error" ? outcome.error.outcome : "ok";
    const { startedAt, level } = operation;
    this.#host.metrics.record(op, level, measured, { startedAt, now: this.#host.timers.now });
  }
}

/** @throws KvError BAD_REQUEST */
function conditionOf(request: PutRequest | DeleteRequest): WriteOperation["condition"] {
  const ifAbsent = request.op === "put" && request.ifAbsent === true;
  if (request.ifVersion === undefined) return ifAbsent ? "absent" : undefined;
  if (ifAbsent) throw new KvError("BAD_REQUEST", "ifVersion, ifAbsent: give one of them");
  const version = parsePair(request.ifVersion);
  if (!version)
    throw new KvError("BAD_REQUEST", `ifVersion: "${request.ifVersion}" is no version; one looks like 3.1042`);
  return version;
}
