// The model that the linearizability search walks: the operations of one key as numbered steps, what each needs of the register
// and leaves in it, by when, and what nothing that was seen depends on. Violations that show without a search are found
// while it is built. Why the model looks as it does: linearizability.ts.

import type { Operation } from "./history.ts";
import { completion, counts, describe, isObserver, isRefused, writesValue } from "./linearizability-operation.ts";

// States of the register, beside "the write with this number is current".
export const ABSENT = -1;
/** Some value is there which nothing will ask about again. */
export const SPENT = -2;
// What an operation may say instead of naming a state.
export const ANY = -3;
export const NONE = -4;
export const UNCHANGED = -5;

/** A required operation. Its number is its place in the order of deadlines. */
export interface Step {
  readonly invoked: number;
  /** The last moment it can take effect: its own answer, or that of the first which depends on it. */
  readonly deadline: number;
  /** The state it takes effect in: a write, ABSENT or ANY. */
  readonly needs: number;
  /** The state it cannot take effect in: a write, ABSENT or NONE. */
  readonly refuses: number;
  /** The state after it: a write (itself), ABSENT or UNCHANGED. */
  readonly leaves: number;
}

/** Layer n is the moment of the deadline of step n; a number of layers stands for "never". */
export interface Model {
  readonly steps: readonly Step[];
  /** Per layer: the steps invoked by then whose deadline has not passed before, in order of deadline. */
  readonly active: readonly (readonly number[])[];
  /** Per step that writes: the last layer in which a step that needs it, or refuses it, first appears; -1 without any. */
  readonly lastNeeded: readonly number[];
  readonly lastRefused: readonly number[];
  /** Per step: movers of one kind are interchangeable; each of the others has a kind of its own. */
  readonly kind: readonly string[];
  readonly optional: Optional;
}

/** Unknown writes that nothing has seen. */
interface Optional {
  /** Per layer: how many were sent by then. */
  readonly puts: readonly number[];
  readonly creates: readonly number[];
  readonly deletes: readonly number[];
  /** Per step that writes: first layer with an unknown cas, or conditional delete, on it. It can be used but once anyway. */
  readonly overwritten: ReadonlyMap<number, number>;
  readonly deleted: ReadonlyMap<number, number>;
}

/** Which write a value and a version id belong to. */
interface Bindings {
  readonly byValue: ReadonlyMap<string, Operation>;
  readonly byVersion: ReadonlyMap<string, Operation>;
}

/** @returns The model, or why no order can exist whatever is tried. */
export function buildModel(all: readonly Operation[]): Model | string {
  const operations = all.filter(counts);
  const bindings = bind(operations);
  if (typeof bindings === "string") return bindings;
  const required = requiredOperations(operations, bindings);
  if (typeof required === "string") return required;
  const deadlines = findDeadlines(required, bindings);
  const late = [...required].find((operation) => deadlineOf(deadlines, operation) < operation.invoked);
  if (late !== undefined) return `its effect was seen before it was sent: ${describe(late)}`;
  const ordered = [...required].sort((a, b) => deadlineOf(deadlines, a) - deadlineOf(deadlines, b));
  const numbers = new Map(ordered.map((operation, index) => [operation, index]));
  const steps = ordered.map((operation) => toStep(operation, deadlineOf(deadlines, operation), bindings, numbers));
  const intruder = findIntruder(steps);
  if (intruder !== undefined) {
    const [owner, guest] = intruder.map((step) => describe(ordered[step] ?? NOBODY));
    return `${owner} was in effect throughout a time in which ${guest} was too, or had to be`;
  }
  return assemble(
    steps,
    operations.filter((operation) => !required.has(operation)),
    bindings,
    numbers,
  );
}

function bind(operations: readonly Operation[]): Bindings | string {
  const byValue = new Map<string, Operation>();
  for (const operation of operations) {
    if (writesValue(operation) && !isRefused(operation)) byValue.set(operation.value ?? "", operation);
  }
  const byVersion = new Map<string, Operation>();
  const versions = new Map<Operation, string>();
  for (const operation of operations) {
    const shown = operation.result;
    const showsNone = isObserver(operation) ? shown?.value === null : !writesValue(operation);
    if (shown === undefined || showsNone) continue;
    const write = isObserver(operation) ? byValue.get(shown.value ?? "") : operation;
    if (write === undefined) return `it shows a value that no operation wrote: ${describe(operation)}`;
    if (shown.version === undefined) continue;
    const owner = byVersion.get(shown.version) ?? write;
    if (owner !== write)
      return `version ${shown.version} belongs to two writes: ${describe(owner)} and ${describe(write)}`;
    const known = versions.get(write) ?? shown.version;
    if (known !== shown.version) return `the write ${describe(write)} had version ${known}, then ${shown.version}`;
    byVersion.set(shown.version, write);
    versions.set(write, shown.version);
  }
  return { byValue, byVersion };
}

