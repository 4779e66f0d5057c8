// What users get: the package as `npm pack` makes it, unpacked in a project of its own, where nothing is built and nothing of the sources is.
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildProgram } from "../support/node-process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

let project = "";
let installed = "";

beforeAll(() => {
  buildProgram();
  project = mkdtempSync(path.join(os.tmpdir(), "holdfast-package-"));
  const packed = run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], ROOT);
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  installed = path.join(project, "node_modules", "holdfast");
  mkdirSync(installed, { recursive: true });
  run("tar", ["-xzf", filename, "-C", installed, "--strip-components=1"], project);
  linkPackages();
  writeFileSync(path.join(project, "package.json"), '{ "name": "application", "type": "module", "private": true }');
}, 120_000);

afterAll(() => rmSync(project, { recursive: true, force: true }));

/** What the package depends on, as an installation would have it; the compiler beside it, for types. */
function linkPackages(): void {
  const from = path.join(ROOT, "node_modules");
  const { dependencies } = JSON.parse(readFileSync(path.join(installed, "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  mkdirSync(path.join(project, "node_modules", "@types"));
  for (const name of [...Object.keys(dependencies), "@types/node"]) {
    symlinkSync(path.join(from, name), path.join(project, "node_modules", name));
  }
}

function run(command: string, args: readonly string[], folder: string): string {
  const env = { ...process.env, NO_COLOR: "1", HOLDFAST_SKIP_BUILD: "" };
  return execFileSync(command, args, { cwd: folder, encoding: "utf8", env, stdio: ["ignore", "pipe", "pipe"] });
}

function script(name: string, text: string): string {
  writeFileSync(path.join(project, name), text);
  return run(process.execPath, [name], project);
}

test("it holds programs, library and types, and neither sources, tests nor anything that runs when it is installed", () => {
  const { scripts = {}, bin } = JSON.parse(readFileSync(path.join(installed, "package.json"), "utf8")) as {
    readonly scripts?: Readonly<Record<string, string>>;
    readonly bin: Readonly<Record<string, string>>;
  };
  for (const name of ["preinstall", "install", "postinstall", "prepare"]) expect(scripts).not.toHaveProperty(name);
  for (const file of Object.values(bin)) expect(statSync(path.join(installed, file)).mode & 0o111).not.toBe(0);
  for (const file of ["README.md", "LICENSE", "SECURITY.md"]) expect(existsSync(path.join(installed, file))).toBe(true);
  const all = readdirSync(installed, { recursive: true, encoding: "utf8" });
  const foreign = all.filter((file) =>
    /(?:^|\/)(?:test|\.git|node_modules)(?:\/|$)|\.map$|(?<!\.d)\.ts$|tsconfig/.test(file),
  );
  expect(foreign).toEqual([]);
  expect(all).toContain("dist/coordinator/http/console/static/index.html");
});

test("both commands run where there is nothing to build with", () => {
  const { bin } = JSON.parse(readFileSync(path.join(installed, "package.json"), "utf8")) as {
    readonly bin: Readonly<Record<string, string>>;
  };
  expect(Object.keys(bin)).toEqual(["holdfast", "holdfast-node"]);
  for (const file of Object.values(bin)) {
    expect(run(process.execPath, [path.join(installed, file), "--help"], project)).toMatch(
      /^Usage: (?:runtime|node_server)/,
    );
  }
});

test("an application connects, and tests itself against a cluster in its own process", () => {
  const said = script(
    "application.mjs",
    `import { connect, KvError } from "holdfast";
     import { startCluster } from "holdfast/testing";
     const cluster = await startCluster({ nodes: 2 });
     const kv = await connect(cluster.addresses);
     await kv.put("greeting", "hello");
     console.log((await kv.get("greeting")).text());
     await kv.put("greeting", "x", { ifAbsent: true }).catch((error) => console.log(error instanceof KvError, error.code));
     await kv.close();
     await cluster.close();`,
  );
  expect(said).toBe("hello\ntrue CONDITION_FAILED\n");
});

test("its types are strict and complete for an application in TypeScript", () => {
  const source = `import { connect, type ConnectOptions, type Entry, type KvClient, KvError, type Written } from "holdfast";
import { startCluster, type TestCluster } from "holdfast/testing";
export async function use(options: ConnectOptions): Promise<string | undefined> {
  const cluster: TestCluster = await startCluster({ nodes: 3 });
  const kv: KvClient = await connect(["127.0.0.1:7401"], { ...options, token: "0123456789abcdef" });
  const written: Written = await kv.put("a", new Uint8Array(1), { consistency: "quorum" });
  const entry: Entry | null = await kv.get("a");
  // @ts-expect-error the level is one of three
  await kv.get("a", { consistency: "most" });
  await cluster.close();
  return entry === null ? new KvError("NOT_FOUND", written.version).code : entry.text();
}
`;
  writeFileSync(path.join(project, "application.ts"), source);
  const compiler = path.join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const flags = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--module", "nodenext", "--target", "es2023"];
  const libraries = ["--lib", "es2023", "--types", "node"];
  expect(run(process.execPath, [compiler, ...flags, ...libraries, "application.ts"], project)).toBe("");
});
