// The rules of the tree, applied to the tree; and each rule applied to a small bad sample and a good one, because a
// rule that cannot fail proves nothing.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { codeOnly, importsOf, type SourceFile, withoutComments } from "./support/source-text.ts";
import { RULES } from "./support/tidy-rules.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** What .gitignore leaves out, and Git's own. */
const SKIPPED = new Set(["node_modules", "dist", "data", "coverage", ".git"]);
const TEXT = /\.(?:ts|mjs|js|json|md|txt|html|css|yml|yaml|sh|toml)$|^[^.]*$|\.(?:npmrc|gitignore|gitattributes)$/;

function readTree(folder = ""): SourceFile[] {
  return fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return [];
    const file = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return readTree(file);
    if (!entry.isFile() || !TEXT.test(entry.name)) return [];
    return [{ path: file, text: fs.readFileSync(path.join(ROOT, file), "utf8") }];
  });
}

describe("the tree", () => {
  const files = readTree();

  test("was read", () => {
    expect(files.map((file) => file.path)).toEqual(expect.arrayContaining(["package.json", "runtime", ".ci/run"]));
    expect(files.filter((file) => file.path.startsWith("shared/")).length).toBeGreaterThan(5);
  });

  test.each(Object.entries(RULES))("%s", (_name, rule) => {
    expect(rule(files)).toEqual([]);
  });
});

/** Put together, so that this file passes the rules it tests. */
const LATER = "TO" + "DO";
const SLASH = "/";

interface Sample {
  readonly bad: readonly SourceFile[];
  readonly complaints: number;
  readonly good: readonly SourceFile[];
}

const file = (at: string, text: string): SourceFile => ({ path: at, text });

