// Writes that fewer replicas have stored than their level asks for when their time is over: failed, stored in part, or unknown, and unknown
// is never called failed.
import { describe, expect, test } from "vitest";
import type { Version } from "../../../shared/version.ts";
import { DEADLINE_MS, KeyBench } from "./key-bench.ts";

describe("a write at level all that is not stored by all when its time is over", () => {
  for (const [kind, change] of [
    ["at once", {}],
    ["on condition", { condition: [1, 0] as Version }],
  ] as const) {
    const sent = (): { readonly bench: KeyBench; readonly id: number } => {
      const bench = new KeyBench();
      const id = bench.put("a", { level: "all", ...change });
      if (bench.sent[0] === "A read") bench.answer("ABC");
      expect(bench.sent).toEqual(["A 1.1=a", "B 1.1=a", "C 1.1=a"]);
      return { bench, id };
    };
    test.each([
      ["AB", "PARTIAL"],
      ["A", "TIMEOUT"],
      ["", "TIMEOUT"],
    ])(`${kind}: stored by "%s", it is %s`, (nodes, code) => {
      const { bench, id } = sent();
      bench.answer(nodes);
      bench.after(DEADLINE_MS - 1);
      expect(bench.told).toEqual({});
      bench.after(20);
      expect(bench.told).toEqual({ [id]: code });
      expect(bench.sequencer.inDoubt.size).toBe(code === "PARTIAL" ? 0 : 1);
    });
    test(`${kind}: refused by all, it has failed with what they said, and nothing is in doubt`, () => {
      const { bench, id } = sent();
      bench.refuse("ABC");
      expect(bench.told).toEqual({ [id]: "DISK_FULL" });
      expect(bench.sequencer.inDoubt.size).toBe(0);
    });
  }
});
