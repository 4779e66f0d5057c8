// The search of the linearizability checker: depth first over configurations (how far an order has come, and what the register
// then holds), with a memory of those it has seen. What keeps it small is explained in linearizability.ts.

import { ABSENT, admits, type Model, NONE, SPENT, UNCHANGED } from "./linearizability-model.ts";

/** The verdict on one key. */
export type Verdict =
  | { readonly kind: "ok" }
  | { readonly kind: "undecided" }
  | { readonly kind: "violation"; readonly reason: string };

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

/** Looks for one order of all required steps, examining at most `stepsMax` configurations. */
export function search(model: Model, stepsMax: number): Verdict {
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
