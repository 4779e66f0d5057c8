// Linearizability checker: is there one order of the operations, consistent with real time, in which every answer is what a
// single register would have given? (Herlihy and Wing 1990; the search is Wing and Gong's with Lowe's just-in-time
// linearisation and a memory of configurations, one search a key: linearizability is local.)
//
// The register: put sets, delete clears, create needs the key absent, cas needs the version id it names to be current.
// A refused condition is a read: at some instant the condition was false (C7). `failed` otherwise means no effect at all.
// An `unknown` write takes effect at any time after it was sent, or never (C8). The key is absent at first.
//
// What keeps the search small, all of it from "a value identifies its write":
// - An unknown write whose value was seen did happen, before the first answer that shows it was given: it is a required
//   operation with that deadline. Version ids are bound to writes before the search, from answers and reads.
// - A value that was overwritten never returns: a write is left only when everything that needs it is in the order.
//   One that nothing will ask about again becomes SPENT, whichever it was.
// - Pure reads are placed as soon as they fit. Writes that nothing names are interchangeable: earliest deadline first.
// - A value whose first answer came before its last question was there in between. What belongs to another value cannot
//   lie in that time: most violations are found so, without a search (Gibbons and Korach 1997).
// - Unknown writes never seen ("optional") are not simply dropped: a refused condition, or a delete that found something,
//   may need one, and "absent" may need an unknown delete. They count as a supply, and one is drawn only where something
//   that needs it follows at once; elsewhere leaving it out changes no answer. Fewer drawn is never worse.
//
// Does not judge reads at level one (stale by contract: leave the key out), and never guesses: beyond `stepsMax` a key is
// undecided. Malformed histories throw. Wants causal ones: a client names a version only after some answer showed it.

import type { Operation } from "./history.ts";

/** The verdict: linearizable, not (with the evidence), or not decided within the budget. */
export type CheckResult =
  | { readonly ok: true; readonly operations: number; readonly undecided?: never }
  | { readonly ok: false; readonly key: string; readonly explanation: string; readonly undecided?: never }
  | { readonly undecided: true; readonly key: string; readonly ok?: never };

export interface CheckOptions {
  /** Configurations examined for one key before it is given up as undecided. Default 500 000: seconds. */
  readonly stepsMax?: number;
}

const STEPS_MAX = 500_000;
/** Operations shown in an explanation. */
const SHOWN_MAX = 24;

/**
 * Judges a whole history, key by key. A violation on any key outweighs an undecided one.
 * @throws Error for a history that contradicts itself: a write without a value, two writes of one value to one key, an
 * answer before its question, a read that shows nothing, an unknown outcome that shows something.
 */
export function checkHistory(operations: readonly Operation[], options: CheckOptions = {}): CheckResult {
  const stepsMax = options.stepsMax ?? STEPS_MAX;
  let undecided: string | undefined;
  for (const [key, ofKey] of groupByKey(operations)) {
    validate(key, ofKey);
    const verdict = checkKey(ofKey, stepsMax);
    if (verdict.kind === "violation")
      return { ok: false, key, explanation: explain(key, ofKey, stepsMax, verdict.reason) };
    if (verdict.kind === "undecided") undecided ??= key;
  }
  return undecided === undefined ? { ok: true, operations: operations.length } : { undecided: true, key: undecided };
}

type Verdict =
  | { readonly kind: "ok" }
  | { readonly kind: "undecided" }
  | { readonly kind: "violation"; readonly reason: string };

function checkKey(operations: readonly Operation[], stepsMax: number): Verdict {
  const model = buildModel(operations);
  return typeof model === "string" ? { kind: "violation", reason: model } : search(model, stepsMax);
}

function groupByKey(operations: readonly Operation[]): Map<string, Operation[]> {
  const groups = new Map<string, Operation[]>();
  for (const operation of operations) {
    const group = groups.get(operation.key);
    if (group === undefined) groups.set(operation.key, [operation]);
    else group.push(operation);
  }
  return groups;
}

// ---------------------------------------------------------------------------------------------- what an operation is

const writesValue = ({ op }: Operation): boolean => op === "put" || op === "create" || op === "cas";
const isRefused = ({ outcome, conditionMet }: Operation): boolean => outcome === "failed" && conditionMet === false;
const isObserver = (operation: Operation): boolean => operation.op === "get" || isRefused(operation);
/** Whether it can have been anything: an effect, or something seen. */
const counts = (operation: Operation): boolean =>
  operation.outcome === "ok" || isRefused(operation) || (operation.outcome === "unknown" && operation.op !== "get");

