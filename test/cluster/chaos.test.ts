// A short run of `npm run chaos`: whoever is killed, nothing acknowledged is lost and every key is linearizable.
import { expect, test } from "vitest";
import { isClean, runChaos, summary } from "../chaos/chaos.ts";
import { SEED } from "../support/cluster-checks.ts";

const long = process.env["HOLDFAST_LONG"] === "1";

test("kills at random under load: nothing acknowledged is lost, every key is linearizable", async () => {
  const told: string[] = [];
  const tell = (line: string): void => void told.push(line);
  const result = await runChaos({ seconds: long ? 300 : 9, kills: long ? 30 : 3, seed: SEED, tell });
  const story = [`seed ${SEED}`, ...told, ...summary(result)].join("\n");
  expect(result.report.acknowledged, story).toBeGreaterThan(100);
  expect(isClean(result.verdict), story).toBe(true);
});
