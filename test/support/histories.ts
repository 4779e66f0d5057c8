// Histories for the tests of the linearizability checker: operations written by hand, executions made at random on one
// register, and a brute-force judge, which shares no code with the checker: it runs the register, order by order.

import type { Operation, OperationName } from "../simulation/history.ts";
import type { CheckResult } from "../simulation/linearizability.ts";

export type Rest = Partial<Omit<Operation, "op" | "invoked" | "completed">>;

/** An acknowledged operation on key k, over an interval. */
export function done(op: OperationName, [invoked, completed]: readonly [number, number], rest: Rest = {}): Operation {
  return { client: 1, key: "k", outcome: "ok", op, invoked, completed, ...rest };
}
export const put = (at: readonly [number, number], value: string, version?: string): Operation =>
  done("put", at, { value, ...(version !== undefined && { result: { value, version } }) });
export const get = (at: readonly [number, number], value: string | null, version?: string): Operation =>
  done("get", at, { result: { value, ...(version !== undefined && { version }) } });
export const remove = (at: readonly [number, number], rest: Rest = {}): Operation => done("delete", at, rest);
export const cas = (at: readonly [number, number], expected: string, value: string, version?: string): Operation =>
  done("cas", at, { expected, value, ...(version !== undefined && { result: { value, version } }) });
export const refused = (op: OperationName, at: readonly [number, number], rest: Rest = {}): Operation =>
  done(op, at, { outcome: "failed", conditionMet: false, value: "never", ...rest });
export const unknown = (op: OperationName, invoked: number, rest: Rest = {}): Operation => ({
  ...done(op, [invoked, invoked], rest),
  completed: null,
  outcome: "unknown",
});

export const verdictOf = (result: CheckResult): string =>
  result.undecided ? "undecided" : result.ok ? "linearizable" : "violation";

/** Tries every order and every choice of unknown writes. For at most 7 operations. */
export function isLinearizableByBruteForce(operations: readonly Operation[]): boolean {
  const shown = new Set(operations.map(({ result }) => result?.version).filter((version) => version !== undefined));
  const relevant = operations.filter(
    ({ outcome, conditionMet, op }) =>
      outcome === "ok" || conditionMet === false || (outcome === "unknown" && op !== "get"),
  );
  return tryOrders(relevant, shown, undefined, []);
}

/** What an order claims about versions: that a value has one, or has not. */
type Claim = { readonly value: string; readonly version: string; readonly equal: boolean };

function tryOrders(
  rest: readonly Operation[],
  shown: ReadonlySet<string>,
  current: string | undefined,
  claims: readonly Claim[],
): boolean {
  if (rest.every(({ outcome }) => outcome === "unknown") && areConsistent(claims)) return true;
  return rest.some((operation, index) => {
    const others = rest.filter((_, other) => other !== index);
    const isLate = others.some(
      ({ outcome, completed }) => outcome !== "unknown" && (completed ?? 0) < operation.invoked,
    );
    const applied = isLate ? undefined : apply(operation, shown, current);
    return applied !== undefined && tryOrders(others, shown, applied.next, [...claims, ...applied.claims]);
  });
}

function apply(
  operation: Operation,
  shown: ReadonlySet<string>,
  current: string | undefined,
): { next: string | undefined; claims: Claim[] } | undefined {
  const { op, value, expected, result, conditionMet, found } = operation;
  const claims: Claim[] = [];
  if (op === "get" || conditionMet === false) {
    if (result !== undefined && (result.value ?? undefined) !== current) return undefined;
    if (result?.version !== undefined && current !== undefined) {
      claims.push({ value: current, version: result.version, equal: true });
    }
    if (op === "create" && current === undefined) return undefined;
    if (op !== "create" && expected !== undefined && current !== undefined) {
      claims.push({ value: current, version: expected, equal: false });
    }
    return { next: current, claims };
  }
  if (op === "create" && current !== undefined) return undefined;
  if (expected !== undefined) {
    if (current === undefined || !shown.has(expected)) return undefined;
    claims.push({ value: current, version: expected, equal: true });
  }
  if (op === "delete" && expected === undefined && found !== undefined && found !== (current !== undefined))
    return undefined;
  if (op === "delete") return { next: undefined, claims };
  if (result?.version !== undefined && value !== undefined)
    claims.push({ value, version: result.version, equal: true });
  return { next: value, claims };
}

function areConsistent(claims: readonly Claim[]): boolean {
  return claims.every((one) =>
    claims.every((other) => {
      if (!one.equal) return true;
      if (!other.equal) return one.value !== other.value || one.version !== other.version;
      return (one.value === other.value) === (one.version === other.version);
    }),
  );
}

export type Random = () => number;

