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
//
// In four files: what an operation is (linearizability-operation.ts), the model of one key (linearizability-model.ts), the
// search for an order (linearizability-search.ts), and here the verdict and its explanation.

import type { Operation } from "./history.ts";
import { buildModel } from "./linearizability-model.ts";
import { completion, counts, describe, validate } from "./linearizability-operation.ts";
import { search, type Verdict } from "./linearizability-search.ts";

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
