// The checker against histories whose verdict is known by hand, against a brute-force judge that tries every order, and
// against its own budget. The judge here shares no code with the checker: it runs the register, order by order.

import { describe, expect, test } from "vitest";
import { HistoryRecorder, parseHistory, serializeHistory, type Operation, type OperationName } from "./history.ts";
import { checkHistory, type CheckResult } from "./linearizability.ts";

type Rest = Partial<Omit<Operation, "op" | "invoked" | "completed">>;

/** An acknowledged operation on key k, over an interval. */
function done(op: OperationName, [invoked, completed]: readonly [number, number], rest: Rest = {}): Operation {
  return { client: 1, key: "k", outcome: "ok", op, invoked, completed, ...rest };
}
const put = (at: readonly [number, number], value: string, version?: string): Operation =>
  done("put", at, { value, ...(version !== undefined && { result: { value, version } }) });
const get = (at: readonly [number, number], value: string | null, version?: string): Operation =>
  done("get", at, { result: { value, ...(version !== undefined && { version }) } });
const remove = (at: readonly [number, number], rest: Rest = {}): Operation => done("delete", at, rest);
const cas = (at: readonly [number, number], expected: string, value: string, version?: string): Operation =>
  done("cas", at, { expected, value, ...(version !== undefined && { result: { value, version } }) });
const refused = (op: OperationName, at: readonly [number, number], rest: Rest = {}): Operation =>
  done(op, at, { outcome: "failed", conditionMet: false, value: "never", ...rest });
const unknown = (op: OperationName, invoked: number, rest: Rest = {}): Operation => ({
  ...done(op, [invoked, invoked], rest),
  completed: null,
  outcome: "unknown",
});

const verdictOf = (result: CheckResult): string =>
  result.undecided ? "undecided" : result.ok ? "linearizable" : "violation";

function explanationOf(operations: readonly Operation[]): string {
  const result = checkHistory(operations);
  return result.ok === false ? result.explanation : verdictOf(result);
}

describe("histories of one register that are linearizable", () => {
  const good: Readonly<Record<string, readonly Operation[]>> = {
    "nothing at all": [],
    "the key is absent at first": [get([0, 1], null)],
    "a read during a put sees either value": [put([0, 1], "a"), put([2, 9], "b"), get([3, 4], "a"), get([5, 6], "b")],
    "operations that touch at one instant are concurrent": [put([0, 5], "a"), get([5, 6], null)],
    "an unknown put seen late": [
      put([0, 1], "a"),
      unknown("put", 2, { value: "b" }),
      get([3, 4], "a"),
      put([5, 6], "c"),
      get([7, 8], "c"),
      get([9, 10], "b"),
    ],
    "an unknown put never seen": [unknown("put", 0, { value: "a" }), get([1, 2], null), get([3, 4], null)],
    "an unknown delete explains absence after a put (C8)": [
      unknown("delete", 0),
      put([1, 2], "a"),
      get([3, 4], "a"),
      get([5, 6], null),
    ],
    "two unknown deletes explain absence twice": [
      unknown("delete", 0),
      unknown("delete", 0),
      put([1, 2], "a"),
      get([3, 4], null),
      put([5, 6], "b"),
      get([7, 8], null),
    ],
    "a chain of conditional writes": [
      done("create", [0, 1], { value: "a", result: { value: "a", version: "1.1" } }),
      cas([2, 3], "1.1", "b", "1.2"),
      cas([4, 5], "1.2", "c", "1.3"),
      get([6, 7], "c", "1.3"),
    ],
    "an unknown conditional write seen by a later one": [
      put([0, 1], "a", "1.1"),
      unknown("cas", 2, { expected: "1.1", value: "b" }),
      get([3, 4], "b", "1.2"),
      cas([5, 6], "1.2", "c", "1.3"),
    ],
    "a condition refused because an unseen unknown put came between": [
      put([0, 1], "a", "1.1"),
      unknown("put", 2, { value: "b" }),
      refused("cas", [3, 4], { expected: "1.1" }),
    ],
    "a create refused because an unseen unknown put came first": [
      unknown("put", 0, { value: "b" }),
      refused("create", [1, 2]),
    ],
    "a delete that found what an unseen unknown create had put": [
      unknown("create", 0, { value: "b" }),
      remove([1, 2], { found: true }),
      get([3, 4], null),
    ],
    "a condition refused after a conditional delete of unknown outcome": [
      put([0, 1], "a", "1.1"),
      unknown("delete", 2, { expected: "1.1" }),
      refused("cas", [3, 4], { expected: "1.1" }),
      get([5, 6], null),
    ],
    "an unread put waits for the delete it overwrites": [
      put([0, 1], "a"),
      put([2, 9], "b"),
      remove([3, 8]),
      get([4, 10], null),
      refused("create", [10, 11]),
    ],
    "a concurrent delete comes after the put it clears, however early it was sent": [
      put([0, 9], "a"),
      remove([0, 9]),
      get([10, 11], null),
    ],
    "a failed write without a condition has no effect": [
      put([0, 1], "a"),
      done("put", [2, 3], { value: "b", outcome: "failed" }),
      get([4, 5], "a"),
    ],
    "a get without an answer says nothing": [put([0, 1], "a"), unknown("get", 2)],
  };
  test.each(Object.entries(good))("%s", (_name, operations) => {
    expect(checkHistory(operations)).toEqual({ ok: true, operations: operations.length });
  });
});

