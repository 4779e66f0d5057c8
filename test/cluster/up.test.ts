// One command starts a whole cluster, and a second one finds everything that the first acknowledged.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const RUNTIME = fileURLToPath(new URL("../../runtime", import.meta.url));
const LIMIT_MS = 60_000;

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "holdfast-up-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function up(...lines: string[]): { readonly output: string; readonly status: number | null } {
  const input = `${lines.join("\n")}\nexit\n`;
  const { stdout, status } = spawnSync(process.execPath, [RUNTIME, "up"], {
    cwd: folder,
    input,
    encoding: "utf8",
    timeout: LIMIT_MS,
  });
  return { output: stdout, status };
}

test(
  "C1: `runtime up` starts three nodes, and again finds the same cluster and data",
  () => {
    const first = up("put apple 123", "put pear 456 all", "show");
    expect(first.output).toContain('[A] PUT apple = 123 -> {"status":"ok"}');
    expect(first.output).toMatch(/ {2}C \(127\.0\.0\.1:\d+, keys=2\)/);
    expect(first.status).toBe(0);
    const second = up("get apple", "get pear", "get plum");
    expect(second.output.trim().split("\n")).toEqual(["apple -> 123", "pear -> 456", "Key not found: plum"]);
    expect(second.status).toBe(1);
  },
  2 * LIMIT_MS,
);