/** Acknowledged and refused operations, and every unknown write that one of these depends on, however indirectly. */
function requiredOperations(operations: readonly Operation[], bindings: Bindings): Set<Operation> | string {
  const required = new Set(operations.filter(({ outcome }) => outcome !== "unknown"));
  for (const operation of required) {
    // A set hands out what is added while it is walked.
    const basis = basisOf(operation, bindings);
    if (basis !== undefined) required.add(basis);
    else if (namesVersion(operation))
      return `it succeeded against a version that no answer showed: ${describe(operation)}`;
  }
  return required;
}

/** Whether it takes effect only at one version. */
const namesVersion = (operation: Operation): boolean => !isObserver(operation) && operation.expected !== undefined;

/** The write that must be current for the operation, where it names one. */
function basisOf(operation: Operation, { byValue, byVersion }: Bindings): Operation | undefined {
  if (namesVersion(operation)) return byVersion.get(operation.expected ?? "");
  const value = isObserver(operation) ? operation.result?.value : undefined;
  return value === undefined || value === null ? undefined : byValue.get(value);
}

function findDeadlines(required: ReadonlySet<Operation>, bindings: Bindings): Map<Operation, number> {
  const deadlines = new Map<Operation, number>();
  for (const operation of required) deadlines.set(operation, completion(operation));
  // An order in which nearly every chain is settled in one pass; the loop ends because deadlines only fall.
  const latestFirst = [...required].sort((a, b) => b.invoked - a.invoked);
  for (let changed = true; changed;) {
    changed = false;
    for (const operation of latestFirst) {
      const basis = basisOf(operation, bindings);
      if (basis === undefined || deadlineOf(deadlines, basis) <= deadlineOf(deadlines, operation)) continue;
      deadlines.set(basis, deadlineOf(deadlines, operation));
      changed = true;
    }
  }
  return deadlines;
}

const deadlineOf = (deadlines: ReadonlyMap<Operation, number>, operation: Operation): number =>
  deadlines.get(operation) ?? Infinity;

function toStep(
  operation: Operation,
  deadline: number,
  bindings: Bindings,
  numbers: ReadonlyMap<Operation, number>,
): Step {
  const numberOf = (write: Operation | undefined): number =>
    write === undefined ? NONE : (numbers.get(write) ?? NONE);
  const { op, invoked, result, expected, found } = operation;
  const basis = basisOf(operation, bindings);
  const named = basis === undefined ? ANY : numberOf(basis);
  const step = { invoked, deadline, needs: named, refuses: NONE, leaves: UNCHANGED };
  if (isObserver(operation)) {
    const refused = op === "create" ? ABSENT : numberOf(bindings.byVersion.get(expected ?? ""));
    return { ...step, needs: result?.value === null ? ABSENT : named, refuses: isRefused(operation) ? refused : NONE };
  }
  if (op === "create") return { ...step, needs: ABSENT, leaves: numberOf(operation) };
  if (op !== "delete") return { ...step, leaves: numberOf(operation) };
  if (expected === undefined && found === false) return { ...step, needs: ABSENT };
  return { ...step, refuses: found === true ? ABSENT : NONE, leaves: ABSENT };
}

/** From the first answer about a value to the last question about it. Where `from` < `to` it was there all that time. */
interface Zone {
  readonly from: number;
  readonly to: number;
}

/** @returns A write, and a step that lies where that write was in effect and cannot, if there is such a pair. */
function findIntruder(steps: readonly Step[]): [owner: number, guest: number] | undefined {
  const zones = findZones(steps);
  for (const [owner, { from, to }] of zones) {
    if (from >= to) continue;
    for (const [guest, step] of steps.entries()) {
      if (from < step.invoked && step.deadline < to && !fitsBeside(step, owner)) return [owner, guest];
      const zone = guest === owner ? undefined : zones.get(guest);
      if (zone !== undefined && from < zone.to && zone.from < to) return [owner, guest];
    }
  }
  return undefined;
}

