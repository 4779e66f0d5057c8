// export and import: what comes out goes in again to the letter, files are whole or not there, and a bad line is named.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KvError } from "../../../shared/errors.ts";
import type { WireValue } from "../../../shared/record.ts";
import { runWords } from "./desk.ts";
import { FakeCluster } from "./fake-cluster.ts";

let folder = "";
let file = "";

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-dump-"));
  file = path.join(folder, "all.ndjson");
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

function clusterOf(entries: Readonly<Record<string, WireValue>>): FakeCluster {
  const cluster = new FakeCluster();
  cluster.addNode("A", "127.0.0.1:5001");
  for (const [key, value] of Object.entries(entries)) cluster.values.set(key, value);
  return cluster;
}

const run = (cluster: FakeCluster, ...words: string[]): ReturnType<typeof runWords> => runWords(words, { cluster });

describe("export and import", () => {
  test("what was exported is imported to the letter: text of any kind, bytes, the empty value", async () => {
    const odd = { "a b": 'say "x"\n\u2028\u2029\r', "ключ 🔑": "", bytes: { base64: "AP8=" }, "user:1": "Alice" };
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`key ${index}`, `value ${index}`]));
    const source = clusterOf({ ...odd, ...many });
    expect(await run(source, "export", file)).toEqual({
      status: 0,
      output: `Exported 304 keys to ${file}.\n`,
      errors: "",
    });
    const target = clusterOf({ "user:1": "Bob" });
    expect(await run(target, "import", file)).toEqual({
      status: 0,
      output: `Imported 304 keys from ${file}.\n`,
      errors: "",
    });
    expect(Object.fromEntries(target.values)).toEqual({ ...odd, ...many });
    expect(fs.readdirSync(folder)).toEqual(["all.ndjson"]);
  });

  test("a prefix chooses, quorum is asked whatever the session's level, and --json counts", async () => {
    const cluster = clusterOf({ "user:1": "Alice", pear: "1" });
    const { output } = await run(cluster, "export", file, "user:", "--json");
    expect(JSON.parse(output)).toEqual({ status: "ok", file, keys: 1 });
    expect(fs.readFileSync(file, "utf8")).toBe('{"key":"user:1","value":"Alice"}\n');
    expect(cluster.received.filter(({ op }) => op === "get")).toMatchObject([{ consistency: "quorum" }]);
  });

  test("a file that exists is kept, unless --force says otherwise; an export that fails leaves nothing", async () => {
    fs.writeFileSync(file, "dear\n");
    const cluster = clusterOf({ apple: "1" });
    expect(await run(cluster, "export", file)).toMatchObject({
      status: 2,
      errors: `Error: ${file} exists; --force replaces it\n`,
    });
    cluster.override = ({ op }) =>
      op === "get" ? Promise.reject(new KvError("NO_QUORUM", "too few answer")) : undefined;
    expect(await run(cluster, "export", file, "--force")).toMatchObject({ status: 3 });
    expect(fs.readFileSync(file, "utf8")).toBe("dear\n");
    expect(fs.readdirSync(folder)).toEqual(["all.ndjson"]);
    cluster.override = undefined;
    expect(await run(cluster, "export", file, "--force")).toMatchObject({ status: 0 });
    expect(fs.readFileSync(file, "utf8")).toBe('{"key":"apple","value":"1"}\n');
  });

  test("a key that is deleted between listing and reading is left out", async () => {
    const cluster = clusterOf({ apple: "1", pear: "2" });
    cluster.override = (message) =>
      message.op === "get" && message.key === "apple"
        ? Promise.reject(new KvError("NOT_FOUND", "no value"))
        : undefined;
    expect(await run(cluster, "export", file)).toMatchObject({ status: 0, output: `Exported 1 key to ${file}.\n` });
  });

  test.each([
    ["no json", "no JSON"],
    ['{"value":"1"}', "no key of 1 to 1024 bytes"],
    ['{"key":"a"}', "no value"],
    ["null", "no key of 1 to 1024 bytes"],
  ])("a line %j is named, with its number", async (line, what) => {
    fs.writeFileSync(file, `{"key":"a","value":"1"}\n\n${line}\n`);
    const { status, errors } = await run(clusterOf({}), "import", file);
    expect(status).toBe(2);
    expect(errors).toContain(`Error: ${file}:3: ${what}; a line is {"key"`);
  });

  test("of a key that comes twice the later line wins, the last line needs no end, and a missing file is said", async () => {
    fs.writeFileSync(file, '{"key":"a","value":"1"}\r\n{"key":"a","value":"2"}');
    const cluster = clusterOf({});
    expect(await run(cluster, "import", file)).toMatchObject({ status: 0 });
    expect(cluster.values.get("a")).toBe("2");
    const missing = await run(cluster, "import", path.join(folder, "none"));
    expect(missing.status).toBe(2);
    expect(missing.errors).toContain("ENOENT");
  });

  test("C8: an import that loses its answers says that it may have happened", async () => {
    fs.writeFileSync(file, '{"key":"a","value":"1"}\n');
    const cluster = clusterOf({});
    cluster.override = ({ op }) =>
      op === "put" ? Promise.reject(new KvError("TIMEOUT", "no answer in time")) : undefined;
    const { status, errors } = await run(cluster, "import", file);
    expect(status).toBe(4);
    expect(errors).toContain("The import may or may not have happened");
  });
});
