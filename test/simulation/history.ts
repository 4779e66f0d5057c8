// History: what clients asked and what they were told, with the times of both. This is the only evidence the
// linearizability checker accepts (see linearizability.ts), whether it comes from the simulator or from real processes.
//
// An outcome is one of C8's three. A timeout is `unknown`, never `failed`: such a write may take effect at any later time,
// or never. As NDJSON, one operation a line, another checker can judge the same history:
//   {"client":1,"op":"put","key":"k","value":"a","result":{"outcome":"ok","version":"3.1"},"invoked":10,"completed":25}
//
// Does not read a clock (the caller hands one in) or a file, and does not judge anything.

/** What a client can ask of one key. `cas` requires a version; `create` requires that the key is absent. */
export type OperationName = "put" | "get" | "delete" | "cas" | "create";

/** C8: done, definitely without effect, or either. */
export type Outcome = "ok" | "failed" | "unknown";

/** What an answer showed of the key. */
export interface Observation {
  /** The value, or null: the key is absent. */
  readonly value: string | null;
  /** The opaque version id of that value, where the answer gave one. Means nothing when the key is absent. */
  readonly version?: string;
}

/** One operation of one client on one key. Times are event numbers or nanoseconds, from one monotonic source. */
export interface Operation {
  readonly client: number;
  readonly op: OperationName;
  readonly key: string;
  /** The value written: required for put, cas and create, and unique among the writes of its key. */
  readonly value?: string;
  /** The version id that must be current: required for cas, possible for delete. */
  readonly expected?: string;
  readonly invoked: number;
  /** Null: never answered, or answered "unknown". Not before `invoked`. */
  readonly completed: number | null;
  readonly outcome: Outcome;
  /** For get: what was read. For a refused condition: what was there, where told. For an ok write: its own version id. */
  readonly result?: Observation;
  /** False together with `failed`: the condition was proven false, which is itself a read. */
  readonly conditionMet?: boolean;
  /** For an ok delete, where the answer tells it: whether there was something to delete. */
  readonly found?: boolean;
}

/** The part of an operation that is known when it is sent. */
export type Invocation = Pick<Operation, "client" | "op" | "key" | "value" | "expected">;

/** What an answer may tell beside its outcome. */
export type Answer = Pick<Operation, "result" | "conditionMet" | "found">;

/** An operation in flight. Exactly one of the three is called, once; one never called stays `unknown`. */
export interface OperationHandle {
  ok(answer?: Answer): void;
  /** Definitely no effect. With `conditionMet: false`, because the condition did not hold. */
  failed(answer?: Answer): void;
  /** May have happened, may yet happen. */
  unknown(): void;
}

/** Operations a recorder holds unless told otherwise: about 300 MB. */
const OPERATIONS_MAX = 1_000_000;

/** Collects a history while it happens. */
export class HistoryRecorder {
  readonly #now: () => number;
  readonly #operationsMax: number;
  readonly #operations: Operation[] = [];

  /**
   * @param options.now Monotonic time: nanoseconds or event numbers, at most 2^53.
   * @param options.operationsMax Most operations recorded; one more is an error.
   */
  constructor(options: { readonly now: () => number; readonly operationsMax?: number }) {
    this.#now = options.now;
    this.#operationsMax = options.operationsMax ?? OPERATIONS_MAX;
  }

  /** To be called before the request is sent. @throws Error beyond `operationsMax`. */
  invoke(invocation: Invocation): OperationHandle {
    const index = this.#operations.length;
    if (index >= this.#operationsMax) {
      throw new Error(`a history holds at most ${this.#operationsMax} operations: record in several`);
    }
    // Unknown until answered: a client that dies here leaves a history that is still true.
    const pending: Operation = { ...invocation, invoked: this.#now(), completed: null, outcome: "unknown" };
    this.#operations.push(pending);
    let settled = false;
    const settle = (replacement: Operation): void => {
      if (settled) throw new Error(`operation ${index} (${pending.op} ${pending.key}) was answered twice`);
      settled = true;
      this.#operations[index] = replacement;
    };
    return {
      ok: (answer = {}) => settle({ ...pending, ...answer, completed: this.#now(), outcome: "ok" }),
      failed: (answer = {}) => settle({ ...pending, ...answer, completed: this.#now(), outcome: "failed" }),
      unknown: () => settle(pending),
    };
  }

  /** Everything recorded so far, in order of invocation; operations in flight are `unknown`. */
  operations(): readonly Operation[] {
    return [...this.#operations];
  }
}

/** One line a operation, each ended by a newline; empty for an empty history. */
export function serializeHistory(operations: readonly Operation[]): string {
  return operations.map((operation) => `${JSON.stringify(toLine(operation))}\n`).join("");
}

/**
 * The reverse of {@link serializeHistory}; blank lines are skipped.
 * @throws Error naming the line and the field that is wrong.
 */
export function parseHistory(text: string): Operation[] {
  const operations: Operation[] = [];
  text.split("\n").forEach((line, index) => {
    if (line.trim() !== "") operations.push(parseLine(line, index + 1));
  });
  return operations;
}

function toLine(operation: Operation): object {
  const { client, op, key, value, expected, outcome, conditionMet, found, invoked, completed } = operation;
  // JSON.stringify leaves undefined fields out; a null value stays, and means absent.
  const result = { outcome, ...operation.result, conditionMet, found };
  return { client, op, key, value, expected, result, invoked, completed };
}

const NAMES: readonly unknown[] = ["put", "get", "delete", "cas", "create"] satisfies OperationName[];
const OUTCOMES: readonly unknown[] = ["ok", "failed", "unknown"] satisfies Outcome[];

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isCount: Check = (value) => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
const isFlag: Check = (value) => value === undefined || typeof value === "boolean";
const orMissing =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);

const LINE_FIELDS: Readonly<Record<string, Check>> = {
  client: isCount,
  op: (value) => NAMES.includes(value),
  key: isText,
  value: orMissing(isText),
  expected: orMissing(isText),
  result: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  invoked: isCount,
  completed: orNull(isCount),
};
const RESULT_FIELDS: Readonly<Record<string, Check>> = {
  outcome: (value) => OUTCOMES.includes(value),
  value: orMissing(orNull(isText)),
  version: orMissing(isText),
  conditionMet: isFlag,
  found: isFlag,
};

function parseLine(line: string, number: number): Operation {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new Error(`line ${number} of the history is not JSON: ${line.slice(0, 80)}`);
  }
  const { result, ...asked } = checkFields(parsed, LINE_FIELDS, `line ${number}`);
  const { value, version, ...answer } = checkFields(result, RESULT_FIELDS, `line ${number}, result`);
  const observed = { ...(value !== undefined && { value }), ...(version !== undefined && { version }) };
  if (value === undefined && version !== undefined)
    throw new Error(`line ${number} of the history: a version without a value`);
  // Every field was checked above, and unknown ones were left out.
  return { ...asked, ...answer, ...(value !== undefined && { result: observed }) } as unknown as Operation;
}

/** The named fields that are present, each found right. */
function checkFields(parsed: unknown, checks: Readonly<Record<string, Check>>, place: string): Fields {
  if (typeof parsed !== "object" || parsed === null) throw new Error(`${place} of the history is not an object`);
  const source = parsed as Fields;
  const fields: Record<string, unknown> = {};
  for (const [name, check] of Object.entries(checks)) {
    const value = source[name];
    if (!check(value)) throw new Error(`${place} of the history: wrong ${name}: ${JSON.stringify(value)}`);
    if (value !== undefined) fields[name] = value;
  }
  return fields;
}