describe("histories of one register that are not linearizable", () => {
  const bad: Readonly<Record<string, readonly Operation[]>> = {
    "a stale read": [put([0, 1], "a"), put([2, 3], "b"), get([4, 5], "a")],
    "a lost update: an acknowledged put that is not there": [put([0, 1], "a"), get([2, 3], null)],
    "absent after an acknowledged put over an earlier delete": [
      put([0, 1], "a"),
      remove([2, 3]),
      put([4, 5], "b"),
      get([6, 7], null),
    ],
    "A, B, A by a blind retry (C8)": [
      put([0, 20], "a"),
      get([1, 2], "a"),
      put([3, 4], "b"),
      get([5, 6], "b"),
      get([7, 8], "a"),
    ],
    "a retry that writes the same value under a second version (C8)": [
      put([0, 20], "a"),
      get([1, 2], "a", "1.1"),
      get([3, 4], "a", "2.1"),
    ],
    "a read that goes back during one put": [put([0, 1], "a"), put([2, 20], "b"), get([3, 4], "b"), get([5, 6], "a")],
    "two compare-and-sets that succeed on one version (C7)": [
      put([0, 1], "a", "1.1"),
      cas([2, 9], "1.1", "b", "1.2"),
      cas([3, 8], "1.1", "c", "1.3"),
    ],
    "a compare-and-set on a version that was overwritten (C7)": [
      put([0, 1], "a", "1.1"),
      put([2, 3], "b", "1.2"),
      cas([4, 5], "1.1", "c", "1.3"),
    ],
    "a compare-and-set that loses a concurrent update": [
      put([0, 1], "a", "1.1"),
      put([2, 3], "b", "1.2"),
      get([4, 5], "b", "1.2"),
      cas([4, 9], "1.1", "c", "1.3"),
      get([10, 11], "c"),
    ],
    "a compare-and-set on a version that no answer showed": [put([0, 1], "a"), cas([2, 3], "9.9", "b")],
    "a create over a value": [put([0, 1], "a"), done("create", [2, 3], { value: "b" })],
    "a condition refused while it was true throughout (C7)": [
      put([0, 1], "a", "1.1"),
      refused("cas", [2, 3], { expected: "1.1" }),
      get([4, 5], "a", "1.1"),
    ],
    "a condition refused while it was true, and nothing else asked (C7)": [
      put([0, 1], "a", "1.1"),
      refused("cas", [2, 3], { expected: "1.1" }),
    ],
    "a condition refused while it was true, though an unknown put could come later (C7)": [
      put([0, 1], "a", "1.1"),
      refused("cas", [2, 3], { expected: "1.1" }),
      unknown("put", 4, { value: "b" }),
    ],
    "a create refused while the key was absent throughout (C7)": [refused("create", [0, 1])],
    "a refusal that shows a value already overwritten": [
      put([0, 1], "a", "1.1"),
      put([2, 3], "b", "1.2"),
      refused("create", [4, 5], { result: { value: "a", version: "1.1" } }),
    ],
    "a refusal that shows the very version it required": [
      put([0, 1], "a", "1.1"),
      put([2, 9], "b", "1.2"),
      refused("cas", [3, 4], { expected: "1.1", result: { value: "a", version: "1.1" } }),
    ],
    "an unknown put seen, then unseen": [
      put([0, 1], "a"),
      unknown("put", 2, { value: "b" }),
      get([3, 4], "b"),
      get([5, 6], "a"),
    ],
    "an unknown put seen before it was sent": [get([0, 1], "a"), unknown("put", 2, { value: "a" })],
    "one unknown delete cannot clear two puts": [
      unknown("delete", 0),
      put([1, 2], "a"),
      get([3, 4], null),
      put([5, 6], "b"),
      get([7, 8], null),
    ],
    "one unseen unknown put cannot explain two refusals": [
      unknown("put", 0, { value: "x" }),
      refused("create", [1, 2]),
      remove([3, 4]),
      refused("create", [5, 6]),
    ],
    "an unknown delete sent only after the absence was seen": [
      put([0, 1], "a"),
      get([2, 3], null),
      unknown("delete", 4),
    ],
    "a delete that found something where nothing was": [remove([0, 1], { found: true })],
    "a delete that found nothing where something was": [put([0, 1], "a"), remove([2, 3], { found: false })],
    "a value nobody wrote": [get([0, 1], "ghost")],
    "the value of a failed write": [done("put", [0, 1], { value: "a", outcome: "failed" }), get([2, 3], "a")],
    "the value of a refused write": [
      put([0, 1], "a", "1.1"),
      refused("create", [2, 3], { value: "b" }),
      get([4, 5], "b"),
    ],
    "two writes that share a version (C3)": [put([0, 9], "a", "1.1"), put([0, 9], "b", "1.1")],
  };
  test.each(Object.entries(bad))("%s", (_name, operations) => {
    expect(verdictOf(checkHistory(operations))).toBe("violation");
  });
});