function validate(key: string, operations: readonly Operation[]): void {
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

// ----------------------------------------------------------------------------------------------------------- the model

// States of the register, beside "the write with this number is current".
const ABSENT = -1;
/** Some value is there which nothing will ask about again. */
const SPENT = -2;
// What an operation may say instead of naming a state.
const ANY = -3;
const NONE = -4;
const UNCHANGED = -5;

/** A required operation. Its number is its place in the order of deadlines. */
interface Step {
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
interface Model {
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
function buildModel(all: readonly Operation[]): Model | string {
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

const completion = ({ outcome, completed }: Operation): number =>
  outcome === "unknown" ? Infinity : (completed ?? Infinity);
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

// ---------------------------------------------------------------------------------------------------------- the search

/** How far an order has come. Every step before `layer` is in it. */
interface Configuration {
  readonly layer: number;
  /** Steps from `layer` on that are in it too, ascending. */
  readonly ahead: readonly number[];
  readonly state: number;
  /** Optional writes drawn: puts, creates, deletes. */
  readonly drawn: Drawn;
}
type Drawn = readonly [puts: number, creates: number, deletes: number];

function search(model: Model, stepsMax: number): Verdict {
  const seen = new Map<string, Drawn[]>();
  const stack: Configuration[] = [];
  const offer = (configuration: Configuration): void => {
    const settled = settle(model, configuration);
    if (isNew(seen, settled)) stack.push(settled);
  };
  offer({ layer: 0, ahead: [], state: ABSENT, drawn: [0, 0, 0] });
  for (let steps = 0; ; steps++) {
    const configuration = stack.pop();
    if (configuration === undefined) break;
    if (configuration.layer === model.steps.length) return { kind: "ok" };
    if (steps >= stepsMax) return { kind: "undecided" };
    if (configuration.ahead[0] === configuration.layer) {
      offer({ ...configuration, layer: configuration.layer + 1, ahead: configuration.ahead.slice(1) });
      continue;
    }
    // Last in, first out: drawing on optional writes is tried last, the step that is due first.
    for (const next of optionalMoves(model, configuration)) offer(next);
    for (const next of requiredMoves(model, configuration).reverse()) offer(next);
  }
  return { kind: "violation", reason: "no order of the operations explains it" };
}

/** Places every pure read that fits, and forgets a value that nothing will ask about again. */
function settle(model: Model, configuration: Configuration): Configuration {
  const { layer, ahead, state } = configuration;
  const fitting = waiting(model, layer, ahead).filter((index) => {
    const step = model.steps[index];
    return step !== undefined && step.leaves === UNCHANGED && admits(step, state);
  });
  const together = fitting.length === 0 ? ahead : [...ahead, ...fitting].sort((a, b) => a - b);
  return { ...configuration, ahead: together, state: isSpent(model, layer, together, state) ? SPENT : state };
}

/** Active steps that are not in the order yet, in order of deadline. */
function waiting(model: Model, layer: number, ahead: readonly number[]): number[] {
  return (model.active[layer] ?? []).filter((index) => !ahead.includes(index));
}

const admits = (step: Step, state: number): boolean =>
  (step.needs === ANY || step.needs === state) && step.refuses !== state;

function isSpent(model: Model, layer: number, ahead: readonly number[], state: number): boolean {
  if (state < 0 || model.optional.deleted.has(state)) return false;
  if ((model.lastNeeded[state] ?? -1) > layer || (model.lastRefused[state] ?? -1) > layer) return false;
  return waiting(model, layer, ahead).every(
    (index) => model.steps[index]?.needs !== state && model.steps[index]?.refuses !== state,
  );
}

/** Whether a value may be overwritten for ever: all that need it are in the order, except the one that overwrites it. */
function canLeave(model: Model, { layer, ahead, state }: Configuration, by: number): boolean {
  if (state < 0) return true;
  if ((model.lastNeeded[state] ?? -1) > layer) return false;
  return waiting(model, layer, ahead).every((index) => index === by || model.steps[index]?.needs !== state);
}

function requiredMoves(model: Model, configuration: Configuration): Configuration[] {
  const { layer, ahead, state } = configuration;
  const kinds = new Set<string>();
  const moves: Configuration[] = [];
  for (const index of waiting(model, layer, ahead)) {
    const step = model.steps[index];
    const kind = model.kind[index] ?? "";
    if (step === undefined || step.leaves === UNCHANGED || kinds.has(kind)) continue;
    kinds.add(kind);
    if (!admits(step, state) || !canLeave(model, configuration, index)) continue;
    moves.push({ ...configuration, ahead: [...ahead, index].sort((a, b) => a - b), state: step.leaves });
  }
  return moves;
}

/** Unseen unknown writes that would let something through at once. */
function optionalMoves(model: Model, configuration: Configuration): Configuration[] {
  const { layer, state, drawn } = configuration;
  const [puts, creates, deletes] = drawn;
  const { optional } = model;
  if (!canLeave(model, configuration, NONE)) return [];
  const to = (next: number, used: Drawn): Configuration => ({ ...configuration, state: next, drawn: used });
  const isSent = (uses: ReadonlyMap<number, number>): boolean => (uses.get(state) ?? Infinity) <= layer;
  const moves: Configuration[] = [];
  if (state !== SPENT) {
    if (isSent(optional.overwritten)) moves.push(to(SPENT, drawn));
    else if (state === ABSENT && creates < (optional.creates[layer] ?? 0))
      moves.push(to(SPENT, [puts, creates + 1, deletes]));
    else if (puts < (optional.puts[layer] ?? 0)) moves.push(to(SPENT, [puts + 1, creates, deletes]));
  }
  if (state !== ABSENT) {
    if (isSent(optional.deleted)) moves.push(to(ABSENT, drawn));
    else if (deletes < (optional.deletes[layer] ?? 0)) moves.push(to(ABSENT, [puts, creates, deletes + 1]));
  }
  return moves.filter((move) => letsThrough(model, configuration, move));
}

/** Whether a waiting step is admitted after a move that was not admitted before it. */
function letsThrough(model: Model, before: Configuration, after: Configuration): boolean {
  return waiting(model, before.layer, before.ahead).some((index) => {
    const step = model.steps[index];
    return step !== undefined && admits(step, after.state) && !admits(step, before.state);
  });
}

/** Remembers a configuration, unless one like it was reached that had drawn no more. */
function isNew(seen: Map<string, Drawn[]>, { layer, ahead, state, drawn }: Configuration): boolean {
  const key = `${layer} ${state} ${ahead.join(",")}`;
  const known = seen.get(key);
  if (known === undefined) {
    seen.set(key, [drawn]);
    return true;
  }
  if (known.some((other) => other[0] <= drawn[0] && other[1] <= drawn[1] && other[2] <= drawn[2])) return false;
  known.push(drawn);
  return true;
}

// ----------------------------------------------------------------------------------------------------- the explanation

/** Finds the earliest answer that no order explains: a prefix of a linearizable history is linearizable, so halving finds it. */
function explain(key: string, operations: readonly Operation[], stepsMax: number, reason: string): string {
  const moments = [...new Set(operations.filter(counts).map(completion))].filter(Number.isFinite).sort((a, b) => a - b);
  let low = 0;
  let high = moments.length - 1;
  let why = reason;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const verdict = checkKey(prefixUntil(operations, moments[middle] ?? Infinity), stepsMax);
    if (verdict.kind !== "violation") low = middle + 1;
    else {
      high = middle;
      why = verdict.reason;
    }
  }
  return render(key, prefixUntil(operations, moments[high] ?? Infinity), moments[high] ?? Infinity, why);
}

/** The history as it was known at a moment: what was not answered by then is unknown, what was not sent is not there. */
function prefixUntil(operations: readonly Operation[], moment: number): Operation[] {
  return operations
    .filter(({ invoked }) => invoked <= moment)
    .map((operation) => {
      if (operation.completed !== null && operation.completed <= moment) return operation;
      const { result: _result, conditionMet: _conditionMet, found: _found, ...asked } = operation;
      return { ...asked, completed: null, outcome: "unknown" };
    });
}

function render(key: string, prefix: readonly Operation[], moment: number, reason: string): string {
  const relevant = prefix.filter(counts);
  const isCulprit = (operation: Operation): boolean => completion(operation) === moment;
  const culprits = relevant.filter(isCulprit);
  const others = relevant.filter((operation) => !isCulprit(operation));
  const shown = new Set([...culprits, ...byRelevance(others, culprits)].slice(0, SHOWN_MAX));
  const lines = relevant.filter((operation) => shown.has(operation)).sort((a, b) => a.invoked - b.invoked);
  const hidden = relevant.length - lines.length;
  return [
    `key ${key} is not linearizable: the history fails once the operation marked > is answered at ${moment}: ${reason}.`,
    ...(hidden > 0 ? [`  (${hidden} operations left out)`] : []),
    ...lines.map((operation) => `${isCulprit(operation) ? ">" : " "} ${describe(operation)}`),
  ].join("\n");
}

/** Operations about the same value or version first, then those answered last. */
function byRelevance(others: readonly Operation[], culprits: readonly Operation[]): Operation[] {
  const marksOf = ({ value, expected, result }: Operation): string[] =>
    [value, expected, result?.value, result?.version].filter((mark) => typeof mark === "string");
  const marks = new Set(culprits.flatMap(marksOf));
  const isLinked = (operation: Operation): boolean => marksOf(operation).some((mark) => marks.has(mark));
  const latestFirst = [...others].sort((a, b) => (b.completed ?? b.invoked) - (a.completed ?? a.invoked));
  // Linked ones may not crowd out the neighbourhood.
  const linked = latestFirst.filter(isLinked);
  const near = latestFirst.slice(0, SHOWN_MAX / 2);
  return [...linked.slice(0, SHOWN_MAX / 4), ...linked.slice(-SHOWN_MAX / 4), ...near];
}

/** One operation on one line: interval, client, what was asked, what was told. */
function describe(operation: Operation): string {
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
