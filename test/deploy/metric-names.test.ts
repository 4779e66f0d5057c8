// Dashboard and alert rules against the metrics that exist: a name that no process exports is a graph that stays empty and an alert that
// never comes.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SOURCES = [
  "coordinator/http/prometheus.ts",
  "coordinator/http/prometheus-rebalance.ts",
  "storage-node/metrics.ts",
];
const read = (file: string): string => fs.readFileSync(path.join(ROOT, file), "utf8");

/** Names that are declared, with those of a histogram's series. */
function declaredNames(): Set<string> {
  const names = new Set<string>();
  for (const [, kind, name] of SOURCES.map(read)
    .join("\n")
    .matchAll(/\b(counter|gauge|histogram|each)\(\s*"(kv_\w+)"/g)) {
    if (name === undefined) continue;
    names.add(name);
    if (kind === "histogram") for (const suffix of ["_bucket", "_sum", "_count"]) names.add(`${name}${suffix}`);
  }
  return names;
}

const namesIn = (text: string): string[] => [...new Set([...text.matchAll(/\bkv_\w+/g)].map(([name]) => name))];

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string }[];
}

describe("the names", () => {
  const declared = declaredNames();

  test("are declared in one form: a counter ends in _total, durations are in seconds", () => {
    expect(declared.size).toBeGreaterThan(40);
    for (const name of declared) expect(name).toMatch(/^kv_[a-z]+(?:_[a-z]+)*$/);
  });

  test.each(["deploy/grafana-dashboard.json", "deploy/alerts.yaml"])("%s uses only those that exist", (file) => {
    const used = namesIn(read(file));
    expect(used.length).toBeGreaterThan(8);
    expect(used.filter((name) => !declared.has(name))).toEqual([]);
  });
});

test("every panel of the dashboard but the rows asks for something", () => {
  const { panels } = JSON.parse(read("deploy/grafana-dashboard.json")) as { readonly panels: readonly Panel[] };
  const empty = panels.filter(({ type, targets }) => type !== "row" && (targets ?? []).length === 0);
  expect(empty).toEqual([]);
  const unbalanced = panels.flatMap(({ targets = [] }) => targets).filter(({ expr }) => !isBalanced(expr));
  expect(unbalanced).toEqual([]);
});

test("there is an alert for each thing that must not go unseen, and each says what to do", () => {
  const rules = read("deploy/alerts.yaml")
    .split(/^ {6}- alert: /m)
    .slice(1);
  const names = rules.map((rule) => rule.split("\n", 1)[0]);
  for (const name of ["NoLeader", "NodeDown", "UnderReplicated", "DiskNearlyFull", "Lag", "Slow"])
    expect(names).toContain(`Holdfast${name}`);
  for (const rule of rules) {
    for (const part of ["expr:", "for:", "severity:", "summary:", "action:"]) expect(rule).toContain(part);
    expect(isBalanced(/expr: (.*)/.exec(rule)?.[1] ?? "(")).toBe(true);
  }
});

function isBalanced(expression: string): boolean {
  const pairs: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };
  const open: string[] = [];
  for (const sign of expression.replace(/"[^"]*"/g, "")) {
    if ("([{".includes(sign)) open.push(sign);
    else if (sign in pairs && open.pop() !== pairs[sign]) return false;
  }
  return open.length === 0;
}