describe("verdicts", () => {
  test("keys are judged apart, and the key at fault is named", () => {
    const other = [put([0, 1], "a"), get([2, 3], "a")].map((operation) => ({ ...operation, key: "other" }));
    const result = checkHistory([...other, put([0, 1], "a"), get([2, 3], null)]);
    expect(result).toMatchObject({ ok: false, key: "k" });
    expect(checkHistory([...other, put([0, 1], "a")])).toEqual({ ok: true, operations: 3 });
  });

  test("the explanation ends at the first answer that no order explains", () => {
    const later = Array.from({ length: 50 }, (_, index) => put([100 + 2 * index, 101 + 2 * index], `later-${index}`));
    const explanation = explanationOf([put([0, 1], "a"), put([2, 3], "b"), get([4, 5], "a"), ...later]);
    expect(explanation.split("\n")).toEqual([
      "key k is not linearizable: the history fails once the operation marked > is answered at 5: " +
        '[0, 1] client 1: put "a" -> ok was in effect throughout a time in which [2, 3] client 1: put "b" -> ok was too, or had to be.',
      '  [0, 1] client 1: put "a" -> ok',
      '  [2, 3] client 1: put "b" -> ok',
      '> [4, 5] client 1: get -> ok "a"',
    ]);
  });

  test("the explanation of a long history stays short and keeps the write that was read", () => {
    const before = Array.from({ length: 500 }, (_, index) => put([2 * index, 2 * index + 1], `value-${index}`));
    const explanation = explanationOf([...before, get([1000, 1001], "value-7")]);
    expect(explanation.split("\n").length).toBeLessThan(30);
    expect(explanation).toContain('put "value-7" -> ok');
    expect(explanation).toContain('> [1000, 1001] client 1: get -> ok "value-7"');
  });

  test("beyond the budget a key is undecided, never linearizable; a violation elsewhere outweighs it", () => {
    const operations = [put([0, 1], "a"), get([2, 3], "a")];
    expect(checkHistory(operations, { stepsMax: 1 })).toEqual({ undecided: true, key: "k" });
    const other = { ...get([0, 1], "ghost"), key: "other" };
    expect(checkHistory([...operations, other], { stepsMax: 1 })).toMatchObject({ ok: false, key: "other" });
  });

  test("a history that contradicts itself is an error, not a verdict", () => {
    const malformed: readonly Operation[][] = [
      [put([5, 4], "a")],
      [{ ...put([0, 1], "a"), completed: null }],
      [done("put", [0, 1])],
      [done("get", [0, 1])],
      [done("cas", [0, 1], { value: "a" })],
      [put([0, 1], "a"), put([2, 3], "a")],
      [unknown("put", 0, { value: "a", result: { value: "a" } })],
      [done("cas", [0, 1], { value: "a", expected: "1.1", conditionMet: false })],
      [done("put", [0, 1], { value: "a", outcome: "failed", conditionMet: false })],
      [done("put", [0, 1], { value: "a", expected: "1.1" })],
    ];
    for (const operations of malformed) expect(() => checkHistory(operations)).toThrow(/malformed history of key k/);
  });
});

