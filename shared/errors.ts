// Errors are a table of stable codes: what a code means for the outcome of a request, whether trying again can help, and
// which HTTP status it maps to. One class carries them; programs match by `code`, people read the message
// (what was wrong, the limit, what to do). Three outcomes exist, and unknown is never called failed (C8).

/** What is known of a request that did not answer ok. `failed`: it had no effect. `unknown`: it may take effect, or have. */
export type Outcome = "failed" | "unknown";

interface ErrorInfo {
  readonly outcome: Outcome;
  /** Whether the same request may succeed later without anybody changing it. */
  readonly retryable: boolean;
  readonly http: number;
  readonly meaning: string;
}

const definite = (retryable: boolean, http: number, meaning: string): ErrorInfo => ({
  outcome: "failed",
  retryable,
  http,
  meaning,
});

/** Every code that can appear in an answer of a node, a coordinator or the client library. */
export const ERRORS = {
  // The request itself.
  BAD_REQUEST: definite(false, 400, "malformed: the message names the field and what was expected"),
  TOO_LARGE: definite(false, 413, "key, value or line beyond the limit; nothing was sent"),
  NOT_FOUND: definite(false, 404, "no value under that key"),
  CONDITION_FAILED: definite(false, 412, "ifVersion or ifAbsent does not hold; the answer carries the current version"),
  UNSUPPORTED_PROTOCOL: definite(false, 400, "no protocol version in common; the message says which side to upgrade"),
  // Who asks.
  UNAUTHORIZED: definite(false, 401, "a token is needed, and none of this cluster's was presented"),
  FORBIDDEN: definite(false, 403, "the token may only read, or a web page of another site asks"),
  // Who answers.
  NOT_LEADER: definite(true, 503, "this process does not lead; `leader` says who does, where known"),
  NO_LEADER: definite(true, 503, "no coordinator leads at the moment"),
  LEADER_ALIVE: definite(false, 503, "V4: the leader was heard just now; `leader` says where"),
  NO_STANDBY: definite(true, 409, "no standby coordinator follows that could take over: start one"),
  NO_CLUSTER: definite(false, 503, "no node was added yet"),
  NO_QUORUM: definite(true, 503, "too few replicas or voters answered; nothing was written"),
  OVERLOADED: definite(true, 429, "in-flight operations are at their cap; nothing was sent"),
  MOVING: definite(true, 503, "the slot changed hands for longer than the deadline; nothing was sent"),
  DISK_FULL: definite(true, 507, "no space left on the node's disk; reads go on"),
  SHUTTING_DOWN: definite(true, 503, "the process is draining"),
  // Outcome unknown.
  TIMEOUT: {
    outcome: "unknown",
    retryable: true,
    http: 504,
    meaning: "sent, no quorum answered in time: may have happened",
  },
  // LOST: the connection closed after sending, so nobody can say whether it was carried out.
  LOST: {
    outcome: "unknown",
    retryable: true,
    http: 504,
    meaning: "the connection closed after sending: may have happened",
  },
  // PARTIAL: level all, stored on a quorum but not on every replica.
  PARTIAL: {
    outcome: "unknown",
    retryable: true,
    http: 504,
    meaning: "level all: stored on some replicas, not on every one",
  },
  // Between coordinator and node.
  WRONG_NODE: definite(false, 503, "N1: other cluster, node id or incarnation"),
  FENCED: definite(false, 503, "N2: a newer epoch was seen"),
  SUPERSEDED: definite(false, 503, "N4: the register holds a higher version"),
  STALE_SLOT: definite(false, 503, "N6: the slot has a newer stamp"),
  NOT_OWNER: definite(false, 503, "N7: this node is no member of the slot"),
  NOT_SEALED: definite(false, 503, "N9: purge needs the slot sealed with exactly that stamp"),
  OUT_PROMISED: definite(true, 503, "V2, V3: the voter promised itself to a higher epoch"),
  NO_VOTER: definite(true, 503, "V1: no initialised voter record for this cluster"),
  REMOVED: definite(false, 503, "the newest state does not name this node any more"),
  // Topology.
  NO_SUCH_NODE: definite(false, 404, "no member of that id"),
  NODE_EXISTS: definite(false, 409, "a member of that id or address exists"),
  NODE_UNREACHABLE: definite(true, 503, "no answer from that address"),
  NODE_TAKEN: definite(false, 409, "the node holds data of another cluster"),
  LAST_COPY: definite(false, 409, "the last copy of a slot would go; --force accepts the loss"),
  CANCELLED: definite(false, 409, "the operation was cancelled; what it had moved stays moved"),
  NO_SUCH_OPERATION: definite(false, 404, "no running operation of that id"),
  TOO_MANY_OPERATIONS: definite(true, 429, "the queue of topology operations is full"),
  ABORTED: definite(true, 503, "an attempt to move slots was given up; it is tried again"),
  // REST only: what HTTP itself can get wrong.
  NO_SUCH_PATH: definite(false, 404, "no such path; /docs lists all"),
  METHOD_NOT_ALLOWED: definite(false, 405, "the path has other methods: see Allow"),
  NOT_ACCEPTABLE: definite(false, 406, "the answer has no form that Accept takes"),
  SLOW_REQUEST: definite(true, 408, "the request did not arrive in time"),
  UNSUPPORTED_MEDIA_TYPE: definite(false, 415, "the body is of a type or encoding that this path does not take"),
  HEADERS_TOO_LARGE: definite(false, 431, "the header fields are longer than 16 KiB together"),
  // INTERNAL: a bug of ours; the log says more.
  INTERNAL: { outcome: "unknown", retryable: false, http: 500, meaning: "a bug: please report it with the log" },
} as const satisfies Record<string, ErrorInfo>;

export type ErrorCode = keyof typeof ERRORS;

/** The one error class. `details` carries what programs need (`version`, `leader`, …). */
export class KvError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = "KvError";
    this.code = code;
    this.details = details;
  }

  get outcome(): Outcome {
    return ERRORS[this.code].outcome;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}

export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === "string" && Object.hasOwn(ERRORS, text);
}

/** An error as the rest of an answer: everything but the request's `id`. */
export function errorAnswer(error: KvError): object {
  const { outcome, retryable } = ERRORS[error.code];
  return { status: "error", code: error.code, message: error.message, retryable, outcome, ...error.details };
}