const SAMPLES: Record<keyof typeof RULES, Sample> = {
  pureFoldersArePure: {
    bad: [
      file("shared/a.ts", "const now = Date.now();\nconst r = Math.random();"),
      file("storage-node/core/b.ts", 'import fs from "node:fs";\nlet b: Buffer;'),
      file("coordinator/ring/c.ts", 'import { x } from "../../shared/io/tcp.ts";\nsetTimeout(f, 1);'),
      file("coordinator/shell/d.ts", "const text = `${process.pid}`;"),
    ],
    complaints: 7,
    good: [
      file("shared/io/a.ts", 'import net from "node:net";\nDate.now();'),
      file("coordinator/shell/io/a.ts", "process.stdout;"),
      file("shared/b.ts", '// Date.now()\nconst s = "process"; x.process; type T = { process: number; Date?: 1 };'),
      file("storage-node/core/c.ts", 'import { y } from "../../shared/b.ts";\nconst processed = candidate;'),
    ],
  },
  importsPointOneWay: {
    bad: [
      file("coordinator/a.ts", 'import { x } from "../storage-node/x.ts";'),
      file("storage-node/b.ts", 'import type { x } from "../coordinator/x.ts";'),
      file("shared/c.ts", 'export { x } from "../coordinator/x.ts";'),
      file("shared/d.ts", 'const x = await import("../test/support/x.ts");'),
    ],
    complaints: 4,
    good: [
      file("coordinator/a.ts", 'import { x } from "../shared/x.ts";\nimport { y } from "./ring/y.ts";'),
      file("test/b.test.ts", 'import { x } from "../coordinator/x.ts";'),
    ],
  },
  noCycles: {
    bad: [
      file("shared/a.ts", 'import { b } from "./b.ts";'),
      file("shared/b.ts", 'import type { c } from "./c.ts";'),
      file("shared/c.ts", 'import { a } from "./a.ts";'),
    ],
    complaints: 1,
    good: [
      file("shared/a.ts", 'import { b } from "./b.ts";\nimport { c } from "./c.ts";'),
      file("shared/b.ts", 'import { c } from "./c.ts";'),
      file("shared/c.ts", '// import { a } from "./a.ts";'),
    ],
  },
  noBarrels: {
    bad: [
      file("shared/index.ts", "export const a = 1;"),
      file("shared/all.ts", 'export * from "./a.ts";'),
      file("shared/some.ts", '// Passes on.\nexport { a } from "./a.ts";\nexport type { B } from "./b.ts";'),
    ],
    complaints: 3,
    good: [file("shared/a.ts", 'import { b } from "./b.ts";\nexport const a = b;')],
  },
  librariesHaveOneHome: {
    bad: [
      file("storage-node/engine/log.ts", 'import { open } from "lmdb";'),
      file("coordinator/main.ts", 'import ndjson from "ndjson";'),
    ],
    complaints: 2,
    good: [
      file("storage-node/engine/table.ts", 'import { open } from "lmdb";'),
      file("shared/io/connection.ts", 'import ndjson from "ndjson";'),
    ],
  },
  noDefaultExports: {
    bad: [
      file("shared/a.ts", "export default function a() {}"),
      file("test/b.mjs", "const b = 1;\nexport { b as default };"),
    ],
    complaints: 2,
    good: [
      file("vitest.config.ts", "export default {};"),
      file("shared/a.ts", "// export default\nexport const a = 1;"),
    ],
  },
  nothingLeftForLater: {
    bad: [file("README.md", `Text\n${LATER} write this`), file("shared/a.ts", `// ${LATER}: later`)],
    complaints: 2,
    good: [file("shared/a.ts", "// METHODOLOGY")],
  },
  noMachinePaths: {
    bad: [
      file("README.md", `cd ${SLASH}home/somebody/holdfast`),
      file("shared/a.ts", `const a = "${SLASH}Users/somebody";`),
      file("test/b.ts", `const b = "C:\\Windows";`),
    ],
    complaints: 3,
    good: [file("README.md", `--data-dir data/node, ~/work/x, https://x.org${SLASH}home/page`)],
  },
  noRegistryHosts: {
    bad: [file(".npmrc", `registry=https://registry.npm${"js.org"}`)],
    complaints: 1,
    good: [file(".npmrc", "save-exact=true")],
  },
  noLongFiles: {
    bad: [file("shared/a.ts", "line\n".repeat(401))],
    complaints: 1,
    good: [file("shared/a.ts", "line\n".repeat(400)), file("package-lock.json", "line\n".repeat(4000))],
  },
  everyFileHasAHeader: {
    bad: [file("shared/a.ts", "export const a = 1;"), file("test/support/b.ts", "\n// late")],
    complaints: 2,
    good: [
      file("shared/a.ts", "// Why."),
      file("shared/b.ts", "/** Why. */"),
      file("test/x.test.ts", "test()"),
      file("test/y.mjs", "#!/usr/bin/env node\n// Why."),
    ],
  },
  errorCodesAreUsedAndDocumented: {
    bad: [
      file(
        "shared/errors.ts",
        "export const ERRORS = {\n  FENCED: { http: 503 },\n  SHED: { http: 429 }, // too much\n};",
      ),
      file("storage-node/core/a.ts", 'throw new KvError("FENCED"); // SHED'),
    ],
    complaints: 2,
    good: [
      file(
        "shared/errors.ts",
        "export const ERRORS = {\n  FENCED: { http: 503 },\n  // Too much.\n  SHED: { http: 429 },\n};",
      ),
      file("storage-node/core/a.ts", 'throw new KvError("FENCED"); fail("SHED")'),
      file("README.md", "`FENCED`: an older epoch"),
    ],
  },
  lockfileNamesNoSource: {
    bad: [file("package-lock.json", '{ "resolved": "https://example.org/x.tgz" }')],
    complaints: 1,
    good: [file("package-lock.json", '{ "version": "1.0.0" }')],
  },
};

describe("each rule", () => {
  test.each(Object.entries(RULES))("%s complains about a bad sample and not about a good one", (name, rule) => {
    const sample = SAMPLES[name];
    expect(sample, "a rule needs samples").toBeDefined();
    expect(rule(sample?.bad ?? [])).toHaveLength(sample?.complaints ?? -1);
    expect(rule(sample?.good ?? [])).toEqual([]);
  });
});

describe("reading source text", () => {
  test("a quote in a comment opens no string, and slashes in a string open no comment", () => {
    expect(withoutComments(`// don't\nconst a = "http://x"; /* it's */ b`)).toBe(
      `        \nconst a = "http://x";            b`,
    );
  });

  test("strings are blanked, expressions within templates are not", () => {
    const text = 'f("Date", `now ${Date} Date ${{ a: `${Date}` }} Date`, x)';
    expect(codeOnly(text).replace(/ +/g, " ")).toBe("f( , ` ${Date} ${{ a: `${Date}` }} `, x)");
    expect(codeOnly('s.replace(/"/g, Date)').includes("Date")).toBe(true);
  });

  test("imports over several lines, re-exports, side effects and import() are found", () => {
    const text =
      'import {\n  a,\n  b,\n} from "./a.ts";\nimport "./b.ts";\nexport { c } from "../c.ts";\nawait import("d");';
    expect(importsOf(file("shared/io/x.ts", text)).map(({ target }) => target)).toEqual([
      "shared/io/a.ts",
      "shared/io/b.ts",
      "shared/c.ts",
      "d",
    ]);
  });
});