/** The zone of each write. */
function findZones(steps: readonly Step[]): Map<number, Zone> {
  const zones = new Map<number, Zone>();
  const extend = (write: number, { deadline, invoked }: Step): void => {
    const { from, to } = zones.get(write) ?? { from: Infinity, to: -Infinity };
    zones.set(write, { from: Math.min(from, deadline), to: Math.max(to, invoked) });
  };
  steps.forEach((step) => {
    if (step.needs >= 0) extend(step.needs, step);
    if (step.leaves >= 0) extend(step.leaves, step);
  });
  return zones;
}

/** Whether a step can take effect in a state. */
export const admits = (step: Step, state: number): boolean =>
  (step.needs === ANY || step.needs === state) && step.refuses !== state;

/** Whether a step may take effect while a write is and stays in effect. */
function fitsBeside(step: Step, write: number): boolean {
  return step.leaves === write || (admits(step, write) && step.leaves === UNCHANGED);
}

function assemble(
  steps: readonly Step[],
  unseen: readonly Operation[],
  bindings: Bindings,
  numbers: ReadonlyMap<Operation, number>,
): Model {
  const layerOf = firstLayerFinder(steps);
  const active: number[][] = steps.map(() => []);
  const lastNeeded = steps.map(() => -1);
  const lastRefused = steps.map(() => -1);
  steps.forEach((step, index) => {
    const first = layerOf(step.invoked);
    for (let layer = first; layer <= index; layer++) active[layer]?.push(index);
    if (step.needs >= 0) lastNeeded[step.needs] = Math.max(first, lastNeeded[step.needs] ?? -1);
    if (step.refuses >= 0) lastRefused[step.refuses] = Math.max(first, lastRefused[step.refuses] ?? -1);
  });
  const optional = gatherOptional(unseen, layerOf, steps.length, (version) =>
    numbers.get(bindings.byVersion.get(version) ?? NOBODY),
  );
  const kind = steps.map(({ needs, refuses, leaves }, index) => {
    const nameless =
      leaves === ABSENT ||
      ((lastNeeded[index] ?? -1) < 0 && (lastRefused[index] ?? -1) < 0 && !optional.deleted.has(index));
    return nameless ? `${needs} ${refuses} ${leaves === ABSENT ? "delete" : "write"}` : `${index}`;
  });
  return { steps, active, lastNeeded, lastRefused, kind, optional };
}

/** Stands for the owner of a version nobody owns, in look-ups that then find nothing. */
const NOBODY: Operation = { client: -1, op: "get", key: "", invoked: 0, completed: null, outcome: "unknown" };

/** Finds the first layer whose deadline is not before a time. */
function firstLayerFinder(steps: readonly Step[]): (time: number) => number {
  return (time) => {
    let low = 0;
    let high = steps.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((steps[middle]?.deadline ?? Infinity) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

function gatherOptional(
  unseen: readonly Operation[],
  layerOf: (time: number) => number,
  layers: number,
  stepOfVersion: (version: string) => number | undefined,
): Optional {
  const supply = { puts: zeros(layers), creates: zeros(layers), deletes: zeros(layers) };
  const overwritten = new Map<number, number>();
  const deleted = new Map<number, number>();
  for (const { op, expected, invoked } of unseen) {
    const layer = layerOf(invoked);
    if (op === "put") increaseFrom(supply.puts, layer);
    else if (op === "create") increaseFrom(supply.creates, layer);
    else if (op === "delete" && expected === undefined) increaseFrom(supply.deletes, layer);
    else {
      const step = stepOfVersion(expected ?? "");
      const uses = op === "delete" ? deleted : overwritten;
      // One that names a version nobody saw needs an unseen write before it, and then does no more than that one.
      if (step !== undefined) uses.set(step, Math.min(layer, uses.get(step) ?? layer));
    }
  }
  return { ...supply, overwritten, deleted };
}

const zeros = (length: number): number[] => Array.from({ length }, () => 0);

function increaseFrom(counters: number[], start: number): void {
  for (let index = start; index < counters.length; index++) counters[index] = (counters[index] ?? 0) + 1;
}
