// Compact answers: who gets them, in which line, and what is left to be told in another way.
import { expect, test } from "vitest";
import { CompactAnswers } from "../../coordinator/compact-answers.ts";
import type { ClientNumber } from "../../coordinator/sequencer/operation.ts";

const [asked, plain] = [1, 2] as ClientNumber[] as [ClientNumber, ClientNumber];

function gathering(): { readonly answers: CompactAnswers; readonly sent: (readonly [ClientNumber, object])[] } {
  const sent: (readonly [ClientNumber, object])[] = [];
  const answers = new CompactAnswers((client, message) => void sent.push([client, message]));
  answers.known(asked);
  return { answers, sent };
}

test("what a turn brings goes out in one line, to those that know such lines", () => {
  const { answers, sent } = gathering();
  expect(answers.written(plain, 1, [3, 4])).toBe(false);
  expect(answers.found(plain, 1, [3, 4], "v")).toBe(false);
  expect(answers.written(asked, 5, [3, 4])).toBe(true);
  expect(answers.written(asked, 6, [3, 5])).toBe(true);
  expect(answers.found(asked, 7, [2, 9], { base64: "AAEC" })).toBe(true);
  expect(sent).toEqual([]);
  answers.flush();
  answers.flush();
  const values = [7, 2, 9, { base64: "AAEC" }];
  expect(sent).toEqual([[asked, { status: "ok", written: [5, 3, 4, 6, 3, 5], values }]]);
});

test("a line has an end, and a long value is told by itself", () => {
  const { answers, sent } = gathering();
  expect(answers.found(asked, 1, [1, 1], "v".repeat(20_000))).toBe(false);
  for (let id = 1; id <= 5; id++) expect(answers.found(asked, id, [1, id], "v".repeat(15_000))).toBe(true);
  expect(sent).toHaveLength(1);
  answers.flush();
  const lengths = sent.map(([, message]) => (message as { readonly values: readonly unknown[] }).values.length);
  expect(lengths).toEqual([20]);
});

test("whoever is gone is told nothing", () => {
  const { answers, sent } = gathering();
  answers.written(asked, 5, [3, 4]);
  answers.gone(asked);
  answers.flush();
  expect(sent).toEqual([]);
  expect(answers.written(asked, 6, [3, 5])).toBe(false);
});