export const below = (random: Random, limit: number): number => Math.floor(random() * limit);
export function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[below(random, items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

export interface Shape {
  readonly count: number;
  /** An operation takes effect at 100 times its place and lasts at most this much to either side. */
  readonly stretch: number;
  /** Of writes. */
  readonly unknownShare: number;
  /** Of answers: whether they tell more than the bare outcome (a version, what was found, what refused them). */
  readonly tellingShare: number;
  readonly names: readonly OperationName[];
}

/** Runs operations one by one on a register, then stretches their intervals: linearizable by construction. */
export function randomExecution(random: Random, shape: Shape): Operation[] {
  let current: { value: string; version: string } | undefined;
  const shown: string[] = [];
  const operations: Operation[] = [];
  for (let place = 0; place < shape.count; place++) {
    const op = pick(random, shape.names);
    const point = 100 * place + 50;
    const invoked = point - below(random, shape.stretch);
    const base = { client: place, op, key: "k", invoked, completed: point + below(random, shape.stretch) };
    const expected = random() < 0.7 ? current?.version : shown.length > 0 ? pick(random, shown) : undefined;
    const conditional = op === "cas" || (op === "delete" && random() < 0.2);
    if (op === "cas" && expected === undefined) continue;
    const asked = {
      ...base,
      ...(op !== "get" && op !== "delete" && { value: `v${place}` }),
      ...(conditional && expected !== undefined && shown.includes(expected) && { expected }),
    };
    if (op === "cas" && asked.expected === undefined) continue;
    const before = current === undefined ? { value: null } : { ...current };
    const met =
      op === "create" ? current === undefined : asked.expected === undefined || asked.expected === current?.version;
    const takesEffect = random() < 0.5;
    const isUnknown = op !== "get" && random() < shape.unknownShare;
    if (met && op !== "get" && (!isUnknown || takesEffect)) {
      current = op === "delete" ? undefined : { value: `v${place}`, version: `1.${place}` };
    }
    if (isUnknown) {
      operations.push({ ...asked, completed: null, outcome: "unknown" });
      continue;
    }
    const telling = random() < shape.tellingShare;
    if (!met) {
      operations.push({ ...asked, outcome: "failed", conditionMet: false, ...(telling && { result: before }) });
      if (telling && before.value !== null && "version" in before) shown.push(before.version);
    } else if (op === "delete") {
      const found = telling && asked.expected === undefined && { found: before.value !== null };
      operations.push({ ...asked, outcome: "ok", ...found });
    } else {
      const seen = op === "get" ? before : { value: `v${place}`, version: `1.${place}` };
      const result = telling || !("version" in seen) ? seen : { value: seen.value };
      if ("version" in result) shown.push(result.version);
      operations.push({ ...asked, outcome: "ok", ...((op === "get" || telling) && { result }) });
    }
  }
  return operations;
}

/** Changes one answer: what it showed or found, the version it required, whether it was a refusal, when it was given. */
export function mutate(random: Random, operations: readonly Operation[]): Operation[] {
  const index = below(random, operations.length);
  const values = operations.flatMap(({ value, conditionMet }) =>
    value === undefined || conditionMet === false ? [] : [value],
  );
  const versions = operations.flatMap(({ result }) => (result?.version === undefined ? [] : [result.version]));
  return operations.map((operation, place) => {
    if (place !== index || operation.outcome === "unknown") return operation;
    const { found, result, expected } = operation;
    if (expected !== undefined && random() < 0.5)
      return { ...operation, expected: pick(random, [...versions, expected]) };
    if ((expected !== undefined || operation.op === "create") && operation.outcome === "ok" && random() < 0.5) {
      const { result: _result, ...asked } = operation;
      return { ...asked, outcome: "failed", conditionMet: false };
    }
    if (found !== undefined) return { ...operation, found: !found };
    if (result !== undefined && (operation.op === "get" || operation.conditionMet === false)) {
      return { ...operation, result: { value: pick(random, [...values, null]) } };
    }
    return { ...operation, completed: operation.invoked };
  });
}

export function mutateOften(random: Random, operations: readonly Operation[], times: number): readonly Operation[] {
  return times === 0 ? operations : mutateOften(random, mutate(random, operations), times - 1);
}

export const ALL_NAMES: readonly OperationName[] = ["put", "get", "get", "delete", "cas", "create"];

/** The history as far as it was known at a moment. */
export function knownBy(operations: readonly Operation[], moment: number): Operation[] {
  return operations
    .filter(({ invoked }) => invoked <= moment)
    .map((operation) => {
      if (operation.completed !== null && operation.completed <= moment) return operation;
      const { client, op, key, value, expected, invoked } = operation;
      const asked = {
        client,
        op,
        key,
        ...(value !== undefined && { value }),
        ...(expected !== undefined && { expected }),
      };
      return { ...asked, invoked, completed: null, outcome: "unknown" };
    });
}

/** Adds a read, near the end, of a value that was acknowledged, read and overwritten in the middle. */
export function lateStaleRead(operations: readonly Operation[]): Operation[] {
  const reads = operations.filter(
    ({ op, outcome, result }) => op === "get" && outcome === "ok" && typeof result?.value === "string",
  );
  const old = reads[Math.floor(reads.length / 2)]?.result?.value ?? "ghost";
  const end = Math.max(...operations.map(({ completed }) => completed ?? 0));
  const between = { ...put([end + 1, end + 2], "between"), client: 0 };
  return [...operations, between, get([end + 3, end + 4], old)];
}
