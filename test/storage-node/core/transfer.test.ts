import { expect, test } from "vitest";
import { compareKeys } from "../../../shared/key-order.ts";
import { slotOf } from "../../../shared/slot.ts";
import { FIRST, NodeBench, SEED, type Message } from "../../support/node-bench.ts";

/** Slots that the node serves: one with many keys, one with none, one with a few. */
const FULL = 11;
const EMPTY = 12;
const SPARSE = 3;
const SLOTS = [FULL, EMPTY, SPARSE];
const STAMPS = SLOTS.map(() => FIRST);

/** So many keys of one slot, beginning with `prefix`. */
function keysIn(slot: number, prefix: string, count: number): string[] {
  const keys: string[] = [];
  for (let index = 0; keys.length < count; index++) {
    const key = `${prefix}${index}`;
    if (slotOf(key, SEED) === slot) keys.push(key);
  }
  return keys;
}

const MANY = ["a:", "b:", "c:"].flatMap((prefix) => keysIn(FULL, prefix, 40)).sort(compareKeys);
const FEW = keysIn(SPARSE, "b:", 3).sort(compareKeys);

function filled(): NodeBench {
  const node = NodeBench.adopted();
  node.ask([{ op: "install", slots: SLOTS, stamp: FIRST, committed: FIRST, first: true }]);
  const write = (slot: number, key: string): Message => ({
    op: "write",
    slot,
    stamp: FIRST,
    key,
    version: [1, 1],
    value: "v",
  });
  node.ask([...MANY.map((key) => write(FULL, key)), ...FEW.map((key) => write(SPARSE, key))]);
  return node;
}

/** Follows `next` to the end. */
function listAll(node: NodeBench, op: Message): { readonly keys: string[]; readonly pages: number } {
  const keys: string[] = [];
  let after: unknown;
  for (let pages = 1; ; pages++) {
    const [page] = node.ask([
      { op: "list", slots: SLOTS, stamps: STAMPS, ...op, ...(after !== undefined && { after }) },
    ]);
    expect(page).toMatchObject({ status: "ok" });
    const { entries, next } = page as unknown as { entries: [number, string][]; next?: unknown };
    keys.push(...entries.map(([, key]) => key));
    after = next;
    if (after === undefined) return { keys, pages };
  }
}

test("a list goes through the slots in the order given, and through each by key", () => {
  expect(listAll(filled(), { limit: 1_000 })).toEqual({ keys: [...MANY, ...FEW], pages: 1 });
});

test("pages of any size make the same list, and say where the next one begins", () => {
  for (const limit of [1, 16, 17, 41]) {
    const { keys, pages } = listAll(filled(), { limit });
    expect(keys).toEqual([...MANY, ...FEW]);
    expect(pages).toBe(Math.ceil((MANY.length + FEW.length) / limit));
  }
});

test("what is older than asked for is left out, and counts as looked at: a page never goes through more than its limit", () => {
  const node = filled();
  const [newer] = MANY.slice(100);
  node.ask([{ op: "write", slot: FULL, stamp: FIRST, key: newer, version: [1, 9], value: "v" }]);
  for (const limit of [10, 1_000]) {
    const { keys, pages } = listAll(node, { limit, since: [1, 2] });
    expect(keys).toEqual([newer]);
    expect(pages).toBe(Math.ceil((MANY.length + FEW.length) / limit));
  }
});

test("a prefix lists what begins with it, the key that equals it included, in pages too", () => {
  const expected = [...MANY, ...FEW].filter((key) => key.startsWith("b:"));
  for (const limit of [1, 7, 1_000]) expect(listAll(filled(), { limit, prefix: "b:" }).keys).toEqual(expected);
  const [exact] = FEW;
  expect(listAll(filled(), { limit: 10, prefix: exact }).keys).toEqual(
    FEW.filter((key) => key.startsWith(exact ?? "")),
  );
  expect(listAll(filled(), { limit: 10, prefix: "d" }).keys).toEqual([]);
});

test("a slot of nothing but tombstones lists them: whoever reconciles needs them", () => {
  const node = NodeBench.adopted();
  node.ask([{ op: "install", slots: SLOTS, stamp: FIRST, committed: FIRST, first: true }]);
  const [key] = FEW;
  node.ask([{ op: "write", slot: SPARSE, stamp: FIRST, key, version: [1, 5], value: null }]);
  expect(node.ask([{ op: "list", slots: SLOTS, stamps: STAMPS, limit: 5 }])).toEqual([
    { status: "ok", entries: [[SPARSE, key, [1, 5], 1]] },
  ]);
});
