// Messages of a session and what answers them: a table of types from operation to answer, and the one place where an error
// line becomes a KvError. Pure.
import { ERRORS, KvError, isErrorCode } from "../errors.ts";
import type {
  ClientBatchRequest,
  ClientHelloAnswer,
  CoordinatorRequest,
  GetAnswer,
  MetricsAnswer,
  OpsAnswer,
  PlanAnswer,
  ProgressAnswer,
  RingAnswer,
  ScanAnswer,
  StatsAnswer,
  StatusAnswer,
  WhereAnswer,
  WriteAnswer,
} from "../protocol/client-messages.ts";
import type { DirectReadRequest, ReadResult } from "../protocol/node-messages.ts";

type WithoutId<Message> = Message extends unknown ? Omit<Message, "id"> : never;

/** What a session can be asked: any request of a coordinator, or a direct read where the other end is a node. */
export type SessionMessage = WithoutId<Exclude<CoordinatorRequest, ClientBatchRequest> | DirectReadRequest>;

interface Answers {
  put: WriteAnswer;
  delete: WriteAnswer;
  get: GetAnswer;
  scan: ScanAnswer;
  where: WhereAnswer;
  status: StatusAnswer;
  ring: RingAnswer;
  stats: StatsAnswer;
  metrics: MetricsAnswer;
  ops: OpsAnswer;
  hello: ClientHelloAnswer;
  plan: PlanAnswer;
  addnode: ProgressAnswer;
  removenode: ProgressAnswer;
  setreplica: ProgressAnswer;
  join: ProgressAnswer;
  read: ReadResult;
}

/** An answer whose fields the table does not know. */
export interface PlainAnswer {
  readonly id: number;
  readonly status: "ok";
  readonly [field: string]: unknown;
}

/** What a successful answer to an operation looks like. */
export type AnswerTo<Op extends string> = Op extends keyof Answers ? Answers[Op] : PlainAnswer;

/**
 * The error that an error line stands for. Fields beside code and message (`leader`, `version`, …) become details. A code
 * this build does not know, and an outcome that the line calls unknown although its code says failed, stay unknown.
 * @param from Address of the answering process, kept as the detail `address`.
 */
export function errorOf(answer: Readonly<Record<string, unknown>>, from: string): KvError {
  const { id: _id, status: _status, code, message, retryable: _retryable, outcome, ...rest } = answer;
  const text = typeof message === "string" ? message : `${from} refused without saying why`;
  const details = { ...rest, address: from };
  if (!isErrorCode(code))
    return new KvError("INTERNAL", `${text} (code ${String(code)}, unknown to this client)`, details);
  if (outcome === "unknown" && ERRORS[code].outcome === "failed")
    return new KvError("LOST", text, { ...details, code });
  return new KvError(code, text, details);
}
