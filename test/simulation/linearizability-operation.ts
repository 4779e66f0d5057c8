// What one operation of a history is to the linearizability checker: whether it wrote, saw or was refused something, whether
// it contradicts itself, when it was answered, and how it reads on one line. Judges no order: see linearizability.ts.

import type { Operation } from "./history.ts";

/** Whether it sets the register to a value of its own. */
export const writesValue = ({ op }: Operation): boolean => op === "put" || op === "create" || op === "cas";
/** Whether its condition was false (C7). */
export const isRefused = ({ outcome, conditionMet }: Operation): boolean =>
  outcome === "failed" && conditionMet === false;
/** Whether it only looks: a get, or a refused condition. */
export const isObserver = (operation: Operation): boolean => operation.op === "get" || isRefused(operation);
/** Whether it can have been anything: an effect, or something seen. */
export const counts = (operation: Operation): boolean =>
  operation.outcome === "ok" || isRefused(operation) || (operation.outcome === "unknown" && operation.op !== "get");

/** @throws Error for the operations of one key that contradict themselves or each other. */
export function validate(key: string, operations: readonly Operation[]): void {
  const values = new Set<string>();
  for (const operation of operations) {
    const wrong = malformation(operation) ?? repeatedValue(operation, values);
    if (wrong !== undefined) throw new Error(`malformed history of key ${key}: ${wrong}: ${describe(operation)}`);
  }
}

function malformation(operation: Operation): string | undefined {
  const { op, value, expected, invoked, completed, outcome, result, conditionMet } = operation;
  if (Number.isNaN(invoked) || (completed !== null && !(completed >= invoked)))
    return "completed before it was invoked";
  if (completed === null && outcome !== "unknown") return "an outcome without the time it was told";
  if (writesValue(operation) && value === undefined) return "a write without its value";
  if (op === "cas" && expected === undefined) return "a cas without the version it requires";
  if (expected !== undefined && op !== "cas" && op !== "delete") return "only cas and delete require a version";
  if (op === "get" && outcome === "ok" && result === undefined) return "a get that shows nothing";
  if (outcome === "unknown" && result !== undefined) return "an unknown outcome that shows something";
  if (conditionMet === false && outcome !== "failed") return "a refused condition is a failed operation";
  if (conditionMet === false && op !== "create" && expected === undefined) return "a refusal without a condition";
  return undefined;
}

function repeatedValue(operation: Operation, values: Set<string>): string | undefined {
  if (!writesValue(operation) || operation.value === undefined || operation.outcome === "failed") return undefined;
  if (values.has(operation.value)) return "values must be unique per key, and this one was written before";
  values.add(operation.value);
  return undefined;
}

/** When it was answered; Infinity for an unknown outcome. */
export const completion = ({ outcome, completed }: Operation): number =>
  outcome === "unknown" ? Infinity : (completed ?? Infinity);

/** One operation on one line: interval, client, what was asked, what was told. */
export function describe(operation: Operation): string {
  const { client, op, value, expected, invoked, completed, outcome, result, conditionMet, found } = operation;
  const quoted = (text: string | null): string => (text === null ? "absent" : JSON.stringify(text));
  const asked = [op, value === undefined ? "" : quoted(value), expected === undefined ? "" : `if version ${expected}`];
  const told = [
    outcome === "unknown" ? "unknown" : conditionMet === false ? "refused" : outcome,
    result === undefined || (outcome === "ok" && op !== "get") ? "" : quoted(result.value),
    result?.version === undefined ? "" : `(version ${result.version})`,
    found === undefined ? "" : found ? "(found)" : "(not found)",
  ];
  const join = (words: readonly string[]): string => words.filter((word) => word !== "").join(" ");
  return `[${invoked}, ${completed ?? "…"}] client ${client}: ${join(asked)} -> ${join(told)}`;
}
