// Outcome table: behaves as a Map from ids to numbers, whatever the ids are and however many there are.
import fc from "fast-check";
import { expect, test } from "vitest";
import { fnv1a } from "../../../shared/fnv.ts";
import { OutcomeTable } from "../../../coordinator/sequencer/outcome-table.ts";

test("C8: a table holds what a Map would, also of ids that differ in one unit, and after it was cleared", () => {
  const ids = fc.array(fc.oneof(fc.string({ maxLength: 3 }), fc.string({ unit: "binary", maxLength: 40 })), {
    maxLength: 700,
    size: "max",
  });
  fc.assert(
    fc.property(fc.array(ids, { minLength: 1, maxLength: 3 }), fc.nat(), (rounds, salt) => {
      const table = new OutcomeTable();
      for (const round of rounds) {
        const known = new Map<string, number>();
        for (const [outcome, id] of round.entries()) {
          const entry = table.find(id, fnv1a(id, salt));
          expect(entry >= 0).toBe(known.has(id));
          if (entry < 0) table.add(id, fnv1a(id, salt), outcome);
          else table.put(entry, outcome);
          known.set(id, outcome);
        }
        expect(table.size).toBe(known.size);
        for (const [id, outcome] of known) {
          const entry = table.find(id, fnv1a(id, salt));
          expect(table.outcomeOf(entry)).toBe(outcome);
          expect(table.idOf(entry)).toBe(id);
        }
        table.clear();
        for (const id of known.keys()) expect(table.find(id, fnv1a(id, salt))).toBe(-1);
      }
    }),
    { numRuns: 5 },
  );
});
