import { expect, test } from "vitest";
import { COMMANDS } from "../../../coordinator/shell/catalogue.ts";
import { complete, wantedAt } from "../../../coordinator/shell/complete.ts";

const VOCABULARY = { commands: COMMANDS, nodes: ["A", "B", "node-3"], operations: ["7"] };
const offered = (line: string): string[] => complete(line, VOCABULARY)[0];

test.each([
  ["sta", ["stats ", "status "]],
  ["GE", ["get "]],
  ["get apple ", ["one ", "quorum ", "all "]],
  ["put apple 1 q", ["quorum "]],
  ["put --if-version 3.1 apple 1 q", ["quorum "]],
  ["removenode ", ["A ", "B ", "node-3 "]],
  ["status n", ["node-3 "]],
  ["addnode ", []],
  ["cancel ", ["7 "]],
  ["help met", ["metrics "]],
  ["plan ", ["addnode ", "removenode ", "setreplica "]],
  ["plan removenode n", ["node-3 "]],
  ["removenode A --f", ["--force "]],
  ["nonsense ", []],
])("Tab behind %j offers %j", (line, expected) => {
  expect(offered(line)).toEqual(expected);
});

test("the cluster is asked only where the word at the cursor wants its names", () => {
  expect(wantedAt("removenode ", COMMANDS)).toBe("node");
  expect(wantedAt("plan removenode ", COMMANDS)).toBe("node");
  expect(wantedAt("put apple ", COMMANDS)).toBe("value");
  expect(wantedAt("rem", COMMANDS)).toBeUndefined();
});
