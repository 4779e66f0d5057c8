// Rota: the same nodes within a turn, others in the next, and each as often as any other.
import { expect, test } from "vitest";
import { Rota } from "../../../coordinator/cluster/rota.ts";
import type { NodeId } from "../../../shared/ids.ts";
import { Timers } from "../../../shared/timers.ts";

const nodes = (text: string): NodeId[] => text.split("") as NodeId[];

test("all slots prefer the same nodes in one turn, and every node comes first in its turn", () => {
  const timers = new Timers(0);
  const rota = new Rota(timers);
  const first = new Map<string, number>();
  for (let turn = 1; turn <= 300; turn++) {
    timers.advance(turn);
    const orders = [nodes("ABC"), nodes("CAB"), nodes("BCA")].map((members) => rota.order(members, false).join(""));
    expect(new Set(orders).size).toBe(1);
    const [order = ""] = orders;
    expect(order.split("").toSorted().join("")).toBe("ABC");
    first.set(order[0] ?? "", (first.get(order[0] ?? "") ?? 0) + 1);
  }
  expect(Object.fromEntries(first)).toEqual({ A: 100, B: 100, C: 100 });
});

test("a slot's order holds its members and nobody else, however many nodes there are", () => {
  const timers = new Timers(0);
  const rota = new Rota(timers);
  const all = nodes("ABCDEFGHIJ");
  rota.order(all, false);
  for (let turn = 1; turn <= 50; turn++) {
    timers.advance(turn);
    for (let at = 0; at + 3 <= all.length; at++) {
      const members = all.slice(at, at + 3);
      expect([...rota.order(members, true)].toSorted()).toEqual(members);
    }
    expect(rota.order(nodes("A"), true)).toEqual(["A"]);
  }
});

test("where several are asked the first two change places from read to read, and the others keep theirs", () => {
  const rota = new Rota(new Timers(0));
  const members = nodes("ABCDE");
  const plain = rota.order(members, false);
  const [first, second, ...others] = plain;
  expect(rota.order(members, true)).toEqual([second, first, ...others]);
  expect(rota.order(members, true)).toEqual(plain);
  expect(rota.order(members, true)).toEqual([second, first, ...others]);
});
