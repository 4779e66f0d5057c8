// The simulator in the ordinary test run: hundreds of seeds without a violation; more under `npm run test:long`, and as many as one likes
// with `npm run simulate`. A failing seed names itself and the command that replays it.
import { expect, test } from "vitest";
import { runSeed } from "./run.ts";
import { SHAPES, type Shape } from "./shapes.ts";

const LONG = process.env["HOLDFAST_LONG"] === "1";
const SEEDS = LONG ? 20_000 : 200;
const SHAPED_SEEDS = LONG ? 1_000 : 10;
/** Seeds a test, so that progress shows. */
const AT_ONCE = 100;

for (let from = 1; from <= SEEDS; from += AT_ONCE) {
  test(`seeds ${from}–${from + AT_ONCE - 1} violate nothing`, () => clean("any", from, AT_ONCE));
}

for (const shape of Object.keys(SHAPES) as Shape[]) {
  if (shape === "any") continue;
  test(`${shape}: seeds 1–${SHAPED_SEEDS} violate nothing`, () => clean(shape, 1, SHAPED_SEEDS));
}

function clean(shape: Shape, from: number, count: number): void {
  for (let seed = from; seed < from + count; seed++) {
    const { violation } = runSeed(seed, { scenario: SHAPES[shape] });
    if (violation === undefined) continue;
    expect.fail(`${violation}\nreplay: npm run simulate -- --shape ${shape} --seed ${seed} --trace`);
  }
}

test("a seed replays: the same events, message for message", () => {
  const traceOf = (seed: number): string => {
    const lines: string[] = [];
    const figures = runSeed(seed, { trace: (text) => void lines.push(text) });
    return `${lines.join("\n")}\n${JSON.stringify(figures)}`;
  };
  expect(traceOf(7)).toBe(traceOf(7));
  expect(traceOf(7)).not.toBe(traceOf(8));
});