// ------------------------------------------------------------------------------------------ against a brute-force judge

/** Tries every order and every choice of unknown writes. For at most 7 operations. */
function isLinearizableByBruteForce(operations: readonly Operation[]): boolean {
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

type Random = () => number;

function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const below = (random: Random, limit: number): number => Math.floor(random() * limit);
function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[below(random, items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

interface Shape {
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
function randomExecution(random: Random, shape: Shape): Operation[] {
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
function mutate(random: Random, operations: readonly Operation[]): Operation[] {
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

function mutateOften(random: Random, operations: readonly Operation[], times: number): readonly Operation[] {
  return times === 0 ? operations : mutateOften(random, mutate(random, operations), times - 1);
}

const ALL_NAMES: readonly OperationName[] = ["put", "get", "get", "delete", "cas", "create"];

describe("random histories", () => {
  test("the checker agrees with every order tried, on 30000 small histories, unchanged and mutated", () => {
    const tally = { linearizable: 0, violation: 0, undecided: 0 };
    for (let seed = 1; seed <= 10_000; seed++) {
      const random = seeded(seed);
      const shape = {
        count: 2 + below(random, 6),
        stretch: pick(random, [40, 150, 300, 700]),
        unknownShare: pick(random, [0, 0.3, 0.6]),
        tellingShare: pick(random, [0, 0.5, 1]),
        names: ALL_NAMES,
      };
      const execution = randomExecution(random, shape);
      if (execution.length === 0) continue;
      expect(verdictOf(checkHistory(execution)), `seed ${seed}, as executed`).toBe("linearizable");
      for (const operations of [execution, mutateOften(random, execution, 1), mutateOften(random, execution, 4)]) {
        const verdict = verdictOf(checkHistory(operations)) as keyof typeof tally;
        const wanted = isLinearizableByBruteForce(operations) ? "linearizable" : "violation";
        expect(verdict, `seed ${seed}\n${serializeHistory(operations)}`).toBe(wanted);
        tally[verdict]++;
      }
    }
    // Both directions were exercised.
    expect(tally.linearizable).toBeGreaterThan(5_000);
    expect(tally.violation).toBeGreaterThan(3_000);
  });

  test("the explanation of a small violation is a prefix that fails, and one answer less does not", () => {
    let explained = 0;
    for (let seed = 1; seed <= 400; seed++) {
      const random = seeded(seed);
      const shape = { count: 7, stretch: 150, unknownShare: 0.2, tellingShare: 1, names: ALL_NAMES };
      const operations = mutate(random, randomExecution(random, shape));
      const result = checkHistory(operations);
      if (result.ok !== false) continue;
      const moment = Number(/answered at (-?\d+)/.exec(result.explanation)?.[1]);
      expect(isLinearizableByBruteForce(knownBy(operations, moment)), `seed ${seed}`).toBe(false);
      expect(isLinearizableByBruteForce(knownBy(operations, moment - 1)), `seed ${seed}`).toBe(true);
      explained++;
    }
    expect(explained).toBeGreaterThan(100);
  });

  const shapes: Readonly<Record<string, Shape>> = {
    "puts and gets": { count: 2_000, stretch: 1_000, unknownShare: 0.1, tellingShare: 0.5, names: ["put", "get"] },
    "mostly puts": {
      count: 2_000,
      stretch: 1_000,
      unknownShare: 0.1,
      tellingShare: 0,
      names: ["put", "put", "put", "get"],
    },
    "every operation": { count: 2_000, stretch: 1_000, unknownShare: 0.1, tellingShare: 0.5, names: ALL_NAMES },
    "half of the writes unknown": {
      count: 2_000,
      stretch: 1_000,
      unknownShare: 0.5,
      tellingShare: 0.5,
      names: ALL_NAMES,
    },
    "bare refusals": {
      count: 2_000,
      stretch: 1_000,
      unknownShare: 0.3,
      tellingShare: 0.1,
      names: ["create", "cas", "get", "delete"],
    },
  };
  test.each(Object.entries(shapes))("2000 operations on one key, 20 at a time, are decided: %s", (_name, shape) => {
    const found = { linearizable: 0, violation: 0, undecided: 0 };
    for (let seed = 1; seed <= 3; seed++) {
      const random = seeded(seed);
      const operations = randomExecution(random, shape);
      expect(verdictOf(checkHistory(operations)), `seed ${seed}`).toBe("linearizable");
      found[verdictOf(checkHistory(mutate(random, operations))) as keyof typeof found]++;
      const stale = lateStaleRead(operations);
      expect(verdictOf(checkHistory(stale)), `seed ${seed}, with a stale read`).toBe("violation");
    }
    expect(found.undecided).toBe(0);
  });
});

/** The history as far as it was known at a moment. */
function knownBy(operations: readonly Operation[], moment: number): Operation[] {
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
function lateStaleRead(operations: readonly Operation[]): Operation[] {
  const reads = operations.filter(
    ({ op, outcome, result }) => op === "get" && outcome === "ok" && typeof result?.value === "string",
  );
  const old = reads[Math.floor(reads.length / 2)]?.result?.value ?? "ghost";
  const end = Math.max(...operations.map(({ completed }) => completed ?? 0));
  const between = { ...put([end + 1, end + 2], "between"), client: 0 };
  return [...operations, between, get([end + 3, end + 4], old)];
}

describe("recorder and file form", () => {
  function recorded(): HistoryRecorder {
    let now = 0;
    const recorder = new HistoryRecorder({ now: () => ++now });
    const first = recorder.invoke({ client: 1, op: "put", key: "k", value: "a" });
    const second = recorder.invoke({ client: 2, op: "cas", key: "k", value: "b", expected: "1.0" });
    first.ok({ result: { value: "a", version: "1.1" } });
    second.failed({ conditionMet: false, result: { value: "a", version: "1.1" } });
    recorder.invoke({ client: 3, op: "delete", key: "k" }).unknown();
    recorder.invoke({ client: 4, op: "get", key: "k" }).ok({ result: { value: null } });
    recorder.invoke({ client: 4, op: "put", key: "k", value: "c" });
    return recorder;
  }

  test("the recorder keeps order of invocation, both times, and what never came back as unknown", () => {
    const operations = recorded().operations();
    expect(operations.map(({ invoked, completed, outcome }) => [invoked, completed, outcome])).toEqual([
      [1, 3, "ok"],
      [2, 4, "failed"],
      [5, null, "unknown"],
      [6, 7, "ok"],
      [8, null, "unknown"],
    ]);
    expect(checkHistory(operations)).toEqual({ ok: true, operations: 5 });
  });

  test("an operation is answered once, and a recorder is bounded", () => {
    const recorder = new HistoryRecorder({ now: () => 1, operationsMax: 1 });
    const handle = recorder.invoke({ client: 1, op: "get", key: "k" });
    handle.unknown();
    expect(() => handle.ok({ result: { value: null } })).toThrow(/answered twice/);
    expect(() => recorder.invoke({ client: 1, op: "get", key: "k" })).toThrow(/at most 1 operations/);
  });

  test("a history survives its NDJSON form, which has the fields another checker expects", () => {
    const operations = recorded().operations();
    const text = serializeHistory(operations);
    expect(parseHistory(text)).toEqual(operations);
    expect(text.split("\n")[0]).toBe(
      '{"client":1,"op":"put","key":"k","value":"a","result":{"outcome":"ok","value":"a","version":"1.1"},"invoked":1,"completed":3}',
    );
    expect(serializeHistory([])).toBe("");
    const random = seeded(1);
    const shape = { count: 200, stretch: 500, unknownShare: 0.3, tellingShare: 0.5, names: ALL_NAMES };
    const long = randomExecution(random, shape).map((operation) => ({
      ...operation,
      invoked: operation.invoked + 1_000,
    }));
    const shifted = long.map((operation) =>
      operation.completed === null ? operation : { ...operation, completed: operation.completed + 1_000 },
    );
    expect(parseHistory(serializeHistory(shifted))).toEqual(shifted);
  });

  test("a line that is wrong is named, with its field", () => {
    const [line = ""] = serializeHistory(recorded().operations()).split("\n");
    expect(() => parseHistory(`${line}\n{"client":`)).toThrow(/line 2 of the history is not JSON/);
    expect(() => parseHistory(line.replace('"put"', '"push"'))).toThrow(/line 1 of the history: wrong op: "push"/);
    expect(() => parseHistory(line.replace('"ok"', '"fine"'))).toThrow(/line 1, result of the history: wrong outcome/);
    expect(() => parseHistory(line.replace('"completed":3', '"completed":"3"'))).toThrow(/wrong completed/);
    expect(() => parseHistory("[]")).toThrow(/line 1/);
  });
});
